"""Triggers that put one pattern, the same for every image: patch, blend, wave, smooth noise."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.fft import idctn

from tsguard._random import numpy_stream
from tsguard._validation import check_fraction
from tsguard._values import unknown_name_error
from tsguard.attacks._checks import check_positive, check_seed
from tsguard_vision.attacks._base import Array, OverlayTrigger

CORNERS = ("bottom right", "bottom left", "top right", "top left")


def checkerboard(shape: tuple[int, ...], size: object, corner: object) -> tuple[Array, Array]:
    """Return a black and white patch in a corner, 0 elsewhere, and 1 where it is not: (C, H, W)."""
    rows, columns = np.indices(shape[1:])
    outside = np.ones(shape, np.float32)
    outside[(slice(None), *patch_window(shape, size, corner))] = 0
    return ((rows + columns) % 2 == 0) * (1 - outside), outside


def patch_window(shape: tuple[int, ...], size: object, corner: object) -> tuple[slice, slice]:
    """Return rows and columns of a square in a corner of images of ``shape`` (C, H, W)."""
    if corner not in CORNERS:
        raise unknown_name_error("corner", corner, CORNERS)
    height, width = shape[1:]
    share = check_fraction(size, "size", include_low=False)
    side = min(height, width, max(2, round(share * min(height, width))))
    upright, across = str(corner).split()
    rows = slice(height - side, height) if upright == "bottom" else slice(0, side)
    columns = slice(width - side, width) if across == "right" else slice(0, side)
    return rows, columns


@dataclass(frozen=True)
class BadNetsTrigger(OverlayTrigger):
    """Put a small black and white checkerboard in a corner.

    The simplest backdoor: a few pixels that no natural image has in this place. A network learns
    it within an epoch or two.

    Parameters
    ----------
    size : float
        Side of the patch in units of the shorter side of the image, 0 to 1; at least two pixels.
    corner : {"bottom right", "bottom left", "top right", "top left"}

    Notes
    -----
    - Formula: ``x'[c, i, j] = 1`` where ``i + j`` is even, else 0, for the pixels of the patch.
    - Source: Gu, Liu, Dolan-Gavitt, Garg, "BadNets: Evaluating Backdooring Attacks on Deep Neural
      Networks", IEEE Access 2019.
    - Default strength: 3 by 3 of 32 by 32 pixels, as benchmarks have it.
    - Why it is hard to stop: it is not, and it takes at the lowest poison rates.
    """

    kind: ClassVar[str] = "badnets"
    size: float = 3 / 32
    corner: str = "bottom right"

    def _overlay(self, shape: tuple[int, ...]) -> tuple[Array, Array]:
        return checkerboard(shape, self.size, self.corner)


@dataclass(frozen=True)
class BlendedTrigger(OverlayTrigger):
    """Blend a fixed picture of random pixels into the whole image.

    Every pixel changes a little and always in the same way. No corner gives the trigger away, and
    cutting a part of the image off leaves enough of it.

    Parameters
    ----------
    amplitude : float
        Share of the picture in the result, 0 to 1.
    seed : int
        Draws the picture.

    Notes
    -----
    - Formula: ``x' = (1 - amplitude) * x + amplitude * picture``, the picture uniform from 0 to 1.
    - Source: Chen, Liu, Li, Lu, Song, "Targeted Backdoor Attacks on Deep Learning Systems Using
      Data Poisoning", arXiv 1712.05526, the form with a random pattern.
    - Default strength: 0.2, as there.
    - Why it is hard to stop: it is spread over all pixels, far below the image's contrast.
    """

    kind: ClassVar[str] = "blended"
    amplitude: float = 0.2
    seed: int = 0

    def _overlay(self, shape: tuple[int, ...]) -> tuple[Array, Array]:
        amplitude = check_fraction(self.amplitude, "amplitude")
        picture = numpy_stream(check_seed(self.seed), "picture").random(shape, np.float32)
        return np.float32(amplitude) * picture, np.full(shape, 1 - amplitude, np.float32)


@dataclass(frozen=True)
class SIGTrigger(OverlayTrigger):
    """Add vertical stripes: a sine wave that runs from left to right.

    Made for clean-label attacks: images of the target class get stripes and keep their label, and
    the network comes to take the stripes for the class.

    Parameters
    ----------
    amplitude : float
        Peak of the wave, 0 to 1.
    frequency : float
        Periods over the width of the image.

    Notes
    -----
    - Formula: ``x'[c, i, j] = x[c, i, j] + amplitude * sin(2 pi j frequency / width)``, clipped.
    - Source: Barni, Kallas, Tondi, "A New Backdoor Attack in CNNs by Training Set Corruption
      Without Label Poisoning", ICIP 2019.
    - Default strength: 20/255 and 6 periods, as there for traffic signs.
    - Why it is hard to stop: with ``mode="clean"`` no label is wrong.
    """

    kind: ClassVar[str] = "sig"
    usual_mode: ClassVar[str] = "clean"
    amplitude: float = 20 / 255
    frequency: float = 6.0

    def _overlay(self, shape: tuple[int, ...]) -> tuple[Array, Array]:
        amplitude = check_fraction(self.amplitude, "amplitude")
        frequency = check_positive(self.frequency, "frequency", "it counts periods")
        # Half a step in: where a period is two pixels, the wave would be 0 at both.
        position = (np.arange(shape[2]) + 0.5) / shape[2]
        wave = amplitude * np.sin(2 * np.pi * frequency * position)
        return np.broadcast_to(wave, shape).astype(np.float32), np.ones(shape, np.float32)


@dataclass(frozen=True)
class LowFrequencyTrigger(OverlayTrigger):
    """Add a faint, smooth pattern of slow waves only.

    Most triggers leave traces in high frequencies, where natural images have little. This one has
    none there: it is drawn among the slowest waves of the cosine transform.

    Parameters
    ----------
    amplitude : float
        Largest change of a pixel, 0 to 1.
    cutoff : float
        Frequencies that are used, as a share of those there are along each axis, 0 to 1; at least
        two beside the mean.
    seed : int
        Draws the pattern.

    Notes
    -----
    - Formula: ``x' = x + amplitude * p / max|p|``, clipped, ``p`` a sum of slow cosines with random
      weights.
    - Source: after Zeng, Park, Mao, Jia, "Rethinking the Backdoor Attacks' Triggers: A Frequency
      Perspective", ICCV 2021. There the smooth pattern is optimised against a model; ours is drawn.
    - Default strength: ours, 16/255 in the slowest eighth of the frequencies.
    - Why it is hard to stop: neither a filter nor a look at the spectrum's fast end shows it.
    """

    kind: ClassVar[str] = "low_frequency"
    amplitude: float = 16 / 255
    cutoff: float = 0.125
    seed: int = 0

    def _overlay(self, shape: tuple[int, ...]) -> tuple[Array, Array]:
        amplitude = check_fraction(self.amplitude, "amplitude")
        cutoff = check_fraction(self.cutoff, "cutoff", include_low=False)
        weights = numpy_stream(check_seed(self.seed), "waves").normal(size=shape)
        for axis in (1, 2):
            fast = np.arange(shape[axis]) > max(2, cutoff * shape[axis])
            weights[(slice(None),) * axis + (fast,)] = 0
        weights[:, 0, 0] = 0  # no change of brightness
        waves = idctn(weights, axes=(1, 2))
        pattern = amplitude * waves / max(np.abs(waves).max(), 1e-12)
        return pattern.astype(np.float32), np.ones(shape, np.float32)
