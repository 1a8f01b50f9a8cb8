"""The one owner of axis order, dtype, and what is valid input.

Letters: N samples, C channels, T timepoints. A panel is float32 of shape (N, C, T), C-contiguous.
Messages carry a few phrases that scikit-learn's estimator checks look for, hence their wording.
"""

from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from tsguard._parallel import map_rows

Panel = NDArray[np.float32]

# A panel, or a list of series (C, T_i) whose lengths may differ.
_Series = Panel | list[Panel]


def to_panel(X: ArrayLike | Sequence[ArrayLike], *, n_timepoints: int | None = None) -> Panel:
    """Turn series of any usual form into one panel, the treatment used for every data set here.

    In this order:

    1. Timepoints at the end of a series that are NaN in all channels are padding, as archives
       write it, and are cut: such a series counts as a shorter one.
    2. Other missing values (NaN) are interpolated linearly within their series and channel, take
       the nearest value at the two ends, and become 0 where the whole channel is missing.
    3. Series whose length differs from `n_timepoints` are stretched to it by linear interpolation;
       first and last value stay where they are.

    Parameters
    ----------
    X : array, pandas DataFrame or list of arrays
        2-D (n_samples, n_timepoints) for one channel, 3-D (n_samples, n_channels, n_timepoints),
        or a list of arrays (n_channels, n_timepoints_i) or (n_timepoints_i,). Never changed.
    n_timepoints : int, optional
        Length of the result. Default: the longest series in `X`, padding not counted.

    Returns
    -------
    ndarray of float32 of shape (n_samples, n_channels, n_timepoints)
        Finite and C-contiguous. It may share memory with `X`: copy it before writing to it.

    Raises
    ------
    ValueError
        If `X` is empty, has another number of dimensions, holds infinity, or mixes numbers of
        channels; if `n_timepoints` is below 1.
    TypeError
        If `X` is sparse or does not hold real numbers, or `n_timepoints` is not an integer.

    Examples
    --------
    >>> to_panel([[0.0, 1.0, 2.0], [0.0, 2.0]])
    array([[[0., 1., 2.]],
    <BLANKLINE>
           [[0., 1., 2.]]], dtype=float32)
    >>> to_panel([[1.0, float("nan"), 3.0]]).tolist()
    [[[1.0, 2.0, 3.0]]]
    """
    _check_length(n_timepoints)
    series = _read_series(X, "X")
    if not _all_finite(series):
        _refuse_values(series, np.isinf, "infinity (or a value too large for float32)", "X")
        series = [_fill_missing(_cut_padding(one)) for one in series]
    return _stretch_all(series, n_timepoints)


def check_panel(
    X: ArrayLike | Sequence[ArrayLike], *, name: str = "X", n_timepoints: int | None = None
) -> Panel:
    """Return `X` as a panel, or refuse it: the strict sibling of :func:`to_panel`.

    Parameters
    ----------
    X : array, pandas DataFrame or list of arrays
        As in :func:`to_panel`, but without missing values.
    name : str
        What messages call `X`.
    n_timepoints : int, optional
        Length to which a list of arrays is stretched (default: its longest series). It does not
        touch one regular array, whose length is a fact to check with :func:`check_shape_matches`.

    Returns
    -------
    ndarray of float32 of shape (n_samples, n_channels, n_timepoints)
        It may share memory with `X`: copy it before writing to it.

    Raises
    ------
    ValueError
        As :func:`to_panel`, and if `X` holds NaN.
    TypeError
        As :func:`to_panel`.
    """
    _check_length(n_timepoints)
    series = _read_series(X, name)
    if not _all_finite(series):
        _refuse_values(series, np.isnan, "NaN", name)
        _refuse_values(series, np.isinf, "infinity (or a value too large for float32)", name)
    return series if isinstance(series, np.ndarray) else _stretch_all(series, n_timepoints)


