"""The classifiers for images: those of tsguard, with images as their input."""

from typing import Any, ClassVar

import torch

from tsguard import E2ABLClassifier
from tsguard._persistence._registry import register
from tsguard._random import RandomState
from tsguard.defenses import ABLClassifier, StandardClassifier
from tsguard.models import Backbone
from tsguard_vision._inputs import ImageInputs


@register
class E2ABLImageClassifier(ImageInputs, E2ABLClassifier):
    """Image classifier that isolates and relabels poisoned samples while it learns.

    All but the input is :class:`tsguard.E2ABLClassifier`: engine, suspicion, isolation, recovery,
    evaluation and files are the same.

    Parameters
    ----------
    backbone : str or torch.nn.Module, default="resnet18"
        ``"resnet18"``, ``"wideresnet16_1"`` (both in the form for small images),
        ``"torchvision:<name>"`` without weights, or a module of your own that maps
        ``(n_samples, n_channels, height, width)`` to logits ``(n_samples, n_classes)``.
    augment : {"crop", "crop+flip"} or None, default="crop"
        Training only, on the device: ``"crop"`` moves every image by up to an eighth of its size,
        ``"crop+flip"`` also mirrors half of them (not for digits, letters or traffic signs).
    attach_at, suspicion, isolation_rate, recovery_rate, stem_gradient
        As in :class:`tsguard.E2ABLClassifier`.
    n_epochs : int, default=40
        Epochs of training.
    batch_size : int, default=128
        Samples per update.
    learning_rate : float, default=0.003
        Peak of the one-cycle schedule.
    weight_decay : float, default=0.01
        Weight decay of AdamW.
    precision : {"float32", "bfloat16"}, default="float32"
        Of the forward pass in training. ``"bfloat16"`` about halves the time on processors with
        bfloat16 instructions and on recent GPUs; predictions are always made in float32.
    device : str or torch.device, default="auto"
        ``"auto"`` takes CUDA where present, else the CPU.
    random_state : int, RandomState or None, default=None
        Seed; the same integer gives the same model on the same machine.
    verbose : bool, default=False
        Show a progress bar.

    Attributes
    ----------
    classes_, suspicion_, suspect_mask_, recovered_labels_, suspected_target_, sample_report_
        As in :class:`tsguard.E2ABLClassifier`, and so are all others.
    n_channels_, height_, width_ : int
        Shape of one image.

    Examples
    --------
    >>> from tsguard_vision import E2ABLImageClassifier, load_dataset
    >>> data = load_dataset("digits")
    >>> clf = E2ABLImageClassifier("wideresnet16_1", n_epochs=1, random_state=0)
    >>> clf.fit(data.X_train[:60], data.y_train[:60]).predict(data.X_test[:3]).shape
    (3,)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **E2ABLClassifier._parameter_constraints,
        **ImageInputs._image_constraints,
    }

    def __init__(
        self,
        backbone: Backbone = "resnet18",
        *,
        augment: str | None = "crop",
        attach_at: str | int = "auto",
        suspicion: str = "auto",
        isolation_rate: float | str = "auto",
        recovery_rate: float = 1.0,
        stem_gradient: float = 0.0,
        n_epochs: int = 40,
        batch_size: int = 128,
        learning_rate: float = 3e-3,
        weight_decay: float = 1e-2,
        precision: str = "float32",
        device: str | torch.device = "auto",
        random_state: RandomState = None,
        verbose: bool = False,
    ) -> None:
        self.augment = augment
        E2ABLClassifier.__init__(
            self,
            backbone,
            attach_at=attach_at,
            suspicion=suspicion,
            isolation_rate=isolation_rate,
            recovery_rate=recovery_rate,
            stem_gradient=stem_gradient,
            n_epochs=n_epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            precision=precision,
            device=device,
            random_state=random_state,
            verbose=verbose,
        )


@register
class StandardImageClassifier(ImageInputs, StandardClassifier):
    """Standard training on images: no defense, or, on true labels, the oracle.

    Parameters and attributes as in :class:`E2ABLImageClassifier` and
    :class:`tsguard.defenses.StandardClassifier`.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **StandardClassifier._parameter_constraints,
        **ImageInputs._image_constraints,
    }

    def __init__(
        self,
        backbone: Backbone = "resnet18",
        *,
        augment: str | None = "crop",
        n_epochs: int = 40,
        batch_size: int = 128,
        learning_rate: float = 3e-3,
        weight_decay: float = 1e-2,
        precision: str = "float32",
        device: str | torch.device = "auto",
        random_state: RandomState = None,
        verbose: bool = False,
    ) -> None:
        self.augment = augment
        StandardClassifier.__init__(
            self,
            backbone,
            n_epochs=n_epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            precision=precision,
            device=device,
            random_state=random_state,
            verbose=verbose,
        )


@register
class ABLImageClassifier(ImageInputs, ABLClassifier):
    """Anti-backdoor learning on images: isolate by loss, train on the rest, unlearn.

    Parameters and attributes as in :class:`E2ABLImageClassifier` and
    :class:`tsguard.defenses.ABLClassifier`; isolation and unlearning rate are the paper's.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **ABLClassifier._parameter_constraints,
        **ImageInputs._image_constraints,
    }

    def __init__(
        self,
        backbone: Backbone = "resnet18",
        *,
        augment: str | None = "crop",
        variant: str = "lga",
        gamma: float = 0.5,
        isolation_rate: float = 0.01,
        isolation_epochs: float = 0.125,
        unlearning_epochs: float = 0.125,
        unlearning_rate: float = 0.005,
        n_epochs: int = 40,
        batch_size: int = 128,
        learning_rate: float = 3e-3,
        weight_decay: float = 1e-2,
        precision: str = "float32",
        device: str | torch.device = "auto",
        random_state: RandomState = None,
        verbose: bool = False,
    ) -> None:
        self.augment = augment
        ABLClassifier.__init__(
            self,
            backbone,
            variant=variant,
            gamma=gamma,
            isolation_rate=isolation_rate,
            isolation_epochs=isolation_epochs,
            unlearning_epochs=unlearning_epochs,
            unlearning_rate=unlearning_rate,
            n_epochs=n_epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            precision=precision,
            device=device,
            random_state=random_state,
            verbose=verbose,
        )
