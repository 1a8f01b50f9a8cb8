"""The one owner of what valid class labels are.

Messages carry a few phrases that scikit-learn's estimator checks look for, hence their wording.
"""

import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def check_labels(y: ArrayLike, n_samples: int, *, allow_one_class: bool = False) -> NDArray[Any]:
    """Return class labels as a 1-D array, dtype kept, or refuse them.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Integers, strings, booleans, or floats without fraction. A column (n_samples, 1) is
        accepted with a ``DataConversionWarning``.
    n_samples : int
        Number of series that the labels belong to.
    allow_one_class : bool
        Whether fewer than two distinct labels are fine, as in a test set.

    Returns
    -------
    ndarray of shape (n_samples,)

    Raises
    ------
    ValueError
        If `y` is absent, not 1-D, of another length, continuous, has missing or infinite labels,
        or holds fewer than two classes.
    TypeError
        If the labels cannot be ordered, such as strings mixed with numbers.
    """
    labels = _read_labels(y)
    if len(labels) != n_samples:
        raise ValueError(
            f"y must hold one label per series, got {len(labels)} labels for {n_samples} series; "
            "pass X and y with the same rows."
        )
    _refuse_unfit_labels(labels)
    try:
        classes = np.unique(labels)
    except TypeError as error:
        raise TypeError(
            f"y must hold labels of one kind, got a mixture (Unknown label type: {error}); "
            "make them all strings or all integers."
        ) from error
    if len(classes) < 2 and not allow_one_class:
        got = f"one class ({classes.tolist()[0]!r})" if len(classes) else "no label"
        raise ValueError(
            f"y must hold at least two classes, got {got}; add series of another class."
        )
    return labels


def check_same_kind(labels: NDArray[Any], classes: ArrayLike) -> None:
    """Refuse labels that can equal none of the classes: texts for numbers, or numbers for texts.

    Compared as they are, they would count as wrong answers, and a backdoor as harmless.

    Raises
    ------
    ValueError
    """
    known = np.asarray(classes)
    if len(labels) and len(known) and _is_text(labels) != _is_text(known):
        got, wanted = ("texts", "numbers") if _is_text(labels) else ("numbers", "texts")
        raise ValueError(
            f"y must hold labels of the kind that the classifier was fitted on, got {got} (such as "
            f"{labels.tolist()[0]!r}) where its classes are {wanted} (such as "
            f"{known.tolist()[0]!r}); convert them, with y.astype(int) or y.astype(str), say."
        )


def _is_text(labels: NDArray[Any]) -> bool:
    return labels.dtype.kind in "US" or isinstance(labels.tolist()[0], str)


def _read_labels(y: Any) -> NDArray[Any]:
    if y is None:
        raise ValueError(
            "y must be one label per series, got None (requires y to be passed, but the target y "
            "is None); pass the labels."
        )
    try:
        labels = np.asarray(y)
    except ValueError as error:
        raise ValueError(
            f"y must be 1-D, got rows of different length ({error}); pass one label per series."
        ) from error
    if labels.ndim == 2 and labels.shape[1] == 1:
        from sklearn.exceptions import DataConversionWarning

        warnings.warn(
            "A column-vector y was passed when a 1d array was expected; pass y.ravel().",
            DataConversionWarning,
            stacklevel=4,
        )
        return labels.ravel()
    if labels.ndim != 1:
        raise ValueError(
            f"y must be 1-D, got shape {labels.shape} (y should be a 1d array); pass one label "
            "per series."
        )
    return labels


def _refuse_unfit_labels(labels: NDArray[Any]) -> None:
    """Refuse complex, missing, infinite and continuous labels."""
    kind = labels.dtype.kind
    if kind not in "biufUSO":
        hint = "Complex data not supported" if kind == "c" else "Unknown label type"
        raise ValueError(
            f"y must hold integers or strings, got {labels.dtype} ({hint}); convert it first."
        )
    if kind == "O":
        import pandas as pd  # knows every missing value: None, NaN, NaT, NA

        missing = np.asarray(pd.isna(labels))
    else:
        missing = ~np.isfinite(labels) if kind == "f" else np.zeros(len(labels), dtype=bool)
    if missing.any():
        raise ValueError(
            f"y must hold a label for every series, got {missing.sum()} missing or infinite, the "
            f"first being y[{missing.argmax()}]; remove these series or label them."
        )
    fractional = labels[labels != np.floor(labels)] if kind == "f" else labels[:0]
    if len(fractional):
        raise ValueError(
            f"y must hold class labels, got numbers with a fraction such as {fractional[0]:g} "
            "(Unknown label type: continuous); bin them or pass integers or strings."
        )
