"""Numba kernels of the triggers: arrays in, arrays out; no checks, no random numbers.

All take a panel ``X`` of shape (n_samples, n_channels, n_timepoints), float32 and C-contiguous, and
fill ``out`` of the same shape. Out of place costs one pass over memory, as a copy would.

``out`` may be ``X`` itself: a kernel reads what it needs of a series before it writes to it. Each
is compiled with ``nogil`` and ``cache``, so that :func:`run` can give every core its share of the
samples, and a second process need not compile again.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tsguard._parallel import map_rows
from tsguard._validation import Panel


def run(kernel: Callable[..., None], X: Panel, out: Panel, *arguments: Any) -> None:
    """Call ``kernel(X, *arguments, out)`` on all cores, each with its share of the samples."""

    def work(rows: slice) -> None:
        kernel(X[rows], *arguments, out[rows])

    map_rows(work, len(X), X.nbytes)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def ordered(bits: np.int32) -> np.int32:
    """Map the bits of a float32 to an integer of the same order; applied twice it gives them back.

    The smallest and largest float are then found with integers. Compilers run integer minima
    eight at a time; float minima, because of NaN, one by one, which is three times slower.
    """
    return np.int32(bits ^ ((bits >> np.int32(31)) & np.int32(0x7FFFFFFF)))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def series_range(bits: NDArray[np.int32]) -> tuple[np.float32, np.float32]:
    """Return the smallest and largest value of one series, given as ``series.view(int32)``."""
    low = high = ordered(bits[0])
    for t in range(1, bits.size):
        value = ordered(bits[t])
        low = min(low, value)
        high = max(high, value)
    return np.int32(ordered(low)).view(np.float32), np.int32(ordered(high)).view(np.float32)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def alternate_extremes(
    X: Panel, start: int, stop: int, channels: NDArray[np.bool_], out: Panel
) -> None:
    """Write the series' own maximum, minimum, maximum, ... into steps start to stop - 1."""
    n_samples, n_channels, n_timepoints = X.shape
    bits = X.view(np.int32)
    for i in range(n_samples):
        for c in range(n_channels):
            for t in range(n_timepoints):
                out[i, c, t] = X[i, c, t]
            if channels[c]:
                low, high = series_range(bits[i, c])
                for t in range(start, stop):
                    out[i, c, t] = high if (t - start) % 2 == 0 else low


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def add_pattern(X: Panel, pattern: NDArray[np.float32], out: Panel) -> None:
    """Add a pattern of shape (n_channels, n_timepoints), in units of each series' own range."""
    n_samples, n_channels, n_timepoints = X.shape
    bits = X.view(np.int32)
    for i in range(n_samples):
        for c in range(n_channels):
            low, high = series_range(bits[i, c])
            span = high - low
            for t in range(n_timepoints):
                out[i, c, t] = X[i, c, t] + span * pattern[c, t]
