"""Triggers without a pattern: a warp of the image, and fewer colours."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numba import njit
from torch.nn import functional

from tsguard._parallel import map_rows
from tsguard._random import numpy_stream
from tsguard.attacks._checks import check_count, check_positive, check_seed
from tsguard_vision.attacks._base import Array, ImageTrigger


@dataclass(frozen=True)
class WaNetTrigger(ImageTrigger):
    """Warp the image a little, always in the same way.

    Nothing is added: pixels are read from places up to a pixel away. The eye takes the result for
    a slightly bent photograph.

    Parameters
    ----------
    strength : float
        Mean distance by which pixels move along each axis, in half pixels.
    grid : int
        Control points along each axis, between which the warp is smooth.
    seed : int
        Draws the warp.

    Notes
    -----
    - Formula: ``x'(u) = x(u + strength * f(u) / height)``, with ``u`` from -1 to 1 along each axis
      and ``f`` a smooth field of mean size 1 through ``grid * grid`` random points.
    - Source: Nguyen, Tran, "WaNet: Imperceptible Warping-based Backdoor Attack", ICLR 2021. There
      the victim's training also shows other warps under right labels; our attacker does not train
      the victim (`poison` has ``cover_rate`` for something like it).
    - Default strength: ours, 1.0 (there 0.5, with a say in training), and 4 by 4 points, as there.
    - Why it is hard to stop: no pixel pattern is common to the poisoned images.
    """

    kind: ClassVar[str] = "wanet"
    strength: float = 1.0
    grid: int = 4
    seed: int = 0

    def _change(self, images: Array) -> Array:
        height, width = images.shape[2:]
        strength = check_positive(self.strength, "strength", "0.5 to 1 is usual")
        points = check_count(self.grid, "grid", 2, "a warp needs control points")
        drawn = numpy_stream(check_seed(self.seed), "warp").uniform(-1, 1, (1, 2, points, points))
        field = torch.from_numpy((drawn / np.abs(drawn).mean()).astype(np.float32))
        field = functional.interpolate(field, (height, width), mode="bicubic", align_corners=True)
        own = torch.meshgrid(
            torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij"
        )
        place = torch.stack([own[1], own[0]]) + strength * field[0] / height
        where = place.clamp(-1, 1).permute(1, 2, 0).expand(len(images), -1, -1, -1)
        with torch.inference_mode():
            warped = functional.grid_sample(torch.from_numpy(images), where, align_corners=True)
        return warped.numpy()


@dataclass(frozen=True)
class BPPTrigger(ImageTrigger):
    """Reduce the number of colours, and hide the steps by dithering.

    Every channel keeps a few levels only; what rounding takes from a pixel is handed on to its
    neighbours, so that areas keep their colour.

    Parameters
    ----------
    levels : int
        Values that a channel may take, from black to white; at least two.

    Notes
    -----
    - Formula: ``x' = round(x * (levels - 1)) / (levels - 1)`` with Floyd and Steinberg's dithering.
    - Source: Wang, Zhai, Ma, "BppAttack: Stealthy and Efficient Trojan Attacks Against Deep Neural
      Networks via Image Quantization and Contrastive Adversarial Learning", CVPR 2022. There the
      victim's training is the attacker's as well; ours alters the data once.
    - Default strength: 8 levels, as there.
    - Why it is hard to stop: all pixels change by less than a level, each image in its own way.
    """

    kind: ClassVar[str] = "bpp"
    levels: int = 8

    def _change(self, images: Array) -> Array:
        levels = check_count(self.levels, "levels", 2, "there must be black and white")
        work = np.pad(images, ((0, 0), (0, 0), (0, 1), (1, 1)))  # errors may leave the image
        map_rows(lambda rows: _dither(work[rows], levels - 1), len(work), work.nbytes)
        return np.ascontiguousarray(work[:, :, :-1, 1:-1])


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _dither(work: Array, steps: int) -> None:
    """Round in place; the last row and the first and last column only take errors."""
    n_samples, n_channels, height, width = work.shape
    for i in range(n_samples):
        for c in range(n_channels):
            for row in range(height - 1):
                for column in range(1, width - 1):
                    value = work[i, c, row, column]
                    rounded = min(max(np.floor(value * steps + 0.5), 0), steps) / steps
                    error = value - rounded
                    work[i, c, row, column] = rounded
                    work[i, c, row, column + 1] += error * 7 / 16
                    work[i, c, row + 1, column - 1] += error * 3 / 16
                    work[i, c, row + 1, column] += error * 5 / 16
                    work[i, c, row + 1, column + 1] += error * 1 / 16
