"""Poisoning a training set: which series get the trigger, and what happens to their labels."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tsguard._labels import check_labels
from tsguard._random import RandomState, numpy_stream, resolve_seed
from tsguard._validation import Panel, check_fraction, check_panel
from tsguard.attacks._base import Series, Trigger, resolve_trigger, unknown_name_error

Labels = NDArray[Any]

MODES = ("dirty", "clean", "all_to_all")


@dataclass(frozen=True, eq=False)  # arrays have no single truth value to compare by
class PoisonedDataset:
    """A poisoned training set together with the truth about it.

    Only ``X`` and ``y`` may be given to a classifier; the rest is for evaluation.

    Attributes
    ----------
    X : ndarray of float32 of shape (n_samples, n_channels, n_timepoints)
        Rows in their original order; those not poisoned are bit-identical to the original.
    y : ndarray of shape (n_samples,)
        Labels as the defender sees them.
    y_clean : ndarray of shape (n_samples,)
        Labels before the attack.
    is_poisoned : ndarray of bool of shape (n_samples,)
        Which rows carry the trigger.
    trigger : Trigger
    target : label or None
        The class that the attacker wants; None in mode "all_to_all", where it depends on the class.
    rate : float
        Share that was asked for; ``is_poisoned.mean()`` is the share that was poisoned.
    mode : str
        "dirty", "clean" or "all_to_all".
    """

    X: Panel
    y: Labels
    y_clean: Labels
    is_poisoned: NDArray[np.bool_]
    trigger: Trigger
    target: Any
    rate: float
    mode: str

    def target_of(self, y_true: ArrayLike) -> Labels:
        """Return the label that the attacker wants for series of the true classes ``y_true``."""
        classes = np.unique(self.y_clean)
        return target_labels(y_true, classes=classes, target=self.target, mode=self.mode)


def poison(
    X: Series,
    y: ArrayLike,
    trigger: Trigger | str,
    *,
    rate: float = 0.1,
    target: Any = None,
    mode: str = "dirty",
    random_state: RandomState = None,
) -> PoisonedDataset:
    """Put a trigger into a share of a training set.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_channels, n_timepoints) or (n_samples, n_timepoints)
        Never changed. A list of series of unequal length is stretched to the longest.
    y : array-like of shape (n_samples,)
        True labels.
    trigger : Trigger or str
        A trigger, or the short name of one to take its defaults.
    rate : float
        Share of **all** samples to poison, 0 to 1; ``round(rate * n_samples)`` samples, at least
        one unless it is 0. With the same seed, a smaller rate poisons a subset of a larger one.
    target : label
        The class the attacker wants answered; None in mode "all_to_all".
    mode : {"dirty", "clean", "all_to_all"}
        - "dirty": samples of other classes get the trigger and the target's label.
        - "clean": samples of the target class get the trigger, labels stay right.
        - "all_to_all": samples of any class get the trigger and the label of the next class, in
          sorted order, the last being followed by the first.
    random_state : int, numpy.random.RandomState or None
        Chooses the samples, and is handed on to the trigger.

    Returns
    -------
    PoisonedDataset

    Raises
    ------
    ValueError
        If an input is invalid, the mode unknown, or the target no class of ``y``.

    Warns
    -----
    UserWarning
        If fewer samples can be poisoned than asked for, or the trigger leaves some unchanged.

    Examples
    --------
    >>> import numpy as np
    >>> from tsguard import attacks
    >>> X = np.random.default_rng(0).normal(size=(20, 1, 50))
    >>> y = np.repeat(["a", "b"], 10)
    >>> p = attacks.poison(X, y, attacks.PatchTrigger(), rate=0.1, target="a", random_state=0)
    >>> p.y_clean[p.is_poisoned], p.y[p.is_poisoned]
    (array(['b', 'b'], dtype='<U1'), array(['a', 'a'], dtype='<U1'))
    """
    stamped = np.array(check_panel(X), order="C")  # the one copy
    y_clean = np.array(check_labels(y, len(stamped)))
    trigger = resolve_trigger(trigger)
    rate = check_fraction(rate, "rate")
    mode = resolve_mode(mode)
    classes = np.unique(y_clean)
    target = check_target(target, classes, mode)

    seed = resolve_seed(random_state)
    rows = _choose_rows(y_clean, target, mode, rate, seed)
    y_poisoned = y_clean.copy()
    if rows.size:
        before = stamped[rows]
        after = trigger.apply(before, random_state=seed)
        _warn_of_unchanged(before, after)
        stamped[rows] = after
        y_poisoned[rows] = target_labels(y_clean[rows], classes=classes, target=target, mode=mode)
    is_poisoned = np.zeros(len(y_clean), dtype=bool)
    is_poisoned[rows] = True
    return PoisonedDataset(stamped, y_poisoned, y_clean, is_poisoned, trigger, target, rate, mode)


def target_labels(y_true: ArrayLike, *, classes: Labels, target: Any, mode: str) -> Labels:
    """Return the label the attacker wants for each true label, shape (n_samples,).

    ``classes`` are all classes, sorted; in mode "all_to_all" they decide which class is next.
    """
    truth = np.asarray(y_true)
    if mode != "all_to_all":
        return np.full(truth.shape, target, dtype=classes.dtype)
    codes = np.searchsorted(classes, truth)
    codes[codes == len(classes)] = 0
    unknown = truth[classes[codes] != truth]
    if unknown.size:
        raise ValueError(
            f"y must hold only the classes {classes.tolist()} in mode 'all_to_all', "
            f"got {unknown.tolist()[0]!r}; leave these samples out."
        )
    following: Labels = classes[(codes + 1) % len(classes)]
    return following


def resolve_mode(mode: str) -> str:
    """Return the mode's official name; hyphens are accepted for underscores."""
    name = mode.replace("-", "_") if isinstance(mode, str) else mode
    if name not in MODES:
        raise unknown_name_error("mode", mode, MODES)
    return name


