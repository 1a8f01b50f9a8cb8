"""From plain values, weights and arrays to a fitted classifier.

All of it may come from a hostile file: every value is checked before it is used.
"""

import inspect
import math
import re
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tsguard._base import NeuralClassifier
from tsguard._persistence._fields import Store
from tsguard._persistence._folder import Arrays, Tensors, damaged, take
from tsguard._persistence._registry import CHOSEN_BY_LOAD, attributes_of, known_classes
from tsguard.models import Backbone, TwoHeadNetwork

# A network of a built-in name is made without memory; others run once on series of this size.
_MAX_VALUES_PER_SERIES = 2**20
_MAX_VALUES_OF_SAMPLE = 2**28  # a gigabyte: what no series has, a hostile file may claim
_MAX_BYTES_OF_CLASSES = 2**26
_LABEL_TYPES = {"b": bool, "i": int, "u": int, "f": float, "U": str, "S": str}


def restore(
    description: dict[str, Any],
    tensors: Tensors,
    arrays: Arrays,
    device: torch.device,
    backbone: nn.Module | None,
) -> NeuralClassifier:
    """Build a fitted classifier; whatever does not fit is refused, nothing is left out silently."""
    kind = known_classes().get(take(description, "class", str))
    if kind is None:
        package = description.get("package", "tsguard")
        if package != "tsguard":
            raise ValueError(
                f"the package of a model must be imported before it is loaded, got a model of "
                f"{str(package)[:40]!r}; if you trust it, import it in Python and load "
                "again (the command line knows models for series only)."
            )
        raise damaged(f"'class' is none of {sorted(known_classes())}")
    classes = _restore_classes(take(description, "classes", dict))
    store = Store(classes, _restore_sizes(description, kind), arrays)
    chosen = _choose_backbone(description, backbone, kind)
    classifier = kind(backbone=chosen, **_restore_parameters(kind, description, store))
    classifier._validate_params()
    try:
        classifier._check_y(classes, len(classes))
    except (TypeError, ValueError) as error:
        raise damaged(f"'classes' are no labels: {error}") from error
    if not np.array_equal(classifier.classes_, classes):
        raise damaged("'classes' are not sorted and different")
    classifier._keep_shape(*(store.sizes[name] for name in ("n_samples", *kind._axes)))
    flat = [1] * (len(kind._axes) - 1)
    mean, deviation = (
        store.get(name, np.float32, 1, "n_channels", *flat)
        for name in ("scale.mean", "scale.deviation")
    )
    if not (np.isfinite(mean).all() and np.isfinite(deviation).all() and deviation.min() > 0):
        raise damaged("the scale of the channels is not finite and positive", "arrays.npz")
    classifier.scale_ = (mean, deviation)
    _restore_attributes(classifier, take(description, "attributes", dict), store)
    if store.arrays:
        raise damaged(f"nothing asks for {next(iter(store.arrays))!r}", "arrays.npz")
    network = _restore_network(classifier, take(description, "network", dict), tensors)
    classifier.network_ = network.to(device)
    classifier.is_fitted = True
    return classifier


def _restore_sizes(description: dict[str, Any], kind: type[NeuralClassifier]) -> dict[str, int]:
    sizes = take(description, "sizes", dict)
    names = ("n_samples", "n_epochs", *kind._axes)
    checked = {name: take(sizes, name, int) for name in names}
    if min(checked.values()) < 1:
        raise damaged("'sizes' are not all 1 or larger")
    if math.prod(checked[name] for name in kind._axes) > _MAX_VALUES_OF_SAMPLE:
        raise damaged(f"'sizes' describe samples of more than {_MAX_VALUES_OF_SAMPLE} values")
    return checked


def _restore_classes(described: dict[str, Any]) -> NDArray[Any]:
    text, values = take(described, "dtype", str), take(described, "values", list)
    if not re.fullmatch(r"[<>|](b1|[iu][1248]|f[248]|[US][1-9]\d{0,6}|O)", text, re.ASCII):
        raise damaged(f"the labels' dtype is {text[:40]!r}")
    dtype = np.dtype(text)
    if dtype.itemsize * len(values) > _MAX_BYTES_OF_CLASSES:
        raise damaged(f"the labels would take more than {_MAX_BYTES_OF_CLASSES} bytes")
    if dtype.kind == "O":
        fits = all(type(value) in (bool, int, float, str) for value in values)
    else:
        fits = all(type(value) is _LABEL_TYPES[dtype.kind] for value in values)
    if not fits:
        raise damaged(f"the labels are not all of dtype {text}")
    try:
        if dtype.kind == "S":
            values = [value.encode("latin-1") for value in values]
        classes = np.array(values, dtype=dtype)
    except (ValueError, OverflowError) as error:
        raise damaged(f"the labels are not all of dtype {text}") from error
    return classes


