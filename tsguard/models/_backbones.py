"""Which networks there are, how they are built, and where a second head may attach."""

import copy
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from tsguard._random import torch_globals_from
from tsguard._values import is_integer, unknown_name_error
from tsguard.models._tsai import find_tsai_class
from tsguard.models._two_heads import TwoHeadNetwork, record_outputs

Backbone = str | nn.Module

WRAPPER_SHARE = 0.75  # of a network's parameters that a first child has if it only wraps the rest


@dataclass(frozen=True)
class BackboneSpec:
    """A named network of tsai: its class and its stages, shallow to deep."""

    tsai_name: str
    stages: tuple[str, ...]


# tsai's modules already run as a chain of stages; a stage is named as the module names it.
BACKBONES = {
    "fcn": BackboneSpec("FCN", ("convblock1", "convblock2", "convblock3")),
    "inceptiontime": BackboneSpec(
        "InceptionTime", tuple(f"inceptionblock.inception.{depth}" for depth in range(6))
    ),
    "resnet1d": BackboneSpec("ResNet", ("resblock1", "resblock2", "resblock3")),
}


def build_network(
    backbone: Backbone,
    sample: torch.Tensor,
    n_classes: int,
    *,
    attach_at: str | int = "auto",
    stem_gradient: float = 1.0,
    seed: int = 0,
) -> TwoHeadNetwork:
    """Build a backbone and attach a trap head to one of its shallow stages.

    Parameters
    ----------
    backbone : str or torch.nn.Module
        ``"fcn"``, ``"inceptiontime"``, ``"resnet1d"``; ``"tsai:<Name>"`` for any other model of
        tsai that takes ``(n_samples, n_channels, n_timepoints)``; or a module of your own that
        maps such a batch to logits ``(n_samples, n_classes)`` (it is copied, not changed).
    sample : torch.Tensor of shape (n_samples, n_channels, n_timepoints)
        A few inputs; only their shape matters.
    n_classes : int
    attach_at : str or int, default="auto"
        Stage that the trap head reads: its index (0 is the shallowest), or the name of any
        sub-module. ``"auto"`` takes the first stage.
    stem_gradient : float, default=1.0
        Share of the trap head's gradient that reaches the shared layers.
    seed : int, default=0
        Seed of the initial weights.

    Returns
    -------
    TwoHeadNetwork

    Raises
    ------
    ValueError
        If the backbone, or the attach point, is unknown or puts out the wrong shape.
    TypeError
        If ``backbone`` is neither a name nor a module.
    """
    with torch_globals_from(seed, "init"):
        main, stages = _build_backbone(backbone, sample, n_classes)
        candidates = _attach_candidates(main, stages, attach_at)
        attach_name, n_features = _probe(main, candidates, sample, n_classes)
        return TwoHeadNetwork(main, attach_name, n_features, n_classes, stem_gradient)


def _build_backbone(
    backbone: Backbone, sample: torch.Tensor, n_classes: int
) -> tuple[nn.Module, tuple[str, ...]]:
    """Return the bare network and the names of its stages (a module's direct children)."""
    stages: tuple[str, ...] = ()
    if isinstance(backbone, nn.Module):
        main = copy.deepcopy(backbone).to(sample.device)
    elif not isinstance(backbone, str):
        raise TypeError(
            f"backbone must be a name or a torch module, got {type(backbone).__name__}; "
            f"pass one of {sorted(BACKBONES)}."
        )
    elif backbone.startswith("tsai:"):
        main = _build_tsai(backbone.removeprefix("tsai:"), sample, n_classes)
    elif backbone in BACKBONES:
        spec = BACKBONES[backbone]
        main, stages = _build_tsai(spec.tsai_name, sample, n_classes), spec.stages
    else:
        raise unknown_name_error("backbone", backbone, [*BACKBONES, "tsai:<Name>"])
    return main, stages or _own_stages(main)


