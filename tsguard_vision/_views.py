"""What an image looks like without its label, for tsguard's neighbours and signatures.

A trigger hides in one aspect of an image (a corner, a frequency, everywhere a little); seen through
another aspect, the image looks like what it really is.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import dctn, idctn
from torch import Tensor
from torch.nn import functional

from tsguard.suspicion import Views
from tsguard.suspicion._views import _principal, _standardise

Array = NDArray[np.float32]

CHUNK = 1024  # images whose features are computed at a time
N_FILTERS, FILTER_SIZE = 128, 5
N_SLOW = 6  # slowest waves along each axis
N_PATCHES = 20_000  # small squares from which the filters and their whitening are drawn


def image_views(
    images: Array, rng: np.random.Generator, device: torch.device | None = None
) -> Views:
    """Embed a set of images.

    Content views: the image itself, coarse; its low frequencies; where its high ones are; colours
    channel by channel; directions of edges in 4 by 4 cells; its quadrants; and the responses of
    random filters (small whitened squares of the images themselves, after Coates, Lee, Ng, AISTATS
    2011), of the image and of a smoothed one.

    Parameters
    ----------
    images : ndarray of float32 of shape (n_samples, n_channels, height, width)
        Scaled.
    rng : numpy.random.Generator
        Draws the filters.
    device : torch.device, optional
        Where the filters run; by default the CPU.

    Returns
    -------
    tsguard.suspicion.Views
    """
    bank = tuple(one.to(device or "cpu") for one in _draw_filters(images, rng))
    content: list[list[Array]] = []
    signature: list[list[Array]] = []
    for start in range(0, len(images), CHUNK):
        chunk = images[start : start + CHUNK]
        low, high = _bands(chunk)
        responses = _respond(chunk, *bank)
        content.append([*_plain_views(chunk, low, high), responses, _respond(low, *bank)])
        signature.append([responses, *plain_image_blocks(chunk)])
    # Colour counts, edges and responses come in units of their own; the rest is in those of X.
    own_units = {3, 4, 9, 10}
    views = [np.concatenate(parts) for parts in zip(*content, strict=True)]
    blocks = [np.concatenate(parts) for parts in zip(*signature, strict=True)]
    return Views(
        content=[
            _principal(_standardise(view) if number in own_units else view)
            for number, view in enumerate(views)
        ],
        signature=[_standardise(block) for block in blocks],
        n_values=images[0].size,
    )


def plain_image_blocks(images: Array) -> list[Array]:
    """Return plain features in which a trigger is a direction, each (n_samples, n_features).

    The values, their slowest waves, the log amplitude spectrum, how sharp the image is from place
    to place, and the largest steps wherever they are.
    """
    slow = dctn(images, axes=(2, 3), norm="ortho")[:, :, :N_SLOW, :N_SLOW].astype(np.float32)
    spectrum = np.log(np.abs(np.fft.rfft2(images)) + 0.1).astype(np.float32)
    steps = [np.abs(np.diff(images, axis=axis)) for axis in (2, 3) if images.shape[axis] > 1]
    largest = [_largest(step.reshape(*step.shape[:2], -1)) for step in steps]
    blocks = [images, slow, spectrum, _sharpness(images), *largest]
    return [np.ascontiguousarray(block.reshape(len(images), -1)) for block in blocks]


def _sharpness(images: Array) -> Array:
    """Return how fine the finest detail is, along both axes, in at most 8 by 8 cells.

    The log ratio of second to first differences: a warp or a blur lowers it, noise raises it, and
    how much detail there is does not matter.
    """
    ratios = []
    for axis in (2, 3):
        before, here, after = (np.roll(images, step, axis) for step in (1, 0, -1))
        sizes = (np.abs(after - 2 * here + before), np.abs(after - before))
        second, first = (_pooled(one.mean(axis=1, keepdims=True), 8) for one in sizes)
        ratios.append(np.log((second + 0.05) / (first + 0.05)))
    return np.concatenate(ratios, axis=1)


def _largest(values: Array, n_largest: int = 20) -> Array:
    """Return the largest values along the last axis, sorted."""
    n_largest = min(n_largest, values.shape[-1])
    return np.sort(np.partition(values, -n_largest, axis=-1)[..., -n_largest:], axis=-1)


def _plain_views(images: Array, low: Array, high: Array) -> list[Array]:
    """Return the content views that need no filters, each (n_samples, n_features)."""
    height, width = images.shape[2:]
    top, left = -(-height // 2), -(-width // 2)
    quarters = [
        images[:, :, rows, columns]
        for rows in (slice(0, top), slice(height - top, None))
        for columns in (slice(0, left), slice(width - left, None))
    ]
    return [
        _pooled(images, 12),
        _pooled(low, 12),
        _pooled(np.abs(high), 8),
        _colours(images),
        _edges(images),
        *(_pooled(quarter, 8) for quarter in quarters),
    ]


def _bands(images: Array) -> tuple[Array, Array]:
    """Split images into slow and fast parts, at a quarter of the frequencies of each axis."""
    height, width = images.shape[2:]
    cosines = dctn(images, axes=(2, 3), norm="ortho")
    cosines[:, :, max(2, height // 4) :] = 0
    cosines[:, :, :, max(2, width // 4) :] = 0
    low: Array = idctn(cosines, axes=(2, 3), norm="ortho").astype(np.float32)
    return low, images - low


def _pooled(images: Array, size: int) -> Array:
    """Average images down to at most ``size`` by ``size``, flat."""
    shape = (min(size, images.shape[2]), min(size, images.shape[3]))
    pooled: Tensor = functional.adaptive_avg_pool2d(torch.from_numpy(images.copy()), shape)
    return pooled.reshape(len(images), -1).numpy()


def _colours(images: Array) -> Array:
    """Return how many pixels of each channel lie in each of eight ranges, -2 to 2 deviations."""
    flat = images.reshape(*images.shape[:2], -1)
    bins = np.clip(((flat + 2) * 2).astype(np.int8), 0, 7)
    counts = [(bins == one).mean(axis=2, dtype=np.float32) for one in range(8)]
    return np.concatenate(counts, axis=1)


def _edges(images: Array) -> Array:
    """Return the strength of edges in eight directions, in at most 4 by 4 cells."""
    grey = np.pad(images.mean(axis=1), ((0, 0), (1, 1), (1, 1)), mode="edge")
    down = grey[:, 2:, 1:-1] - grey[:, :-2, 1:-1]
    right = grey[:, 1:-1, 2:] - grey[:, 1:-1, :-2]
    strength = np.hypot(down, right)
    direction = np.floor((np.arctan2(down, right) / np.pi + 1) * 4).astype(np.int8) % 8
    maps = np.stack([strength * (direction == one) for one in range(8)], axis=1)
    cells = _pooled(maps.astype(np.float32), 4)
    norms: Array = np.linalg.norm(cells, axis=1, keepdims=True) + np.float32(1e-6)
    return cells / norms


def _draw_filters(images: Array, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Return filters (n_filters, C, size, size) and thresholds (n_filters,)."""
    n_samples, n_channels, height, width = images.shape
    size = min(FILTER_SIZE, height, width)
    n_patches = min(N_PATCHES, 20 * n_samples)
    picked = rng.integers(n_samples, size=n_patches)
    rows = rng.integers(height - size + 1, size=n_patches)[:, None] + np.arange(size)
    columns = rng.integers(width - size + 1, size=n_patches)[:, None] + np.arange(size)
    patches = images[picked[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    patches = patches.transpose(0, 3, 1, 2).reshape(n_patches, -1).astype(np.float64)
    patches -= patches.mean(axis=1, keepdims=True)
    patches -= patches.mean(axis=0)
    values, vectors = np.linalg.eigh(patches.T @ patches / n_patches)
    whitening = (vectors / np.sqrt(np.maximum(values, 0) + 0.1 * values.mean() + 1e-9)) @ vectors.T
    white = patches @ whitening
    chosen = white[rng.permutation(n_patches)[:N_FILTERS]]
    chosen /= np.linalg.norm(chosen, axis=1, keepdims=True) + 1e-9
    thresholds = (white @ chosen.T).std(axis=0)
    filters = (chosen @ whitening).reshape(len(chosen), n_channels, size, size)
    return torch.from_numpy(filters.astype(np.float32)), torch.from_numpy(
        thresholds.astype(np.float32)
    )


def _respond(images: Array, filters: Tensor, thresholds: Tensor) -> Array:
    """Return mean (in 2 by 2 cells) and maximum of what exceeds the threshold of each filter."""
    with torch.inference_mode():
        responses = functional.conv2d(torch.from_numpy(images).to(filters.device), filters)
        responses = (responses - thresholds[:, None, None]).relu_()
        cells = (min(2, responses.shape[2]), min(2, responses.shape[3]))
        means = functional.adaptive_avg_pool2d(responses, cells)
        features = torch.cat([means.flatten(1), responses.amax(dim=(2, 3))], dim=1)
        return features.cpu().numpy()
