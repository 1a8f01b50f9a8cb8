"""tsguard: train clean time-series classifiers on data that may hide a backdoor."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tsguard import attacks, defenses, testing
    from tsguard._datasets import Dataset, list_datasets, load_dataset
    from tsguard._e2abl import E2ABLClassifier
    from tsguard._evaluate import evaluate, evaluate_isolation
    from tsguard._exceptions import DatasetNotFoundError, TrainingDivergedError
    from tsguard._onnx import export_onnx
    from tsguard._persistence import load, save
    from tsguard._plots_trigger import plot_trigger
    from tsguard._scan._predict import predict_file
    from tsguard._scan._run import scan
    from tsguard._validation import to_panel
    from tsguard.attacks import poison

__version__ = "0.1.0"

__all__ = [
    "Dataset",
    "DatasetNotFoundError",
    "E2ABLClassifier",
    "TrainingDivergedError",
    "attacks",
    "defenses",
    "evaluate",
    "evaluate_isolation",
    "export_onnx",
    "list_datasets",
    "load",
    "load_dataset",
    "plot_trigger",
    "poison",
    "predict_file",
    "save",
    "scan",
    "testing",
    "to_panel",
]

# Importing torch and aeon takes seconds; `tsguard --help` must not pay for them. So names are
# imported when they are first used (PEP 562).
_HOMES = {
    "Dataset": "tsguard._datasets",
    "DatasetNotFoundError": "tsguard._exceptions",
    "E2ABLClassifier": "tsguard._e2abl",
    "TrainingDivergedError": "tsguard._exceptions",
    "evaluate": "tsguard._evaluate",
    "evaluate_isolation": "tsguard._evaluate",
    "export_onnx": "tsguard._onnx",
    "list_datasets": "tsguard._datasets",
    "load": "tsguard._persistence",
    "load_dataset": "tsguard._datasets",
    "plot_trigger": "tsguard._plots_trigger",
    "poison": "tsguard.attacks",
    "predict_file": "tsguard._scan._predict",
    "save": "tsguard._persistence",
    "scan": "tsguard._scan._run",
    "to_panel": "tsguard._validation",
}


def __getattr__(name: str) -> Any:
    if name in ("attacks", "defenses", "testing"):
        return importlib.import_module(f"tsguard.{name}")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'tsguard' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
