"""Saving fitted classifiers to a folder of plain data, and loading them: no pickle, no code.

The format: ``docs/save-and-load.md``.
"""

import copy
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import NotFittedError
from torch import nn

from tsguard._base import NeuralClassifier
from tsguard._device import resolve_device
from tsguard._engine import predict_logits
from tsguard._persistence._describe import describe, weights_of
from tsguard._persistence._folder import check_replaceable, read_folder, write_folder
from tsguard._persistence._registry import known_classes
from tsguard._persistence._restore import restore


def save(classifier: NeuralClassifier, folder: str | os.PathLike[str]) -> None:
    """Write a fitted classifier to a folder.

    Everything a fit has found out comes back with :func:`load`; predictions on the CPU are the same
    to the last bit. The folder holds plain data (JSON, safetensors, npz), no pickle, and appears in
    one go: nobody ever finds half of it. Of a ``RandomState`` given as ``random_state`` nothing is
    kept (None), and a backbone of your own is kept as weights without its code.

    Parameters
    ----------
    classifier : estimator
        A fitted :class:`tsguard.E2ABLClassifier` or classifier of :mod:`tsguard.defenses`.
    folder : str or path
        New, empty, or a model saved earlier, which is replaced.

    Raises
    ------
    TypeError
        If ``classifier`` is not of a class that can be saved.
    sklearn.exceptions.NotFittedError
        If it has not been fitted.
    FileExistsError
        If ``folder`` is a file, or holds anything but a model.
    ValueError
        If it holds something that would not come back, such as a parameter that is no plain value
        or a network with a state outside its weights.

    Examples
    --------
    >>> import tempfile
    >>> from tsguard import E2ABLClassifier, load, load_dataset, save
    >>> data = load_dataset("ItalyPowerDemand")
    >>> clf = E2ABLClassifier("fcn", n_epochs=2, random_state=0).fit(data.X_train, data.y_train)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(clf, folder)
    ...     same = load(folder)
    >>> bool((same.predict_proba(data.X_test) == clf.predict_proba(data.X_test)).all())
    True
    """
    target = Path(folder).resolve()
    _check_can_be_saved(classifier)
    check_replaceable(target)
    description, arrays = describe(classifier)
    tensors = weights_of(classifier.network_)
    own_backbone = classifier.backbone if isinstance(classifier.backbone, nn.Module) else None
    copied = restore(description, tensors, dict(arrays), torch.device("cpu"), own_backbone)
    _check_same_answers(classifier, copied)
    write_folder(target, description, tensors, arrays)


def load(
    folder: str | os.PathLike[str],
    device: str | torch.device = "cpu",
    *,
    backbone: nn.Module | None = None,
) -> NeuralClassifier:
    """Read a classifier that :func:`save` wrote, on this or on another machine.

    A folder of unknown origin runs no code, but its model may of course answer anything.

    Parameters
    ----------
    folder : str or path
    device : str or torch.device, default="cpu"
        Where it predicts from now on (and trains, if fitted again): ``"auto"`` takes CUDA where
        present, else the CPU. Where it was trained does not matter.
    backbone : torch.nn.Module or None
        For a model whose backbone was a module of your own: a module built in the same way. It is
        copied, not changed.

    Returns
    -------
    estimator
        Fitted, of the class that was saved.

    Raises
    ------
    FileNotFoundError
        If the folder or one of its files is not there.
    ValueError
        If the files are damaged, of a newer format, or do not fit together; if ``device`` is not
        there; if ``backbone`` is needed, not needed or does not fit.
    TypeError
        If ``backbone`` is no module.
    ImportError
        If the network is one of tsai's and tsai cannot be imported.
    """
    place = resolve_device(device)
    if backbone is not None and not isinstance(backbone, nn.Module):
        raise TypeError(
            f"backbone must be a torch module or None, got {type(backbone).__name__}; "
            "build the module that the model was trained with."
        )
    description, tensors, arrays = read_folder(Path(folder))
    classifier = restore(description, tensors, arrays, place, backbone)
    return classifier.set_params(device=device)  # type: ignore[no-any-return]  # untyped


def _check_can_be_saved(classifier: Any) -> None:
    known = known_classes()
    name = type(classifier).__name__
    if known.get(name) is not type(classifier):
        raise TypeError(
            f"classifier must be one of {sorted(known)}, got {name}; save its network's state_dict "
            "with torch."
        )
    if not classifier.is_fitted:
        raise NotFittedError(
            f"classifier must be fitted before it is saved, got a {name} that has not been fitted "
            "yet; call fit first."
        )
    classifier._validate_params()


def _check_same_answers(classifier: NeuralClassifier, copied: NeuralClassifier) -> None:
    """Refuse a network whose answers depend on more than its weights: it would come back wrong."""
    rng = np.random.default_rng(0)
    series = rng.normal(size=(2, *classifier._sample_shape))
    inputs = torch.from_numpy(series.astype(np.float32))
    device = torch.device("cpu")
    original = copy.deepcopy(classifier.network_)
    expected, got = (predict_logits(one, inputs, device) for one in (original, copied.network_))
    if not np.array_equal(expected, got, equal_nan=True):
        own = classifier.backbone
        name = repr(own) if isinstance(own, str) else type(own).__name__
        raise ValueError(
            f"backbone must keep its whole state in its weights and buffers to be saved, got "
            f"{name}, whose copy answers differently; register what is missing as buffers."
        )
