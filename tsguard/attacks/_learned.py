"""Triggers that are learned from clean data before anything is poisoned, and then never change."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import NotFittedError

from tsguard._labels import check_labels
from tsguard._random import RandomState, resolve_seed
from tsguard._validation import Panel, check_shape_matches
from tsguard.attacks._base import Series, Trigger
from tsguard.attacks._targets import check_target, resolve_mode, target_labels
from tsguard.attacks._weights import Weights


@dataclass(frozen=True, eq=False)
class Knowledge:
    """What the attacker has when a trigger is learned: clean series, and a wish for each.

    Attributes
    ----------
    X : ndarray of float32 of shape (n_samples, n_channels, n_timepoints)
    codes, wanted : ndarray of int64 of shape (n_samples,)
        True class and the class that the trigger should turn it into, as codes 0 to n_classes - 1.
        Where the two agree there is nothing to turn.
    n_classes : int
    seed : int
    """

    X: Panel
    codes: NDArray[np.int64]
    wanted: NDArray[np.int64]
    n_classes: int
    seed: int

    @property
    def to_turn(self) -> NDArray[np.intp]:
        """Rows of the samples that have something to be turned into."""
        return np.flatnonzero(self.wanted != self.codes)


@dataclass(frozen=True)
class LearnedTrigger(Trigger):
    """Base of the triggers that are learned.

    ``fit`` returns a new trigger that holds what was learned as plain arrays; it is frozen from
    then on. Published attacks often train such a trigger together with the victim. In our threat
    model the attacker alters the data once and never sees the training, so the trigger is learned
    on a model of the attacker's own (a *surrogate*) and must transfer to the victim.
    ``docs/results/cost_of_freezing.md`` has what that costs.

    Parameters
    ----------
    weights : Weights or None
        What was learned; None before ``fit``.
    shape : tuple of int or None
        Channels and time steps of the series it was learned on.
    """

    weights: Weights | None = field(default=None, kw_only=True, repr=False)
    shape: tuple[int, ...] | None = field(default=None, kw_only=True, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weights is not None and not isinstance(self.weights, Weights):
            raise ValueError(
                f"weights of a trigger must be what fit learned, got {type(self.weights).__name__};"
                " leave them out and call fit."
            )

    @property
    def is_fitted(self) -> bool:
        """Whether the trigger has been learned and can be applied."""
        return self.weights is not None

    def fit(
        self,
        X: Series,
        y: ArrayLike,
        target: Any = None,
        *,
        mode: str = "dirty",
        random_state: RandomState = None,
    ) -> Self:
        """Learn the trigger and return it; this object stays as it is.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_channels, n_timepoints) or (n_samples, n_timepoints)
            Clean series that the attacker has.
        y : array-like of shape (n_samples,)
            Their true labels.
        target, mode
            As in :func:`tsguard.poison`.
        random_state : int, numpy.random.RandomState or None
            With the same integer, the same trigger is learned.

        Returns
        -------
        LearnedTrigger
            Of the same class and parameters, with what was learned.

        Raises
        ------
        ValueError
            If an input or a parameter is invalid, or every sample has the target class already.
        """
        panel = np.ascontiguousarray(self._check_input(X))
        labels = check_labels(y, len(panel))
        mode = resolve_mode(mode)
        classes = np.unique(labels)
        target = check_target(target, classes, mode)
        wanted = target_labels(labels, classes=classes, target=target, mode=mode)
        knowledge = Knowledge(
            X=panel,
            codes=np.searchsorted(classes, labels),
            wanted=np.searchsorted(classes, wanted),
            n_classes=len(classes),
            seed=resolve_seed(random_state),
        )
        weights = Weights(self._learn(knowledge))
        return replace(self, weights=weights, shape=panel.shape[1:])

    @abstractmethod
    def _learn(self, knowledge: Knowledge) -> Mapping[str, ArrayLike]:
        """Return what is to be remembered: named arrays of finite numbers."""

    def _stamp(self, X: Panel, out: Panel, generator: np.random.Generator) -> None:
        if self.weights is None or self.shape is None:
            raise NotFittedError(
                f"{type(self).__name__} must be learned before it is applied, got one that was "
                "not; call trigger = trigger.fit(X, y, target) first."
            )
        self._check_shape(X, self.shape)
        self._stamp_learned(X, out, self.weights)

    def _check_shape(self, X: Panel, shape: tuple[int, ...]) -> None:
        """Refuse samples of another shape than those that the trigger was learned on."""
        n_channels, n_timepoints = shape
        check_shape_matches(X, n_channels, n_timepoints, type(self).__name__)

    @abstractmethod
    def _stamp_learned(self, X: Panel, out: Panel, weights: Weights) -> None:
        """Write the stamped series to ``out``, which may be ``X``; see ``Trigger._stamp``."""


@dataclass(frozen=True)
class SurrogateTrigger(LearnedTrigger):
    """Base of the triggers that are learned on a surrogate: a classifier of the attacker's own.

    Parameters
    ----------
    surrogate : str
        Backbone of the surrogate, as in :class:`tsguard.E2ABLClassifier`; standard training on the
        clean series. The victim may well use another.
    surrogate_epochs : int
        How long the surrogate is trained.
    """

    surrogate: str = field(default="fcn", kw_only=True)
    surrogate_epochs: int = field(default=20, kw_only=True)
