"""What clean accuracy, attack success and isolation quality mean; nobody else computes them.

Everything here may see the truth about an attack, so nothing under ``fit`` may import it.
Values that are undefined (a precision without suspects, say) are None and never NaN, so that every
result can be written as JSON.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import roc_auc_score

from tsguard._labels import check_labels, check_same_kind
from tsguard._random import RandomState
from tsguard._validation import check_panel
from tsguard.attacks._base import Series, Trigger, resolve_trigger
from tsguard.attacks._poison import PoisonedDataset
from tsguard.attacks._targets import Labels, check_target, resolve_mode, target_labels


@dataclass(frozen=True)
class Evaluation:
    """How a classifier does on a test set, with and without the trigger.

    Attributes
    ----------
    clean_accuracy : float
        Share of all test samples, without trigger, answered with their true class. Higher is
        better, 0 to 1.
    attack_success_rate : float or None
        Share of triggered samples answered as the attacker wants. Lower is better, 0 to 1.
        Samples whose true class is the target are left out: answering it is right for them.
    robust_accuracy : float or None
        Share of the same triggered samples answered with their true class. Higher is better.
    n_clean : int
        Number of test samples.
    n_triggered : int
        Number of triggered samples; the two attack values are None where it is 0.
    """

    clean_accuracy: float
    attack_success_rate: float | None
    robust_accuracy: float | None
    n_clean: int
    n_triggered: int

    def to_dict(self) -> dict[str, Any]:
        """Return the values by name, ready for ``json.dumps``."""
        return asdict(self)


@dataclass(frozen=True)
class IsolationScores:
    """How well a defence found the poisoned training samples.

    Attributes
    ----------
    isolation_precision : float or None
        Share of the suspects that are poisoned, 0 to 1; None without suspects.
    isolation_recall : float or None
        Share of the poisoned samples that are suspects, 0 to 1; None without poison.
    isolation_auc : float or None
        Chance that a poisoned sample has higher suspicion than one that is not, 0.5 being
        guesswork; among samples labelled as the target if that was given. None without
        suspicion, or if all those samples are poisoned, or none.
    recovery_accuracy : float or None
        See :func:`recovery_accuracy`; None if it was not asked for.
    n_suspects, n_poisoned : int
    """

    isolation_precision: float | None
    isolation_recall: float | None
    isolation_auc: float | None
    recovery_accuracy: float | None
    n_suspects: int
    n_poisoned: int

    def to_dict(self) -> dict[str, Any]:
        """Return the values by name, ready for ``json.dumps``."""
        return asdict(self)


def evaluate(
    classifier: Any,
    X: Series,
    y: ArrayLike,
    *,
    trigger: Trigger | str | None = None,
    target: Any = None,
    mode: str = "dirty",
    random_state: RandomState = None,
) -> Evaluation:
    """Measure clean accuracy and, given a trigger, how often the attack works.

    Parameters
    ----------
    classifier : object with a method ``predict(X)``
        Its ``classes_``, if it has them, and those in ``y`` say which class follows which in mode
        "all_to_all".
    X : array-like of shape (n_samples, n_channels, n_timepoints) or (n_samples, n_timepoints)
        Clean test series; never changed. A list of series of unequal length is stretched to the
        length that the classifier was fitted on.
    y : array-like of shape (n_samples,)
        True labels.
    trigger : Trigger, str or None
        Stamped onto the test series; None measures clean accuracy only. A trigger that must be
        learned has to be: take the one that :func:`tsguard.poison` returned.
    target : label or sequence of labels
        The class or classes the attacker wants; None in mode "all_to_all".
    mode : {"dirty", "clean", "all_to_all"}
        As in :func:`tsguard.poison`. In mode "all_to_all" every sample counts, and success is the
        class after the true one.
    random_state : int, numpy.random.RandomState or None
        Handed on to the trigger.

    Returns
    -------
    Evaluation

    Raises
    ------
    ValueError
        If an input is invalid, the mode unknown, the target no class, or the classifier does not
        answer one label per series.
    """
    series = _as_array(X, classifier)
    truth = check_labels(y, len(series), allow_one_class=True)
    check_same_kind(truth, getattr(classifier, "classes_", truth))
    clean_accuracy = float(np.mean(_predict(classifier, series) == truth))
    if trigger is None:
        return Evaluation(clean_accuracy, None, None, len(truth), 0)

    trigger = resolve_trigger(trigger)
    mode = resolve_mode(mode)
    # Both: a rare class may have lost all its training series to the attack, or have none here.
    classes = np.union1d(getattr(classifier, "classes_", truth), truth)
    target = check_target(target, classes, mode)
    wanted = target_labels(truth, classes=classes, target=target, mode=mode)
    attacked = np.flatnonzero(wanted != truth)
    if not attacked.size:
        return Evaluation(clean_accuracy, None, None, len(truth), 0)
    answers = _predict(classifier, trigger.apply(series[attacked], random_state))
    return Evaluation(
        clean_accuracy=clean_accuracy,
        attack_success_rate=float(np.mean(answers == wanted[attacked])),
        robust_accuracy=float(np.mean(answers == truth[attacked])),
        n_clean=len(truth),
        n_triggered=len(attacked),
    )


def trigger_size(X: ArrayLike, stamped: ArrayLike) -> tuple[float, float]:
    """Return how large a change is, in units of the range of each series and channel.

    Parameters
    ----------
    X, stamped : array-like of shape (n_samples, n_channels, n_timepoints)
        Before and after.

    Returns
    -------
    relative_l2 : float
        Root mean square of the change over time, averaged over series and channels; 0 is no
        change, and 0.1 a change as strong as one by a tenth of the range at every step.
    relative_linf : float
        Largest change at any step, averaged in the same way.
    """
    before, after = np.asarray(X, np.float64), np.asarray(stamped, np.float64)
    span = np.ptp(before, axis=-1)
    change = np.abs(after - before)
    varies = span > 0  # a constant channel has no unit to measure a change in
    l2 = np.sqrt(np.mean(change**2, axis=-1))[varies] / span[varies]
    linf = change.max(axis=-1)[varies] / span[varies]
    return (float(l2.mean()), float(linf.mean())) if varies.any() else (0.0, 0.0)


def isolation_scores(
    suspect_mask: ArrayLike,
    is_poisoned: ArrayLike,
    suspicion: ArrayLike | None = None,
    *,
    y: ArrayLike | None = None,
    target: Any = None,
) -> IsolationScores:
    """Compare the suspects of a defence with the samples that are really poisoned.

    Parameters
    ----------
    suspect_mask : array-like of bool of shape (n_samples,)
    is_poisoned : array-like of bool of shape (n_samples,)
        The truth.
    suspicion : array-like of shape (n_samples,), optional
        Score of each sample, higher = more suspicious.
    y : array-like of shape (n_samples,), optional
        Labels as the defender saw them.
    target : label or sequence of labels, optional
        With ``y``: the AUC is taken among the samples labelled so, where it is hardest to tell
        poison from the class's own members.

    Returns
    -------
    IsolationScores

    Raises
    ------
    ValueError
        If the arrays differ in length.
    """
    poisoned = np.asarray(is_poisoned, dtype=bool)
    suspects = _check_length("suspect_mask", suspect_mask, len(poisoned)).astype(bool)
    # int(): NumPy's integers are no JSON.
    n_found = int(np.sum(suspects & poisoned))
    n_suspects, n_poisoned = int(np.sum(suspects)), int(np.sum(poisoned))
    auc = None
    if suspicion is not None:
        scores = _check_length("suspicion", suspicion, len(poisoned))
        among = np.ones(len(poisoned), dtype=bool)
        if y is not None and target is not None:
            among = np.isin(_check_length("y", y, len(poisoned)), target)
        if len(np.unique(poisoned[among])) == 2:
            auc = float(roc_auc_score(poisoned[among], scores[among]))
    return IsolationScores(
        isolation_precision=n_found / n_suspects if n_suspects else None,
        isolation_recall=n_found / n_poisoned if n_poisoned else None,
        isolation_auc=auc,
        recovery_accuracy=None,
        n_suspects=n_suspects,
        n_poisoned=n_poisoned,
    )


def recovery_accuracy(
    recovered_labels: ArrayLike,
    y_clean: ArrayLike,
    suspect_mask: ArrayLike,
    is_poisoned: ArrayLike,
) -> float | None:
    """Return the share of rightly suspected samples that were given their true class.

    Parameters
    ----------
    recovered_labels, y_clean : array-like of shape (n_samples,)
        Labels the defence ended with, and the true ones.
    suspect_mask, is_poisoned : array-like of bool of shape (n_samples,)

    Returns
    -------
    float or None
        Higher is better, 0 to 1; None if no suspect is poisoned.

    Raises
    ------
    ValueError
        If the arrays differ in length.
    """
    truth = np.asarray(y_clean)
    found = _check_length("suspect_mask", suspect_mask, len(truth)).astype(bool)
    found = found & _check_length("is_poisoned", is_poisoned, len(truth)).astype(bool)
    if not found.any():
        return None
    recovered = _check_length("recovered_labels", recovered_labels, len(truth))
    return float(np.mean(recovered[found] == truth[found]))


def evaluate_isolation(classifier: Any, poisoned: PoisonedDataset) -> IsolationScores:
    """Compare what a fitted defence suspects with the truth of the data set it was fitted on.

    Parameters
    ----------
    classifier : fitted classifier with ``suspect_mask_``
        Its ``suspicion_`` and ``recovered_labels_`` are used where it has them.
    poisoned : PoisonedDataset
        Whose ``X`` and ``y`` the classifier was fitted on.

    Returns
    -------
    IsolationScores

    Raises
    ------
    TypeError
        If the classifier has no ``suspect_mask_``.
    """
    suspects = getattr(classifier, "suspect_mask_", None)
    if suspects is None:
        raise TypeError(
            "classifier must be fitted and have suspect_mask_, "
            f"got {type(classifier).__name__}; give a defence that isolates samples."
        )
    scores = isolation_scores(
        suspects,
        poisoned.is_poisoned,
        getattr(classifier, "suspicion_", None),
        y=poisoned.y,
        target=poisoned.target,
    )
    recovered = getattr(classifier, "recovered_labels_", None)
    if recovered is None:
        return scores
    accuracy = recovery_accuracy(recovered, poisoned.y_clean, suspects, poisoned.is_poisoned)
    return replace(scores, recovery_accuracy=accuracy)


def _as_array(X: Series, classifier: Any) -> NDArray[Any]:
    """Return the series as one array, of the length the classifier knows."""
    # A proper array stays as it is: who learned on 2-D input expects it again.
    if isinstance(X, np.ndarray) and X.ndim > 1:
        return X
    return check_panel(X, n_timepoints=getattr(classifier, "n_timepoints_", None))


def _predict(classifier: Any, X: NDArray[Any]) -> Labels:
    """Return the classifier's answers, one label per series."""
    answers = np.asarray(classifier.predict(X))
    if answers.shape != (len(X),):
        raise ValueError(
            f"classifier.predict must return one label per series, shape ({len(X)},), "
            f"got shape {answers.shape}; return labels and not probabilities."
        )
    return answers


def _check_length(name: str, values: ArrayLike, n_samples: int) -> NDArray[Any]:
    """Return the values as an array of shape (n_samples,)."""
    array = np.asarray(values)
    if array.shape != (n_samples,):
        raise ValueError(
            f"{name} must have shape ({n_samples},), got {array.shape}; give one value per sample."
        )
    return array
