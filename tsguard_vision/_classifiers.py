"""The classifiers for images: those of tsguard, with images as their input."""

from typing import Any, ClassVar

from tsguard import E2ABLClassifier
from tsguard._persistence._registry import register
from tsguard.defenses import ABLClassifier, StandardClassifier
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
        Seed; on the CPU, the same integer gives the same model on the same machine.
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


@register
class StandardImageClassifier(ImageInputs, StandardClassifier):
    """Standard training on images: no defense, or, on true labels, the oracle.

    Parameters and attributes as in :class:`E2ABLImageClassifier` and
    :class:`tsguard.defenses.StandardClassifier`.
    """


@register
class ABLImageClassifier(ImageInputs, ABLClassifier):
    """Anti-backdoor learning on images: isolate by loss, train on the rest, unlearn.

    Parameters and attributes as in :class:`E2ABLImageClassifier` and
    :class:`tsguard.defenses.ABLClassifier`; isolation and unlearning rate are the paper's.
    """

    _defaults: ClassVar[dict[str, Any]] = {"isolation_rate": 0.01, "unlearning_rate": 0.005}