def check_backbone(name: str) -> None:
    """Refuse the name of no network, without building it."""
    if name.startswith("tsai:"):
        find_tsai_class(name.removeprefix("tsai:"))
    elif name not in BACKBONES:
        raise unknown_name_error("backbone", name, [*BACKBONES, "tsai:<Name>"])


def _own_stages(main: nn.Module) -> tuple[str, ...]:
    """Return the stages that a module names itself (``stage_names``), or else its children.

    A first child that is nearly the whole network is a wrapper, whose children are the stages; and
    what has nothing to learn (a flattening, say) is none.
    """
    named: tuple[str, ...] | None = getattr(main, "stage_names", None)
    if named:
        return named
    prefix, stages = "", dict(main.named_children())
    while stages:
        name, first = next(iter(stages.items()))
        inner = dict(first.named_children())
        if not inner or _n_parameters(first) < WRAPPER_SHARE * _n_parameters(main):
            break
        prefix, stages = f"{prefix}{name}.", inner
    learning = [name for name, stage in stages.items() if _n_parameters(stage)]
    return tuple(prefix + name for name in learning or stages)


def _n_parameters(module: nn.Module) -> int:
    """Return the number of parameters; those of a lazy layer, not known yet, count as one."""
    return sum(1 if is_lazy(one) else one.numel() for one in module.parameters())


def _build_tsai(name: str, sample: torch.Tensor, n_classes: int) -> nn.Module:
    """Build the tsai model called ``name`` for inputs shaped like ``sample``."""
    model_class = find_tsai_class(name)
    arguments: dict[str, Any] = {"c_in": sample.shape[1], "c_out": n_classes}
    if "seq_len" in inspect.signature(model_class).parameters:
        arguments["seq_len"] = sample.shape[2]
    try:
        model: nn.Module = model_class(**arguments)
    except TypeError as error:
        raise ValueError(
            f"backbone must be a tsai classifier built from (c_in, c_out, seq_len), got "
            f"'tsai:{name}' ({error}); build it yourself and pass the module."
        ) from error
    return model


def _attach_candidates(
    main: nn.Module, stages: Sequence[str], attach_at: str | int
) -> tuple[str, ...]:
    """Return the sub-modules at which the trap head may attach, the preferred one first."""
    if attach_at == "auto":
        return tuple(stages)
    if is_integer(attach_at):
        if not 0 <= attach_at < len(stages):
            raise ValueError(
                f"attach_at must be a stage index from 0 to {len(stages) - 1}, got {attach_at}; "
                f"the stages are {', '.join(stages)}."
            )
        return (stages[attach_at],)
    if attach_at not in dict(main.named_modules()):
        raise ValueError(
            f"attach_at must be 'auto', a stage index or the name of a sub-module, "
            f"got {attach_at!r}; the stages are {', '.join(stages) or 'none'}."
        )
    return (str(attach_at),)


def _probe(
    main: nn.Module, candidates: Sequence[str], sample: torch.Tensor, n_classes: int
) -> tuple[str, int]:
    """Run a few inputs; return the attach point and the number of its feature maps."""
    was_training = main.training
    main.eval()
    with torch.no_grad():
        outputs = record_outputs(main, candidates, sample)
    main.train(was_training)
    logits = outputs.pop("", None)
    if logits is None or logits.shape != (len(sample), n_classes):
        got = "no tensor" if logits is None else f"shape {tuple(logits.shape)}"
        raise ValueError(
            f"backbone must put out logits of shape (n_samples, n_classes) = "
            f"({len(sample)}, {n_classes}), got {got}; set the size of its last layer."
        )
    for name in candidates:
        if name in outputs:
            return name, outputs[name].shape[1]
    raise ValueError(
        "attach_at must name a sub-module that runs and puts out a tensor (n_samples, "
        f"n_features, ...), got {', '.join(candidates) or 'none'}; name another one."
    )
