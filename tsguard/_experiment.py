"""One experiment: poison a data set, train with and without defense, measure."""

import time
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tsguard._base import NeuralClassifier
from tsguard._datasets import Dataset
from tsguard._e2abl import E2ABLClassifier
from tsguard._evaluate import evaluate, evaluate_isolation
from tsguard._random import numpy_stream, resolve_seed
from tsguard.attacks import PoisonedDataset, Trigger, poison
from tsguard.defenses import get_defense, list_defenses

#: Standard training on the given labels and on the true ones: compared with, not competing.
REFERENCES = ("undefended", "oracle")
_SUSPICION = {"e2abl": "auto", "loss_drop": "loss_drop"}


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

    def run(
        self, method: str, *, clean_share: float = 0.05, **parameters: Any
    ) -> tuple[NeuralClassifier, dict[str, Any], float]:
        """Train with one of :func:`list_methods`.

        Parameters
        ----------
        method : str
        clean_share : float
            How many samples a defense is told that needs some clean ones, see ``clean_indices``.
        **parameters
            Parameters of this method's classifier, beside or instead of ``settings``.

        Returns
        -------
        classifier : NeuralClassifier
            Fitted.
        metrics : dict
            Clean accuracy, attack success rate, robust accuracy (0 to 1); for defenses that
            isolate samples also precision and recall of that, recovery accuracy and, where the
            defense names one, the suspected target.
        seconds : float
            Wall time of ``fit``.
        """
        labels = self.poisoned.y_clean if method == "oracle" else self.poisoned.y
        classifier = self._make(method, **(self.settings | parameters))
        if classifier.needs_clean_subset:
            classifier.set_params(clean_indices=self.clean_indices(clean_share))
        start = time.perf_counter()
        classifier.fit(self.poisoned.X, labels)
        seconds = time.perf_counter() - start
        return classifier, self._measure(classifier), seconds

    def _make(self, method: str, **parameters: Any) -> NeuralClassifier:
        """Return the classifier of a method, not fitted."""
        return make_classifier(method, **parameters)

    def clean_indices(self, share: float) -> NDArray[np.intp]:
        """Draw training samples that carry no trigger, for a defense that asks for some.

        Such a defense takes for granted that somebody vouches for a few samples. Here it is the
        experiment, which knows the truth; the defense gets row numbers and nothing else.

        Parameters
        ----------
        share : float
            Of the training set, 0 to 1; but at least one sample of every class that has any, and
            two in all.

        Returns
        -------
        ndarray of int
            Sorted rows; the same for all methods of this experiment.
        """
        poisoned = self.poisoned
        stream = numpy_stream(self.settings["random_state"], "clean subset")
        order = stream.permutation(np.flatnonzero(~(poisoned.is_poisoned | poisoned.is_cover)))
        _, firsts = np.unique(poisoned.y_clean[order], return_index=True)
        drawn = np.concatenate([order[firsts], np.delete(order, firsts)])
        return np.sort(drawn[: max(2, len(firsts), round(share * len(poisoned.y)))])

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
        if hasattr(classifier, "suspect_mask_"):
            isolation = evaluate_isolation(classifier, self.poisoned)
            metrics |= {
                "isolation_precision": isolation.isolation_precision,
                "isolation_recall": isolation.isolation_recall,
                "recovery_accuracy": isolation.recovery_accuracy,
            }
        if hasattr(classifier, "suspected_target_"):
            metrics["suspected_target"] = as_json(classifier.suspected_target_)
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


def list_methods() -> list[str]:
    """Return the names of all ways to train, those that are compared with first.

    ``undefended`` is standard training on the poisoned labels, ``oracle`` on the true labels of the
    same (poisoned) series; ``e2abl`` and ``loss_drop`` are :class:`tsguard.E2ABLClassifier` with
    ``suspicion="auto"`` and ``"loss_drop"``; the rest is :func:`tsguard.defenses.list_defenses`.
    """
    return [*REFERENCES, *_SUSPICION, *list_defenses()]


def make_classifier(method: str, **parameters: Any) -> NeuralClassifier:
    """Return the classifier of a method, not fitted."""
    if method in REFERENCES:
        return get_defense("standard", **parameters)
    if method in _SUSPICION:
        return E2ABLClassifier(**({"suspicion": _SUSPICION[method]} | parameters))
    return get_defense(method, **parameters)


def draw_target(dataset: Dataset, seed: int, mode: str = "dirty", n_targets: int = 1) -> Any:
    """Draw the target class, several as a tuple; None in mode "all_to_all"."""
    if mode == "all_to_all":
        return None
    stream = numpy_stream(resolve_seed(seed), "target")
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
