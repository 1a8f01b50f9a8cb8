"""Networks for images, and the augmentation in front of them."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tsguard._random import torch_globals_from
from tsguard._values import near_names, unknown_name_error
from tsguard.models import Backbone

AUGMENTATIONS = ("crop", "crop+flip")


class ResNet18(nn.Module):
    """ResNet-18 in the form for small images: a 3x3 stem, no pooling before the first stage.

    Source: He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR 2016; the
    stem as usual for 32x32 images.

    Parameters
    ----------
    n_channels, n_classes : int

    Shape
    -----
    Input ``(N, C, H, W)``, output ``(N, K)``.

    Examples
    --------
    >>> ResNet18(3, 10)(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 10])
    """

    stage_names = ("stage1", "stage2", "stage3", "stage4")

    def __init__(self, n_channels: int, n_classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(_conv(n_channels, 64), nn.BatchNorm2d(64), nn.ReLU())
        self.stage1 = nn.Sequential(Residual(64, 64), Residual(64, 64))
        self.stage2 = nn.Sequential(Residual(64, 128, 2), Residual(128, 128))
        self.stage3 = nn.Sequential(Residual(128, 256, 2), Residual(256, 256))
        self.stage4 = nn.Sequential(Residual(256, 512, 2), Residual(512, 512))
        self.head = nn.Linear(512, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``(N, K)``."""
        x = self.stage4(self.stage3(self.stage2(self.stage1(self.stem(x)))))
        logits: Tensor = self.head(x.mean(dim=(2, 3)))
        return logits