def _choose_backbone(
    description: dict[str, Any], given: nn.Module | None, kind: type[NeuralClassifier]
) -> Backbone:
    """Return the name of the backbone, or the user's own module where one was used."""
    if description.get("module") is not None:
        module = take(description, "module", str)
        if given is None:
            raise ValueError(
                f"backbone must be given for a model whose backbone was a module of your own, got "
                f"none; build the {module} anew and call load(folder, backbone=module)."
            )
        return given
    name = take(description, "backbone", str)
    if given is not None:
        raise ValueError(
            f"backbone must be left out for a model whose backbone has a name ({name!r}), got "
            f"{type(given).__name__}; call load(folder)."
        )
    foreign = re.escape(kind._backbone_prefix) + r"[A-Za-z]\w*"
    if name not in kind._backbones and not re.fullmatch(foreign, name, re.ASCII):
        raise damaged(f"the backbone is {name[:40]!r}")
    return name


def _restore_parameters(
    kind: type[NeuralClassifier], description: dict[str, Any], store: Store
) -> dict[str, Any]:
    parameters = take(description, "parameters", dict)
    known = [name for name in inspect.signature(kind).parameters if name not in CHOSEN_BY_LOAD]
    unknown = sorted(set(parameters) - set(known))
    if unknown:
        raise damaged(f"{kind.__name__} has no parameter {unknown[0]!r}")
    values = dict(parameters)
    for name, value in parameters.items():
        if value == {"array": True}:
            array = store.arrays.get(f"parameter.{name}", np.empty(0))
            values[name] = store.get(f"parameter.{name}", None, *array.shape)
        elif not (value is None or isinstance(value, bool | int | float | str)):
            raise damaged(f"parameter {name!r} is {type(value).__name__}")
    return values


def _restore_attributes(
    classifier: NeuralClassifier, described: dict[str, Any], store: Store
) -> None:
    known, needed = attributes_of(type(classifier))
    wrong = sorted((needed - set(described)) | (set(described) - set(known)))
    if wrong:
        raise damaged(f"{wrong[0]!r} is missing or unknown")
    for name, node in described.items():
        setattr(classifier, name, known[name].unpack(name, node, store))


def _restore_network(
    classifier: NeuralClassifier, described: dict[str, Any], tensors: Tensors
) -> TwoHeadNetwork:
    """Build the network and give it its weights, all of them or none."""
    backbone, n_classes = classifier.backbone, classifier.n_classes_
    shape = classifier._sample_shape
    options: dict[str, Any] = {
        "attach_at": take(described, "attach_at", str),
        "stem_gradient": take(described, "stem_gradient", float),
    }
    # On the device "meta" tensors have shapes but no memory, whatever sizes a file declares.
    empty = isinstance(backbone, str) and backbone in classifier._backbones
    if not empty and math.prod(shape) > _MAX_VALUES_PER_SERIES:
        raise ValueError(
            f"series must have at most {_MAX_VALUES_PER_SERIES} values to save or load a model "
            f"with this backbone, got {shape[0]} channel(s) of {_size(shape)}; use one of "
            f"{sorted(classifier._backbones)}."
        )
    try:
        with torch.device("meta" if empty else "cpu"):
            sample = torch.zeros(2, *shape)
            network = classifier._make_network(sample, n_classes, **options)
    except ImportError:
        raise
    except Exception as error:  # foreign code, with sizes from a file
        raise ValueError(
            f"backbone must build a network for {shape[0]} channel(s) of {_size(shape)} and "
            f"{n_classes} classes, got {type(error).__name__} ({error}); give the backbone that "
            "the model was trained with, or another copy of the model."
        ) from error
    _check_weights_fit(network.state_dict(), tensors)
    network.load_state_dict(tensors, assign=empty)
    return network.eval()


def _size(shape: tuple[int, ...]) -> str:
    return f"{' by '.join(map(str, shape[1:]))} values"


def _check_weights_fit(wanted: dict[str, Any], tensors: Tensors) -> None:
    for name in sorted(set(wanted) | set(tensors)):
        need, got = (_form(weights.get(name)) for weights in (wanted, tensors))
        if need != got:
            raise ValueError(
                f"weights must fit the backbone, got {got} for {name} where it has {need}; give "
                "the backbone that the model was trained with, or another copy of the model."
            )


def _form(weight: Any) -> str:
    if not isinstance(weight, torch.Tensor):
        return "nothing"
    return f"{weight.dtype} of shape {tuple(weight.shape)}"
