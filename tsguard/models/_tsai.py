"""Finding model classes in tsai, whose import needs a careful hand."""

import importlib
import inspect
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from torch import nn

from tsguard._random import global_generators_kept
from tsguard._values import near_names


def find_tsai_class(name: str) -> type[nn.Module]:
    """Return the model class called ``name`` (such as ``"FCN"``) of tsai.

    Raises
    ------
    ImportError
        If tsai is not installed.
    ValueError
        If tsai has no model of that name.
    """
    module = _import_tsai_module(name)
    found = getattr(module, name, None)
    if not (inspect.isclass(found) and issubclass(found, nn.Module)):
        known = [key for key, value in vars(module).items() if inspect.isclass(value)]
        near = near_names(name, known)
        raise ValueError(
            f"backbone must name a model of tsai after 'tsai:', got {name!r}; "
            f"near matches: {', '.join(near) or 'none'}."
        )
    return found


def _import_tsai_module(name: str) -> ModuleType:
    """Import the module of tsai that holds a model; most models have one of their own name."""
    with warnings.catch_warnings(), _without_broken_torchvision(), global_generators_kept():
        # tsai, and fastai under it, call APIs that torch has deprecated: nothing that a user of
        # tsguard could act on.
        warnings.simplefilter("ignore")
        try:
            return importlib.import_module(f"tsai.models.{name}")
        except ModuleNotFoundError as error:
            if not (error.name or "").startswith("tsai.models"):
                raise ImportError(
                    f"tsai must be installed for the built-in backbones, got {error}; "
                    "run `pip install tsai` or pass a torch module as backbone."
                ) from error
            return importlib.import_module("tsai.models.all")


@contextmanager
def _without_broken_torchvision() -> Iterator[None]:
    """Stand in for a torchvision that cannot be imported (built for another torch, say).

    fastai imports torchvision's list of image models, which no model for series needs. A build
    that does not match the installed torch raises a RuntimeError there; two empty modules let
    the import pass, and are taken away again afterwards.
    """
    try:
        importlib.import_module("torchvision")
    except (ImportError, RuntimeError):
        stand_ins = {name: ModuleType(name) for name in ("torchvision", "torchvision.models")}
    else:
        stand_ins = {}
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name in stand_ins:
            sys.modules.pop(name, None)
