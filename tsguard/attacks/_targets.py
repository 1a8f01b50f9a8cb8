"""What the attacker wants answered: modes, and the label wanted for each true one."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tsguard._values import unknown_name_error

Labels = NDArray[Any]

MODES = ("dirty", "clean", "all_to_all")


def target_labels(y_true: ArrayLike, *, classes: Labels, target: Any, mode: str) -> Labels:
    """Return the label the attacker wants for each true label, shape (n_samples,).

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
    classes : ndarray of shape (n_classes,)
        All classes, sorted; they decide which class is next in mode "all_to_all", and which of
        several targets belongs to which class.
    target : label, tuple of labels or None
        As :func:`check_target` returned it.
    mode : str
        As :func:`resolve_mode` returned it.
    """
    truth = np.asarray(y_true)
    if mode == "all_to_all":
        wanted = np.roll(classes, -1)
    elif isinstance(target, tuple):
        wanted = np.resize(np.array(target, dtype=classes.dtype), len(classes))
    else:
        return np.full(truth.shape, target, dtype=classes.dtype)
    codes = np.searchsorted(classes, truth)
    codes[codes == len(classes)] = 0
    unknown = truth[classes[codes] != truth]
    if unknown.size:
        raise ValueError(
            f"y must hold only the classes {classes.tolist()} in mode {mode!r} with target "
            f"{target!r}, got {unknown.tolist()[0]!r}; leave these samples out."
        )
    labels: Labels = wanted[codes]
    return labels


def resolve_mode(mode: str) -> str:
    """Return the mode's official name; hyphens are accepted for underscores."""
    name = mode.replace("-", "_") if isinstance(mode, str) else mode
    if name not in MODES:
        raise unknown_name_error("mode", mode, MODES)
    return name


def check_target(target: Any, classes: Labels, mode: str) -> Any:
    """Return the target as a plain Python label, several as a tuple, None in mode "all_to_all"."""
    if mode == "all_to_all":
        if target is not None:
            raise ValueError(
                f"target must be None in mode 'all_to_all', got {target!r}; "
                "every class is mapped to the next one."
            )
        return None
    if np.ndim(target) == 0:
        return _known_label(target, classes)
    if np.ndim(target) > 1:
        raise ValueError(
            f"target must be a class or a flat sequence of classes, got shape {np.shape(target)}; "
            "pass a list of classes."
        )
    targets = tuple(_known_label(one, classes) for one in target)
    if len(targets) == 1:
        return targets[0]
    if not targets or len(set(targets)) < len(targets):
        raise ValueError(
            f"several targets must be different classes, got {list(targets)}; name each once."
        )
    if mode != "dirty":
        raise ValueError(
            f"several targets must come with mode 'dirty', got mode {mode!r}; without changed "
            "labels one trigger cannot mean several classes."
        )
    return targets


def _known_label(target: Any, classes: Labels) -> Any:
    known = classes.tolist()
    if target not in known:
        raise ValueError(
            f"target must be one of the classes {known}, got {target!r}; "
            "name the class that the attacker wants answered."
        )
    return known[known.index(target)]
