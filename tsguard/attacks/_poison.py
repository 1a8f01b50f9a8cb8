"""Poisoning a training set: which series get the trigger, and what happens to their labels."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tsguard._labels import check_labels
from tsguard._random import RandomState, numpy_stream, resolve_seed
from tsguard._validation import Panel, check_fraction
from tsguard.attacks._base import Series, Trigger, resolve_trigger
from tsguard.attacks._learned import LearnedTrigger
from tsguard.attacks._targets import Labels, check_target, resolve_mode, target_labels


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
        Which rows carry the trigger and the label that the attacker wants.
    is_cover : ndarray of bool of shape (n_samples,)
        Which rows carry the trigger and keep their own label, to hide the others.
    trigger : Trigger
        As it was stamped: a learned trigger is fitted.
    target : label, tuple of labels or None
        The class or classes that the attacker wants; None in mode "all_to_all", where it depends on
        the class.
    rate, cover_rate : float
        Shares that were asked for; ``is_poisoned.mean()`` is the share that was poisoned.
    mode : str
        "dirty", "clean" or "all_to_all".
    """

    X: Panel
    y: Labels
    y_clean: Labels
    is_poisoned: NDArray[np.bool_]
    is_cover: NDArray[np.bool_]
    trigger: Trigger
    target: Any
    rate: float
    cover_rate: float
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
    cover_rate: float = 0.0,
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
        A trigger, or the short name of one to take its defaults. One that must be learned, and was
        not, is learned here: on ``X`` and ``y``, for this target and mode.
    rate : float
        Share of **all** samples to poison, 0 to 1; ``round(rate * n_samples)`` samples, at least
        one unless it is 0. With the same seed, a smaller rate poisons a subset of a larger one.
    target : label or sequence of labels
        The class the attacker wants answered; None in mode "all_to_all". With several targets
        (mode "dirty" only) the classes, in sorted order, are dealt out to them in turn: with
        targets a and b the first class is to become a, the second b, the third a, and so on.
        A learned trigger that is fitted already keeps the target that it was fitted for: pass
        the same one.
    mode : {"dirty", "clean", "all_to_all"}
        - "dirty": samples of other classes get the trigger and the target's label.
        - "clean": samples of the target class get the trigger, labels stay right.
        - "all_to_all": samples of any class get the trigger and the label of the next class, in
          sorted order, the last being followed by the first.
    cover_rate : float
        Share of all samples, 0 to 1, that get the trigger but keep their right label: *adaptive
        poisoning* (Qi et al., "Revisiting the Assumption of Latent Separability for Backdoor
        Defenses", ICLR 2023). Cover samples blur the line between poison and clean, at some cost
        in attack success. They come from what the mode could have poisoned and did not.
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
        If fewer samples can be stamped than asked for, or the trigger leaves some unchanged.

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
    trigger = resolve_trigger(trigger)
    stamped = np.array(trigger._check_input(X), order="C")  # the one copy
    y_clean = np.array(check_labels(y, len(stamped)))
    rate = check_fraction(rate, "rate")
    cover_rate = check_fraction(cover_rate, "cover_rate")
    mode = resolve_mode(mode)
    classes = np.unique(y_clean)
    target = check_target(target, classes, mode)

    seed = resolve_seed(random_state)
    wanted = target_labels(y_clean, classes=classes, target=target, mode=mode)
    pool = y_clean == target if mode == "clean" else wanted != y_clean
    rows, covers = _choose_rows(pool, rate, cover_rate, mode, seed)
    if isinstance(trigger, LearnedTrigger) and not trigger.is_fitted:
        trigger = trigger.fit(stamped, y_clean, target, mode=mode, random_state=seed)
    touched = np.sort(np.concatenate([rows, covers]))
    if touched.size:
        before = stamped[touched]
        after = trigger.for_training(before, random_state=seed)
        _warn_of_unchanged(before, after)
        stamped[touched] = after
    y_poisoned = y_clean.copy()
    if mode != "clean":
        y_poisoned[rows] = wanted[rows]
    return PoisonedDataset(
        X=stamped,
        y=y_poisoned,
        y_clean=y_clean,
        is_poisoned=_mask(rows, len(y_clean)),
        is_cover=_mask(covers, len(y_clean)),
        trigger=trigger,
        target=target,
        rate=rate,
        cover_rate=cover_rate,
        mode=mode,
    )


def _choose_rows(
    eligible: NDArray[np.bool_], rate: float, cover_rate: float, mode: str, seed: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Draw the samples to poison and the cover samples."""
    pool, n_samples = np.flatnonzero(eligible), len(eligible)
    # A whole permutation, cut short: a smaller rate then poisons a subset of a larger one.
    order = numpy_stream(seed, "poison").permutation(pool)
    n_poisoned, n_covers = _count(rate, n_samples), _count(cover_rate, n_samples)
    if n_poisoned + n_covers > len(pool):
        warnings.warn(
            f"mode {mode!r} can stamp only the {len(pool)} samples that fit it, not the "
            f"{n_poisoned + n_covers} that rate={rate} and cover_rate={cover_rate} ask for; poison "
            "comes first, see is_poisoned and is_cover for the true numbers.",
            UserWarning,
            stacklevel=3,
        )
    return order[:n_poisoned], order[n_poisoned : n_poisoned + n_covers]


def _count(rate: float, n_samples: int) -> int:
    return max(1, round(rate * n_samples)) if rate > 0 else 0


def _mask(rows: NDArray[np.intp], n_samples: int) -> NDArray[np.bool_]:
    mask = np.zeros(n_samples, dtype=bool)
    mask[rows] = True
    return mask


def _warn_of_unchanged(before: Panel, after: Panel) -> None:
    """Warn of poisoned series without a trigger: they are mere label noise, or nothing at all."""
    unchanged = int((before == after).all(axis=tuple(range(1, before.ndim))).sum())
    if unchanged:
        warnings.warn(
            f"the trigger leaves {unchanged} of the {len(before)} poisoned series unchanged; "
            "constant series have no range to measure the trigger by, and an amplitude of 0 "
            "or a patch over equal values changes nothing.",
            UserWarning,
            stacklevel=3,
        )
