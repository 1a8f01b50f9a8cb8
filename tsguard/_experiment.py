"""One experiment: poison a data set, train with and without defense, measure."""

import time
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np

from tsguard._base import NeuralClassifier
from tsguard._datasets import Dataset
from tsguard._e2abl import E2ABLClassifier
from tsguard._evaluate import evaluate, evaluate_isolation
from tsguard._random import numpy_stream
from tsguard.attacks import PoisonedDataset, Trigger, poison
from tsguard.defenses import StandardClassifier

METHODS = ("undefended", "oracle", "loss_drop", "e2abl")
"""``oracle`` is standard training on the true labels of the same (poisoned) series."""


@dataclass(frozen=True)
class Experiment:
    """A poisoned data set and how to train on it.

    Attributes
    ----------
    dataset : Dataset
    poisoned : PoisonedDataset
        The training part of ``dataset``, poisoned.
    settings : dict
        Constructor arguments shared by all classifiers (backbone, epochs, seed, ...).
    """

    dataset: Dataset
    poisoned: PoisonedDataset
    settings: dict[str, Any]

    @classmethod
    def prepare(
        cls,
        dataset: Dataset,
        trigger: Trigger | str,
        rate: float,
        seed: int,
        *,
        mode: str = "dirty",
        n_targets: int = 1,
        cover_rate: float = 0.0,
        **settings: Any,
    ) -> "Experiment":
        """Poison ``dataset``; the seed also draws the target class, or several of them."""
        poisoned = poison(
            dataset.X_train,
            dataset.y_train,
            trigger,
            rate=rate,
            target=draw_target(dataset, seed, mode, n_targets),
            mode=mode,
            cover_rate=cover_rate,
            random_state=seed,
        )
        return cls(dataset, poisoned, {"random_state": seed, **settings})

    def run(self, method: str) -> tuple[NeuralClassifier, dict[str, Any], float]:
        """Train with one of ``METHODS``.

        Returns
        -------
        classifier : NeuralClassifier
            Fitted.
        metrics : dict
            Clean accuracy, attack success rate, robust accuracy (0 to 1); for the defenses also
            precision and recall of the isolation, recovery accuracy and suspected target.
        seconds : float
            Wall time of ``fit``.
        """
        labels = self.poisoned.y_clean if method == "oracle" else self.poisoned.y
        classifier = self._make(method)
        start = time.perf_counter()
        classifier.fit(self.poisoned.X, labels)
        seconds = time.perf_counter() - start
        return classifier, self._measure(classifier), seconds

    def _make(self, method: str) -> NeuralClassifier:
        if method in ("undefended", "oracle"):
            return StandardClassifier(**self.settings)
        suspicion = {"e2abl": "auto"}.get(method, method)
        return E2ABLClassifier(suspicion=suspicion, **self.settings)

    def _measure(self, classifier: NeuralClassifier) -> dict[str, Any]:
        scores = evaluate(
            classifier,
            self.dataset.X_test,
            self.dataset.y_test,
            trigger=self.poisoned.trigger,
            target=self.poisoned.target,
            mode=self.poisoned.mode,
            random_state=self.settings["random_state"],
        )
        metrics = {
            "clean_accuracy": scores.clean_accuracy,
            "attack_success_rate": scores.attack_success_rate,
            "robust_accuracy": scores.robust_accuracy,
        }
        if isinstance(classifier, E2ABLClassifier):
            isolation = evaluate_isolation(classifier, self.poisoned)
            metrics |= {
                "isolation_precision": isolation.isolation_precision,
                "isolation_recall": isolation.isolation_recall,
                "recovery_accuracy": isolation.recovery_accuracy,
                "suspected_target": as_json(classifier.suspected_target_),
            }
        return metrics

    def describe(self, attack: str) -> dict[str, Any]:
        """Return what was attacked and how, ready for JSON."""
        return {
            "dataset": self.dataset.name,
            "attack": attack,
            "rate": self.poisoned.rate,
            "target": as_json(self.poisoned.target),
            "n_train": len(self.poisoned.y),
            "n_poisoned": int(self.poisoned.is_poisoned.sum()),
        }


def draw_target(dataset: Dataset, seed: int, mode: str = "dirty", n_targets: int = 1) -> Any:
    """Draw the target class, several as a tuple; None in mode "all_to_all"."""
    if mode == "all_to_all":
        return None
    stream = numpy_stream(seed, "target")
    if n_targets == 1:
        return dataset.classes[stream.integers(len(dataset.classes))]
    return tuple(stream.choice(dataset.classes, n_targets, replace=False).tolist())


def as_json(value: Any) -> Any:
    """Return labels and NumPy scalars as plain Python values."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return value


def versions() -> dict[str, str]:
    """Return the versions that a result depends on."""
    return {name: version(name) for name in ("tsguard", "torch", "numpy", "aeon", "tsai")}