def check_shape_matches(X: Panel, n_channels: int, n_timepoints: int, estimator_name: str) -> None:
    """Refuse a panel whose channels or timepoints differ from those seen in ``fit``.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_channels, n_timepoints)
    n_channels, n_timepoints : int
        Shape of one series in ``fit``.
    estimator_name : str
        For the message.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    got = X.shape[1:]
    if got != (n_channels, n_timepoints):
        raise ValueError(
            f"X must have the {n_channels} channel(s) and {n_timepoints} timepoints seen in fit, "
            f"got {got[0]} channel(s) and {got[1]} timepoints (X has {got[0] * got[1]} features, "
            f"but {estimator_name} is expecting {n_channels * n_timepoints} features as input); "
            f"stretch series of another length with tsguard.to_panel(X, n_timepoints="
            f"{n_timepoints})."
        )


def check_fraction(
    value: object,
    name: str,
    *,
    low: float = 0.0,
    high: float = 1.0,
    include_low: bool = True,
    include_high: bool = True,
) -> float:
    """Return a number between `low` and `high`, or refuse it.

    Parameters
    ----------
    value : float
    name : str
        What the message calls the value.
    low, high : float
        Bounds.
    include_low, include_high : bool
        Whether the bounds themselves are valid.

    Returns
    -------
    float

    Raises
    ------
    TypeError
        If `value` is not a real number (a boolean is none).
    ValueError
        If it is outside the bounds, or NaN.
    """
    bounds = f"{'[' if include_low else '('}{low:g}, {high:g}{']' if include_high else ')'}"
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(
            f"{name} must be a number in {bounds}, got {value!r} of type "
            f"{type(value).__name__}; pass a float."
        )
    number = float(value)
    above = number >= low if include_low else number > low
    below = number <= high if include_high else number < high
    if not (above and below):
        raise ValueError(
            f"{name} must be a number in {bounds}, got {number:g}; pass a share, not a percentage."
        )
    return number


# -- reading series ----------------------------------------------------------------------------


def _read_series(X: Any, name: str) -> _Series:
    """Return a panel, or a list of series (C, T_i) if `X` is a list of arrays."""
    if hasattr(X, "tocsr"):  # a scipy sparse matrix or array, without importing scipy
        raise TypeError(
            f"{name} must be a dense array, got a sparse {type(X).__name__}; pass X.toarray()."
        )
    if not isinstance(X, list | tuple):
        array = _as_array(X, name)
        if array.ndim != 1 or array.dtype != object:
            return _as_panel(_to_float32(array, name), name)
        X = list(array)
    if not X:
        raise ValueError(
            f"{name} must hold at least one series, got an empty list (0 samples); pass series."
        )
    # A list of arrays is stretched where needed; nested plain lists are one array written out.
    is_nested = not any(isinstance(one, np.ndarray) for one in X)
    series = [
        _to_float32(_as_array(one, f"{name}[{i}]"), f"{name}[{i}]") for i, one in enumerate(X)
    ]
    if is_nested and len({one.shape for one in series}) == 1:
        return _as_panel(np.stack(series), name)
    return [_as_panel(one[None], name)[0] for one in _same_channels(series, name)]


def _as_array(X: Any, name: str) -> NDArray[Any]:
    try:
        if hasattr(X, "columns") and hasattr(X, "to_numpy"):  # a DataFrame, pd.NA included
            array = np.asarray(X)
            return X.to_numpy(np.float64, na_value=np.nan) if array.dtype == object else array
        return np.asarray(X)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"{name} must hold real numbers in rows of one length, got {type(X).__name__} that "
            f"NumPy cannot convert ({error}); pass a list of arrays if lengths differ."
        ) from error


def _to_float32(array: NDArray[Any], name: str) -> Panel:
    if array.dtype.kind == "c":
        raise ValueError(
            f"{name} must hold real numbers, got {array.dtype} (Complex data not supported); "
            "pass real and imaginary part as two channels."
        )
    if array.dtype.kind not in "biufO":
        raise TypeError(
            f"{name} must hold real numbers, got dtype {array.dtype}; convert it first."
        )
    # A float64 above float32's range becomes infinity, which the caller then looks for.
    with np.errstate(over="ignore"):
        try:
            return array.astype(np.float32, order="C", copy=False)
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"{name} must hold real numbers, got objects that NumPy cannot convert ({error}); "
                "convert them first."
            ) from error


def _as_panel(array: Panel, name: str) -> Panel:
    if array.ndim not in (2, 3):
        raise ValueError(
            f"{name} must be 2-D (n_samples, n_timepoints) or 3-D (n_samples, n_channels, "
            f"n_timepoints), got {array.ndim}-D of shape {array.shape}; Reshape your data, one "
            "series of one channel with X.reshape(1, -1)."
        )
    if array.shape[0] == 0:
        raise ValueError(
            f"{name} must hold at least one series, got 0 sample(s) (shape={array.shape}) while a "
            "minimum of 1 is required; pass series."
        )
    if 0 in array.shape:
        raise ValueError(
            f"{name} must hold at least one timepoint, got 0 feature(s) (shape={array.shape}) "
            "while a minimum of 1 is required; remove empty series."
        )
    return array if array.ndim == 3 else array[:, None, :]


def _same_channels(series: list[Panel], name: str) -> list[Panel]:
    """Return the series as (C, T_i), all with the same C."""
    if all(one.ndim == 0 for one in series):
        _as_panel(np.stack(series), name)  # a list of numbers: say so once, for the whole
    series = [one[None] if one.ndim == 1 else one for one in series]
    for i, one in enumerate(series):
        if one.ndim != 2:
            raise ValueError(
                f"{name}[{i}] must be one series (n_channels, n_timepoints) or (n_timepoints,), "
                f"got shape {one.shape}; pass one array per series."
            )
        if len(one) != len(series[0]):
            raise ValueError(
                f"{name} must hold series with one number of channels, got {len(series[0])} in "
                f"{name}[0] and {len(one)} in {name}[{i}]; is an array (n_timepoints, n_channels)?"
            )
    return series


# -- values and lengths ------------------------------------------------------------------------


def _check_length(n_timepoints: object) -> None:
    if n_timepoints is None:
        return
    if isinstance(n_timepoints, bool) or not isinstance(n_timepoints, Integral):
        raise TypeError(
            f"n_timepoints must be an integer or None, got {n_timepoints!r}; pass a length."
        )
    if n_timepoints < 1:
        raise ValueError(f"n_timepoints must be 1 or larger, got {n_timepoints}; pass a length.")


def _all_finite(series: _Series) -> bool:
    if not isinstance(series, np.ndarray):
        return all(_all_finite(one) for one in series)
    bits = np.ascontiguousarray(series).view(np.int32)
    return all(map_rows(lambda rows: _is_finite(bits[rows].reshape(-1)), len(bits), bits.nbytes))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _is_finite(bits: NDArray[np.int32]) -> bool:
    """Say whether float32 values, given by their bits, are free of NaN and infinity.

    These have all exponent bits set, and without the sign no finite value is as large. A maximum of
    integers runs at the speed of memory; ``isfinite`` needs several times as long.
    """
    largest = np.int32(0)
    for i in range(bits.size):
        largest = max(largest, bits[i] & np.int32(0x7FFFFFFF))
    return bool(largest < np.int32(0x7F800000))


def _refuse_values(
    series: _Series, is_bad: Callable[[Panel], NDArray[np.bool_]], what: str, name: str
) -> None:
    bad = [i for i, one in enumerate(series) if is_bad(one).any()]
    if bad:
        remedy = "fill it with tsguard.to_panel(X)" if what == "NaN" else "remove or clip it"
        raise ValueError(
            f"{name} must hold finite values, got {what} in {len(bad)} of {len(series)} series, "
            f"the first being {name}[{bad[0]}]; {remedy}."
        )


def _cut_padding(series: Panel) -> Panel:
    """Cut trailing timepoints that are NaN in all channels; (C, T) to (C, T_i)."""
    seen = np.flatnonzero(~np.isnan(series).all(axis=0))
    return series[:, : seen[-1] + 1] if len(seen) else series


def _fill_missing(series: Panel) -> Panel:
    missing = np.isnan(series)
    if not missing.any():
        return series
    filled = series.copy()
    for channel, gaps in zip(filled, missing, strict=True):
        known = np.flatnonzero(~gaps)
        if len(known):
            channel[gaps] = np.interp(np.flatnonzero(gaps), known, channel[known])
        else:
            channel[:] = 0
    return filled


def _stretch_all(series: _Series, n_timepoints: int | None) -> Panel:
    if isinstance(series, np.ndarray):
        return _stretch(series, n_timepoints or series.shape[-1])
    length = n_timepoints or max(one.shape[-1] for one in series)
    return np.stack([_stretch(one, length) for one in series])


def _stretch(series: Panel, length: int) -> Panel:
    """Interpolate (..., T) linearly to (..., length)."""
    n_timepoints = series.shape[-1]
    if n_timepoints == length:
        return series
    position = np.linspace(0, n_timepoints - 1, length)
    left = position.astype(np.intp)
    right = np.minimum(left + 1, n_timepoints - 1)
    # np.take, not series[..., left]: that one may come out in Fortran order.
    start = np.take(series, left, axis=-1).astype(np.float64)
    stretched: NDArray[np.float64] = start + (np.take(series, right, axis=-1) - start) * (
        position - left
    )
    return stretched.astype(np.float32)