class WideResNet16(nn.Module):
    """WideResNet-16-1: 16 layers, 16 to 64 feature maps, normalisation before each convolution.

    Source: Zagoruyko, Komodakis, "Wide Residual Networks", BMVC 2016.

    Parameters
    ----------
    n_channels, n_classes : int

    Shape
    -----
    Input ``(N, C, H, W)``, output ``(N, K)``.

    Examples
    --------
    >>> WideResNet16(1, 10)(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 10])
    """

    stage_names = ("stage1", "stage2", "stage3")

    def __init__(self, n_channels: int, n_classes: int) -> None:
        super().__init__()
        self.stem = _conv(n_channels, 16)
        self.stage1 = nn.Sequential(PreActivation(16, 16), PreActivation(16, 16))
        self.stage2 = nn.Sequential(PreActivation(16, 32, 2), PreActivation(32, 32))
        self.stage3 = nn.Sequential(PreActivation(32, 64, 2), PreActivation(64, 64))
        self.last = nn.Sequential(nn.BatchNorm2d(64), nn.ReLU())
        self.head = nn.Linear(64, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``(N, K)``."""
        x = self.stage3(self.stage2(self.stage1(self.stem(x))))
        x = self.last(x)
        logits: Tensor = self.head(x.mean(dim=(2, 3)))
        return logits


class Residual(nn.Module):
    """Two convolutions beside a short cut, ``(N, C, H, W)`` to ``(N, C', H/stride, W/stride)``."""

    def __init__(self, n_in: int, n_out: int, stride: int = 1) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _conv(n_in, n_out, stride),
            nn.BatchNorm2d(n_out),
            nn.ReLU(),
            _conv(n_out, n_out),
            nn.BatchNorm2d(n_out),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or n_in != n_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Return the feature maps."""
        return functional.relu(self.layers(x) + self.shortcut(x))


class PreActivation(nn.Module):
    """As :class:`Residual`, with normalisation and ReLU before each convolution."""

    def __init__(self, n_in: int, n_out: int, stride: int = 1) -> None:
        super().__init__()
        self.first = nn.BatchNorm2d(n_in)
        self.layers = nn.Sequential(
            _conv(n_in, n_out, stride), nn.BatchNorm2d(n_out), nn.ReLU(), _conv(n_out, n_out)
        )
        same = stride == 1 and n_in == n_out
        self.shortcut = None if same else nn.Conv2d(n_in, n_out, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the feature maps."""
        active = functional.relu(self.first(x))
        short = x if self.shortcut is None else self.shortcut(active)
        maps: Tensor = short + self.layers(active)
        return maps


BACKBONES: dict[str, Callable[[int, int], nn.Module]] = {
    "resnet18": ResNet18,
    "wideresnet16_1": WideResNet16,
}


class Augment(nn.Module):
    """Move, and perhaps mirror, every image of a batch at random; in training mode only.

    Parameters
    ----------
    mode : {"crop", "crop+flip"} or None
        ``"crop"``: moved by up to an eighth of its size, the gap filled with 0 (the mean, once
        scaled); ``"crop+flip"``: also mirrored, left to right, half of the time.

    Shape
    -----
    Input and output ``(N, C, H, W)``.
    """

    def __init__(self, mode: str | None) -> None:
        super().__init__()
        self.mode = mode

    def forward(self, x: Tensor) -> Tensor:
        """Return the batch, augmented in training mode."""
        if not self.training or self.mode is None:
            return x
        n_samples, _, height, width = x.shape
        top, left = max(1, height // 8), max(1, width // 8)
        padded = functional.pad(x, (left, left, top, top))
        rows = self._starts(x, top)[:, None] + torch.arange(height, device=x.device)  # (N, H)
        columns = self._starts(x, left)[:, None] + torch.arange(width, device=x.device)  # (N, W)
        if self.mode == "crop+flip":
            mirrored = torch.rand(n_samples, 1, device=x.device) < 0.5
            columns = torch.where(mirrored, columns.flip(1), columns)
        samples = torch.arange(n_samples, device=x.device)[:, None, None]
        # Advanced indices around a slice put the sliced axis last: (N, H, W, C).
        moved: Tensor = padded[samples, :, rows[:, :, None], columns[:, None, :]]
        return moved.permute(0, 3, 1, 2)

    @staticmethod
    def _starts(x: Tensor, most: int) -> Tensor:
        return torch.randint(0, 2 * most + 1, (len(x),), device=x.device)


class ImageNetwork(nn.Module):
    """A backbone with augmentation in front of it, which no other part needs to know of.

    Parameters
    ----------
    backbone : torch.nn.Module
    augment : str or None
        See :class:`Augment`.

    Shape
    -----
    Input ``(N, C, H, W)``, output ``(N, K)``.
    """

    def __init__(self, backbone: nn.Module, augment: str | None) -> None:
        super().__init__()
        self.augment = Augment(augment)
        self.backbone = backbone
        self.stage_names = tuple(f"backbone.{name}" for name in _stages(backbone))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``(N, K)``."""
        x = self.augment(x)
        if x.is_cuda:  # convolutions of a GPU read channels last
            x = x.contiguous(memory_format=torch.channels_last)
        logits: Tensor = self.backbone(x)
        return logits


def build_backbone(backbone: Backbone, sample: Tensor, n_classes: int, seed: int) -> nn.Module:
    """Return the bare network of a name, or the user's own module.

    Parameters
    ----------
    backbone : str or torch.nn.Module
        ``"resnet18"``, ``"wideresnet16_1"``, ``"torchvision:<name>"`` (without weights) or a
        module that maps ``(n_samples, n_channels, height, width)`` to logits.
    sample : torch.Tensor of shape (n_samples, n_channels, height, width)
    n_classes, seed : int

    Raises
    ------
    ValueError
        If there is no backbone of that name.
    ImportError
        If torchvision is needed and cannot be imported.
    """
    if not isinstance(backbone, str):
        return backbone
    with torch_globals_from(seed, "init"):
        if backbone.startswith("torchvision:"):
            return _from_torchvision(backbone.removeprefix("torchvision:"), sample, n_classes)
        if backbone in BACKBONES:
            return BACKBONES[backbone](sample.shape[1], n_classes)
    raise unknown_name_error("backbone", backbone, [*BACKBONES, "torchvision:<name>"])


def _from_torchvision(name: str, sample: Tensor, n_classes: int) -> nn.Module:
    models = import_torchvision().models
    if name not in models.list_models(module=models):
        near = near_names(name, models.list_models(module=models))
        raise ValueError(
            f"backbone must name a classifier of torchvision, got 'torchvision:{name}'; "
            + (f"did you mean one of {near}?" if near else "see torchvision.models.list_models().")
        )
    if sample.shape[1] != 3:
        raise ValueError(
            f"X must have 3 channels for a backbone of torchvision, got {sample.shape[1]}; repeat "
            f"a grey channel with X.repeat(3, axis=1), or use one of {sorted(BACKBONES)}."
        )
    model: nn.Module = models.get_model(name, weights=None, num_classes=n_classes)
    return model


def import_torchvision() -> Any:
    """Import torchvision, or say how to get it."""
    try:
        import torchvision
    except (ImportError, RuntimeError, OSError) as error:
        # A build for another version of torch fails with a RuntimeError or an OSError.
        raise ImportError(
            f"torchvision must be installed and fit torch {torch.__version__} for this, got "
            f"{type(error).__name__} ({error}); pip install 'tsguard[vision]'."
        ) from error
    return torchvision


def _conv(n_in: int, n_out: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(n_in, n_out, 3, stride, padding=1, bias=False)


def _stages(backbone: nn.Module) -> tuple[str, ...]:
    """Return the names of the stages: the module's own, its compound children, or all children."""
    named: tuple[str, ...] | None = getattr(backbone, "stage_names", None)
    if named is not None:
        return named
    children = list(backbone.named_children())
    compound = tuple(name for name, child in children if list(child.children()))
    return compound or tuple(name for name, _ in children)
