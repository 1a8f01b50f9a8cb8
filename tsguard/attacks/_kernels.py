"""Numba kernels of the triggers: arrays in, arrays out; no checks, no random numbers.

All take a panel ``X`` of shape (n_samples, n_channels, n_timepoints), float32 and C-contiguous, and
fill ``out`` of the same shape, which never overlaps ``X``: loops could not work on eight values at
a time otherwise. :func:`run` gives every core its share of the samples, for which kernels are
compiled with ``nogil``; ``cache`` spares a second process the compilation.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tsguard._parallel import map_rows
from tsguard._validation import Panel

#: Bytes that are stamped at a time in place: they stay in the nearest cache until they are copied.
_BLOCK = 2**19


def run(
    kernel: Callable[..., None],
    X: Panel,
    out: Panel,
    *arguments: Any,
    rows: NDArray[np.int64] | None = None,
) -> None:
    """Call ``kernel(X, *arguments, out)`` on all cores, each with its share of the samples.

    ``out`` may be ``X`` itself: the kernel then fills a small block at a time, which is copied.
    ``rows``, if given, holds one number per sample; the kernel gets its share of them before
    ``out``.
    """
    in_place = out.ctypes.data == X.ctypes.data
    n_block = max(1, _BLOCK // X[0].nbytes)

    def stamp(share: slice, result: Panel) -> None:
        own = () if rows is None else (rows[share],)
        kernel(X[share], *arguments, *own, result)

    def work(share: slice) -> None:
        if not in_place:
            stamp(share, out[share])
            return
        block = np.empty((min(n_block, share.stop - share.start), *X.shape[1:]), np.float32)
        for start in range(share.start, share.stop, n_block):
            part = slice(start, min(start + n_block, share.stop))
            result = block[: part.stop - part.start]
            stamp(part, result)
            out[part] = result

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


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def blend(X: Panel, carrier: NDArray[np.float32], shares: NDArray[np.float32], out: Panel) -> None:
    """Move each series towards a carrier of shape (n_timepoints,) between 0 and 1.

    The carrier is taken to the series' own range; ``shares`` says for each channel how far to go.
    """
    n_samples, n_channels, n_timepoints = X.shape
    bits = X.view(np.int32)
    for i in range(n_samples):
        for c in range(n_channels):
            low, high = series_range(bits[i, c])
            span, share = high - low, shares[c]
            for t in range(n_timepoints):
                value = X[i, c, t]
                # Written as a change, so that equal values stay equal to the last bit.
                out[i, c, t] = value + share * ((low - value) + span * carrier[t])


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def resample(X: Panel, left: NDArray[np.uint32], weight: NDArray[np.float32], out: Panel) -> None:
    """Read each series between steps ``left`` and the next, ``weight`` of the way.

    Indices are unsigned because numba asks of every signed one whether it counts from the end.
    """
    n_samples, n_channels, n_timepoints = X.shape
    flat = X.reshape(n_samples * n_channels, n_timepoints)
    result = out.reshape(n_samples * n_channels, n_timepoints)
    for i in range(len(flat)):
        for t in range(n_timepoints):
            value = flat[i, left[t]]
            result[i, t] = value + weight[t] * (flat[i, left[t] + np.uint32(1)] - value)


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})  # type: ignore[untyped-decorator]
def shift_waves(
    X: Panel,
    analysis: NDArray[np.float32],
    synthesis: NDArray[np.float32],
    channels: NDArray[np.bool_],
    out: Panel,
) -> None:
    """Add the rows of ``synthesis``, each as strongly as the series holds its row of ``analysis``.

    Both have shape (n_groups, 4, n_timepoints): four rows in one go read the series once, not four
    times. Rows of different groups must be orthogonal, since a group reads what the one before it
    wrote. Sums may be taken in any order (``fastmath``), so that they run eight at a time; they
    start from the first value, so that an offset costs no digits and a constant series gives 0.
    """
    n_samples, n_channels, n_timepoints = X.shape
    for i in range(n_samples):
        for c in range(n_channels):
            if not channels[c]:
                for t in range(n_timepoints):
                    out[i, c, t] = X[i, c, t]
                continue
            source = X[i, c]
            for group in range(len(analysis)):
                first = source[0]
                p = q = r = s = np.float32(0)
                for t in range(n_timepoints):
                    value = source[t] - first
                    p += value * analysis[group, 0, t]
                    q += value * analysis[group, 1, t]
                    r += value * analysis[group, 2, t]
                    s += value * analysis[group, 3, t]
                for t in range(n_timepoints):
                    change = p * synthesis[group, 0, t] + q * synthesis[group, 1, t]
                    change += r * synthesis[group, 2, t] + s * synthesis[group, 3, t]
                    out[i, c, t] = source[t] + change
                source = out[i, c]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def add_shifted_wave(
    X: Panel,
    wave: NDArray[np.float32],
    shares: NDArray[np.float32],
    starts: NDArray[np.int64],
    out: Panel,
) -> None:
    """Add a wave, read from another start for each sample, in units of each series' own range."""
    n_samples, n_channels, n_timepoints = X.shape
    bits = X.view(np.int32)
    for i in range(n_samples):
        piece = wave[starts[i] : starts[i] + n_timepoints]
        for c in range(n_channels):
            low, high = series_range(bits[i, c])
            size = shares[c] * (high - low)
            for t in range(n_timepoints):
                out[i, c, t] = X[i, c, t] + size * piece[t]
