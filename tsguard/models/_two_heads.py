"""A network with a second, shallow head: the trap."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class TrapHead(nn.Module):
    """Class scores from the features of one shallow stage.

    Every feature map is summarised by its mean (is the pattern there throughout?) and its
    maximum (is it there anywhere?), so that neither a hum nor a short patch is averaged away.

    Parameters
    ----------
    n_features : int
        Number F of feature maps of the stage.
    n_classes : int
        Number K of classes.

    Shape
    -----
    Input ``(N, F)`` or ``(N, F, ...)``, output ``(N, K)``.

    Examples
    --------
    >>> TrapHead(8, 3)(torch.zeros(5, 8, 20)).shape
    torch.Size([5, 3])
    """

    def __init__(self, n_features: int, n_classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(2 * n_features, n_classes)

    def forward(self, features: Tensor) -> Tensor:
        """Return logits ``(N, K)``."""
        logits: Tensor = self.linear(self.summarise(features))
        return logits

    def summarise(self, features: Tensor) -> Tensor:
        """Return mean and maximum of every feature map, ``(N, 2F)``."""
        maps = features.reshape(len(features), features.shape[1], -1)  # (N, F, positions)
        return torch.cat([maps.mean(dim=2), maps.amax(dim=2)], dim=1)


class TwoHeadNetwork(nn.Module):
    """A backbone, untouched, and a trap head that reads one of its shallow stages.

    The backbone runs exactly as it would alone; the trap head listens to the output of the
    stage ``attach_at``. Prediction therefore never depends on the trap head.

    Parameters
    ----------
    backbone : torch.nn.Module
        Maps inputs to class logits ``(N, K)``.
    attach_at : str
        Name of the sub-module of ``backbone`` whose output the trap head reads.
    n_features : int
        Number of feature maps that this sub-module puts out (its second axis).
    n_classes : int
        Number K of classes.
    stem_gradient : float, default=1.0
        Share of the trap head's gradient that flows back into the shared shallow layers, 0 to 1.

    Shape
    -----
    Input as the backbone's, output ``(N, K)``.
    """

    def __init__(
        self,
        backbone: nn.Module,
        attach_at: str,
        n_features: int,
        n_classes: int,
        stem_gradient: float = 1.0,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.attach_at = attach_at
        self.stem_gradient = stem_gradient
        self.trap = TrapHead(n_features, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the main head's logits ``(N, K)``."""
        logits: Tensor = self.backbone(x)
        return logits

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits of the main head and of the trap head, each ``(N, K)``."""
        outputs = record_outputs(self.backbone, [self.attach_at], x)
        features = outputs[self.attach_at]
        share = self.stem_gradient
        features = share * features + (1 - share) * features.detach()
        return outputs[""], self.trap(features)

    def seen_by_trap(self, x: Tensor) -> Tensor:
        """Return what the trap head reads of the input, ``(N, 2F)``."""
        return self.trap.summarise(
            record_outputs(self.backbone, [self.attach_at], x)[self.attach_at]
        )


def record_outputs(module: nn.Module, names: Iterable[str], x: Tensor) -> dict[str, Tensor]:
    """Run ``module`` once and return the outputs of the named sub-modules.

    Parameters
    ----------
    module : torch.nn.Module
    names : iterable of str
        Names of sub-modules, as in ``module.named_modules()``.
    x : torch.Tensor
        The input.

    Returns
    -------
    dict of str to torch.Tensor
        First output of each sub-module that ran and returned a tensor with at least two axes;
        the module's own output stands under the empty name.
    """
    outputs: dict[str, Tensor] = {}

    def keep(name: str) -> "torch.utils.hooks.RemovableHandle":
        def hook(_module: nn.Module, _inputs: object, output: object) -> None:
            if isinstance(output, Tensor) and output.ndim >= 2:
                outputs.setdefault(name, output)

        return module.get_submodule(name).register_forward_hook(hook)

    # Hooks live for one call only, so that copies and pickles of the network carry none.
    handles = [keep(name) for name in names]
    try:
        outputs[""] = module(x)
    finally:
        for handle in handles:
            handle.remove()
    return outputs
