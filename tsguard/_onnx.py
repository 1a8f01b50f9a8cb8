"""ONNX files: what a fitted classifier does when it predicts, for runtimes without torch."""

import copy
import importlib
import io
import json
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import NotFittedError
from torch import Tensor, nn

import tsguard
from tsguard._atomic import explain, file_in_one_go
from tsguard._base import NeuralClassifier

METADATA = "tsguard"
"""Key of the JSON text in the file's metadata."""

TOLERANCE = 1e-4
"""By how much a probability of the file may differ from torch's."""


def export_onnx(classifier: NeuralClassifier, out: str | os.PathLike[str]) -> None:
    """Write what a fitted classifier does when it predicts to one ONNX file.

    The graph has one input ``X``, float32 of shape (n_samples, n_channels, n_timepoints) or, for
    images, in the shape that their classifier takes; with any number of samples, in the units of
    the training data: scaling is part of the graph. Its output ``probabilities``, float32 of shape
    (n_samples, n_classes), is what ``predict_proba`` returns, to about seven digits. Series of
    another length have to be stretched before (:func:`tsguard.to_panel`), and ``trigger_score`` is
    not in the file.

    The metadata hold a JSON text under the key ``"tsguard"``: ``class`` (name of the classifier's),
    ``classes`` (the labels, in the order of the columns) and ``versions``.

    Parameters
    ----------
    classifier : estimator
        A fitted classifier of this package, of ``tsguard.defenses`` or of ``tsguard_vision``.
    out : str or path
        The .onnx file to write; an earlier one is replaced. It appears in one go.

    Raises
    ------
    TypeError
        If ``classifier`` is no classifier of this package.
    sklearn.exceptions.NotFittedError
        If it has not been fitted.
    ImportError
        If the extra ``onnx`` is not installed (``pip install tsguard[onnx]``).
    ValueError
        If ``out`` does not end in .onnx, or the network can't be expressed in ONNX.
    OSError
        If the file can't be written.

    Examples
    --------
    >>> from tsguard import E2ABLClassifier, export_onnx, load_dataset
    >>> data = load_dataset("ItalyPowerDemand")
    >>> clf = E2ABLClassifier("fcn", n_epochs=2, random_state=0).fit(data.X_train, data.y_train)
    >>> export_onnx(clf, "model.onnx")  # doctest: +SKIP
    """
    target = Path(out)
    _check(classifier, target)
    _require_extra()
    description = {
        "class": type(classifier).__name__,
        "classes": classifier.classes_.tolist(),
        "versions": {"tsguard": tsguard.__version__, "torch": torch.__version__},
    }
    try:
        with file_in_one_go(target) as part:
            prediction = _Prediction(classifier).eval()
            program = _translate(prediction, classifier)
            program.model.metadata_props[METADATA] = json.dumps(description, default=bytes.decode)
            program.save(str(part), external_data=False)
            _check_same_answers(part, prediction, classifier)
    except OSError as error:
        raise explain(error, "out") from error


class _Prediction(nn.Module):
    """Scaling, network and softmax: from raw samples to class probabilities ``(N, K)``."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, classifier: NeuralClassifier) -> None:
        super().__init__()
        mean, deviation = classifier.scale_
        self.register_buffer("mean", torch.from_numpy(mean))
        self.register_buffer("deviation", torch.from_numpy(deviation))
        self.network = copy.deepcopy(classifier.network_.backbone).cpu()  # no trap head

    def forward(self, X: Tensor) -> Tensor:
        """Return the probabilities of all classes."""
        return torch.softmax(self.network((X - self.mean) / self.deviation), dim=1)


def _check(classifier: NeuralClassifier, target: Path) -> None:
    """Refuse what can't be exported before anything is done."""
    if not isinstance(classifier, NeuralClassifier):
        raise TypeError(
            f"classifier must be a classifier of tsguard, got {type(classifier).__name__}; fit "
            "one of tsguard or tsguard.defenses."
        )
    if not classifier.is_fitted:
        raise NotFittedError(
            "classifier must be fitted before it is exported, got a "
            f"{type(classifier).__name__} that has not been fitted yet; call fit first."
        )
    if target.suffix.lower() != ".onnx":
        raise ValueError(f"out must be a .onnx file, got {str(target)!r}; choose another name.")


def _require_extra() -> None:
    for name in ("onnxscript", "onnxruntime"):
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise ImportError(
                f"{name} must be installed to write ONNX files, got {error}; "
                "run `pip install tsguard[onnx]`."
            ) from error


def _translate(prediction: _Prediction, classifier: NeuralClassifier) -> Any:
    """Return the ONNX program, without a trace of this machine."""
    sample = torch.zeros(2, *classifier._sample_shape)
    with _silence():
        try:
            program: Any = torch.onnx.export(
                prediction,
                (sample,),
                input_names=["X"],
                output_names=["probabilities"],
                dynamic_shapes={"X": {0: torch.export.Dim("n_samples")}},
                dynamo=True,
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            cause = str(error.__cause__ or error).strip().splitlines()[0]
            raise _refusal(classifier, cause) from error
    graph = program.model.graph
    for part in (graph, *graph.all_nodes()):
        part.metadata_props.clear()  # source lines, with paths of this machine
    return program


def _check_same_answers(path: Path, prediction: _Prediction, classifier: NeuralClassifier) -> None:
    """Refuse a file that answers anything else than torch, or takes one number of samples only."""
    import onnxruntime

    rng = np.random.default_rng(0)
    mean, deviation = classifier.scale_
    noise = rng.normal(size=(3, *classifier._sample_shape)).astype(np.float32)
    sample = mean + deviation * noise
    with torch.inference_mode():
        expected = prediction(torch.from_numpy(sample)).numpy()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what is wrong is said once, below
    try:
        session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
        (answers,) = session.run(["probabilities"], {"X": sample})
    except Exception as error:  # onnxruntime has a class of its own for every kind
        raise _refusal(classifier, str(error).strip().splitlines()[0]) from error
    if answers.shape != expected.shape or not np.abs(answers - expected).max() < TOLERANCE:
        raise _refusal(classifier, "the file's answers differ from torch's")


def _refusal(classifier: NeuralClassifier, cause: str) -> ValueError:
    backbone = classifier.backbone
    name = backbone if isinstance(backbone, str) else type(backbone).__name__
    return ValueError(
        "backbone must be a network that ONNX can express for any number of samples, got "
        f"{name} ({cause}); export a classifier with another backbone."
    )


@contextmanager
def _silence() -> Iterator[None]:
    """Keep the exporter quiet: it warns of its own calls, and prints what it tries."""
    disabled = logging.root.manager.disable
    nowhere = io.StringIO()
    with warnings.catch_warnings(), redirect_stderr(nowhere), redirect_stdout(nowhere):
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(disabled)
