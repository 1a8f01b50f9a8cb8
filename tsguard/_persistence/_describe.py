"""From a fitted classifier to plain values, weights and arrays."""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tsguard import __version__
from tsguard._base import NeuralClassifier
from tsguard._persistence._fields import Store
from tsguard._persistence._folder import Arrays, Tensors
from tsguard._persistence._registry import CHOSEN_BY_LOAD, attributes_of


def describe(classifier: NeuralClassifier) -> tuple[dict[str, Any], Arrays]:
    """Return the plain values for ``model.json``, and the arrays."""
    sizes = {
        "n_samples": classifier.metadata_["n_cases"],
        "n_epochs": len(classifier.history_),
        **dict(zip(classifier._axes, classifier._sample_shape, strict=True)),
    }
    flat = [1] * (len(classifier._axes) - 1)
    store = Store(classifier.classes_, sizes, {})
    for name, values in zip(("scale.mean", "scale.deviation"), classifier.scale_, strict=True):
        store.put(name, values, np.float32, 1, "n_channels", *flat)
    known, _ = attributes_of(type(classifier))
    own = classifier.backbone
    network = classifier.network_
    description = {
        "tsguard_version": __version__,
        "class": type(classifier).__name__,
        "package": type(classifier).__module__.split(".")[0],
        "backbone": own if isinstance(own, str) else None,
        "module": None if isinstance(own, str) else f"{type(own).__module__}.{type(own).__name__}",
        "network": {
            "attach_at": network.attach_at,
            "stem_gradient": float(network.stem_gradient),
        },
        "parameters": {
            name: _plain_parameter(name, value, store)
            for name, value in classifier.get_params(deep=False).items()
            if name not in CHOSEN_BY_LOAD
        },
        "classes": _describe_classes(classifier.classes_),
        "sizes": sizes,
        "attributes": {
            name: kind.pack(name, getattr(classifier, name), store)
            for name, kind in known.items()
            if hasattr(classifier, name)
        },
    }
    return description, store.arrays


def _plain_parameter(name: str, value: Any, store: Store) -> Any:
    """Return a constructor parameter as JSON has it; arrays go into the store."""
    if isinstance(value, np.random.RandomState):
        return None  # its seed cannot be told from its state
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, list | tuple | np.ndarray) and np.asarray(value).dtype.kind in "biuf":
        store.put(f"parameter.{name}", value, None, *[None] * np.ndim(value))
        return {"array": True}
    raise ValueError(
        f"parameter {name} must be a number, text, None or an array of numbers to be saved, got "
        f"{value!r}; set another value before fit."
    )


def _describe_classes(classes: NDArray[Any]) -> dict[str, Any]:
    values = classes.tolist()
    if classes.dtype.kind == "S":
        values = [value.decode("latin-1") for value in values]
    if not all(type(value) in (bool, int, float, str) for value in values):
        raise ValueError(
            f"classes_ must be numbers, booleans or texts to be saved, got {values[0]!r}; fit with "
            "such labels."
        )
    return {"dtype": classes.dtype.str, "values": values}


def weights_of(network: nn.Module) -> Tensors:
    """Return copies of all weights, on the CPU, wherever the network is."""
    weights = {}
    for name, value in network.state_dict().items():
        if not isinstance(value, torch.Tensor):
            raise ValueError(
                f"backbone must keep nothing but tensors in its state to be saved, got {name} of "
                f"{type(value).__name__}; save it with your own code."
            )
        weights[name] = value.detach().to("cpu", copy=True).contiguous()
    return weights
