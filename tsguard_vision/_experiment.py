"""One experiment on images: tsguard's, with the classifiers for images."""

import time
from typing import Any

from tsguard._base import NeuralClassifier
from tsguard._experiment import Experiment
from tsguard.attacks._checks import unknown_name_error
from tsguard_vision._classifiers import (
    ABLImageClassifier,
    E2ABLImageClassifier,
    StandardImageClassifier,
)

_METHODS: dict[str, tuple[type[NeuralClassifier], dict[str, Any]]] = {
    "undefended": (StandardImageClassifier, {}),
    "oracle": (StandardImageClassifier, {}),
    "e2abl": (E2ABLImageClassifier, {}),
    "loss_drop": (E2ABLImageClassifier, {"suspicion": "loss_drop"}),
    "abl": (ABLImageClassifier, {}),
}


class ImageExperiment(Experiment):
    """A poisoned set of images and how to train on it; see ``tsguard._experiment.Experiment``."""

    def run(
        self, method: str, *, clean_share: float = 0.05, **parameters: Any
    ) -> tuple[NeuralClassifier, dict[str, Any], float]:
        """Train with one of "undefended", "oracle", "e2abl", "loss_drop" and "abl".

        None of them needs clean samples. Returns the fitted classifier, its metrics and the
        seconds of ``fit``, as :meth:`tsguard._experiment.Experiment.run` has them.
        """
        if method not in _METHODS:
            raise unknown_name_error("method", method, _METHODS)
        kind, own = _METHODS[method]
        labels = self.poisoned.y_clean if method == "oracle" else self.poisoned.y
        classifier = kind(**(self.settings | own | parameters))
        start = time.perf_counter()
        classifier.fit(self.poisoned.X, labels)
        seconds = time.perf_counter() - start
        return classifier, self._measure(classifier), seconds