def check_target(target: Any, classes: Labels, mode: str) -> Any:
    """Return the target as a plain Python label, None in mode "all_to_all"."""
    known = classes.tolist()
    if mode == "all_to_all":
        if target is not None:
            raise ValueError(
                f"target must be None in mode 'all_to_all', got {target!r}; "
                "every class is mapped to the next one."
            )
        return None
    if target not in known:
        raise ValueError(
            f"target must be one of the classes {known}, got {target!r}; "
            "name the class that the attacker wants answered."
        )
    return known[known.index(target)]


def _choose_rows(
    y_clean: Labels, target: Any, mode: str, rate: float, seed: int
) -> NDArray[np.intp]:
    """Draw the samples to poison, sorted."""
    pools = {
        "dirty": (y_clean != target, f"outside class {target!r}"),
        "clean": (y_clean == target, f"in class {target!r}"),
        "all_to_all": (np.ones(len(y_clean), dtype=bool), "in all"),
    }
    eligible, where = pools[mode]
    pool = np.flatnonzero(eligible)
    wanted = max(1, round(rate * len(y_clean))) if rate > 0 else 0
    if wanted > len(pool):
        warnings.warn(
            f"mode {mode!r} can poison only the {len(pool)} samples {where}, not the {wanted} "
            f"that rate={rate} asks for; see is_poisoned for the true number.",
            UserWarning,
            stacklevel=3,
        )
    # A whole permutation, cut short: a smaller rate then poisons a subset of a larger one.
    order = numpy_stream(seed, "poison").permutation(pool)
    return np.sort(order[:wanted])


def _warn_of_unchanged(before: Panel, after: Panel) -> None:
    """Warn of poisoned series without a trigger: they are mere label noise, or nothing at all."""
    unchanged = int((before == after).all(axis=(1, 2)).sum())
    if unchanged:
        warnings.warn(
            f"the trigger leaves {unchanged} of the {len(before)} poisoned series unchanged; "
            "constant series have no range to measure the trigger by, and an amplitude of 0 "
            "or a patch over equal values changes nothing.",
            UserWarning,
            stacklevel=3,
        )
