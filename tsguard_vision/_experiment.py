"""One experiment on images: tsguard's, with the classifiers for images."""

from typing import Any

from tsguard._base import NeuralClassifier
from tsguard._experiment import Experiment
from tsguard._values import unknown_name_error
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

    def _make(self, method: str, **parameters: Any) -> NeuralClassifier:
        if method not in _METHODS:
            raise unknown_name_error("method", method, _METHODS)
        kind, own = _METHODS[method]
        return kind(**(own | parameters))
