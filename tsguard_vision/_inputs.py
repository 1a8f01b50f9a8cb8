"""What turns a classifier of tsguard into one for images: its input, network and views."""

import inspect
from collections.abc import Collection
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._param_validation import StrOptions
from torch import Tensor

from tsguard._base import NeuralClassifier
from tsguard._device import resolve_device
from tsguard.defenses import DBDClassifier, NABClassifier, NADClassifier
from tsguard.models import Backbone, TwoHeadNetwork, build_network
from tsguard.suspicion import Views
from tsguard_vision._backbones import AUGMENTATIONS, BACKBONES, ImageNetwork, build_backbone
from tsguard_vision._images import Images, check_image_shape, check_images
from tsguard_vision._views import image_views, plain_image_blocks

_SERIES_ONLY = (DBDClassifier, NABClassifier, NADClassifier)


class ImageInputs(NeuralClassifier):
    """Makes a classifier of tsguard one for images; nothing about training changes.

    ``class SpectralImages(ImageInputs, SpectralSignaturesClassifier): ...`` is enough: it has the
    parameters of the other class, and ``augment``, with defaults for images. It works for methods
    that take samples as they are; NAB and DBD alter series, and NAD compares two networks on the
    same input, which augmentation would make two.

    Parameters
    ----------
    backbone : str or torch.nn.Module, default="resnet18"
    augment : {"crop", "crop+flip"} or None, default="crop"
        See :class:`tsguard_vision._backbones.Augment`.
    **parameters
        Those of the other class; ``batch_size`` is 128 unless given.
    """

    _axes: ClassVar[tuple[str, ...]] = ("n_channels", "height", "width")
    _backbones: ClassVar[Collection[str]] = BACKBONES
    _backbone_prefix: ClassVar[str] = "torchvision:"
    _defaults: ClassVar[dict[str, Any]] = {"backbone": "resnet18", "batch_size": 128}
    """What differs from the other class's defaults; a subclass may add to it."""

    def __init__(
        self, backbone: Backbone = "resnet18", *, augment: str | None = "crop", **parameters: Any
    ) -> None:
        self.augment = augment
        super().__init__(backbone, **parameters)

    def __init_subclass__(cls, **options: Any) -> None:
        """Give the class its signature, which scikit-learn reads: the other class's parameters."""
        super().__init_subclass__(**options)
        if ImageInputs not in cls.__bases__ or "__init__" in vars(cls):
            return
        other: Any = next(kind for kind in cls.__mro__ if not issubclass(kind, ImageInputs))
        if issubclass(other, _SERIES_ONLY):
            raise TypeError(
                f"ImageInputs must stand before a method that takes samples as they are, got "
                f"{other.__name__}; NAB, DBD and NAD are for series."
            )
        theirs = inspect.signature(other.__init__).parameters
        augment = inspect.signature(ImageInputs.__init__).parameters["augment"]
        defaults = ImageInputs._defaults | cls._defaults
        parameters = [
            one.replace(default=defaults.get(name, one.default)) for name, one in theirs.items()
        ]
        signature = inspect.Signature([*parameters[:2], augment, *parameters[2:]])

        def __init__(self: ImageInputs, *values: Any, **named: Any) -> None:
            given = signature.bind(self, *values, **named)
            given.apply_defaults()
            ImageInputs.__init__(*given.args, **given.kwargs)

        __init__.__signature__ = signature  # type: ignore[attr-defined]
        cls.__init__ = __init__  # type: ignore[method-assign]
        cls._parameter_constraints = other._parameter_constraints | {
            "augment": [StrOptions(set(AUGMENTATIONS)), None]
        }

    def _preprocess_collection(self, X: Any, store_metadata: bool = True) -> Images:
        images = check_images(X)
        if store_metadata:
            self._keep_shape(*images.shape)
        return images

    def _check_shape(self, X: Images) -> None:
        check_image_shape(X, self._sample_shape, type(self).__name__)

    def _fit_scale(self, X: Images) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return mean and deviation of every channel, (1, C, 1, 1), without a copy in float64."""
        moments = np.zeros((2, X.shape[1]))
        for start in range(0, len(X), 1024):
            part = X[start : start + 1024].astype(np.float64)
            moments += np.stack([part.sum(axis=(0, 2, 3)), (part**2).sum(axis=(0, 2, 3))])
        mean, square = moments / (X.size / X.shape[1])
        deviation = np.sqrt(np.maximum(square - mean**2, 0))
        deviation[deviation <= np.maximum(1e-6 * np.abs(mean), np.finfo(np.float32).tiny)] = 1.0
        shape = (1, -1, 1, 1)
        return mean.astype(np.float32).reshape(shape), deviation.astype(np.float32).reshape(shape)

    def _make_network(self, sample: Tensor, n_classes: int, **options: Any) -> TwoHeadNetwork:
        bare = build_backbone(self.backbone, sample, n_classes, options.get("seed", 0))
        return build_network(ImageNetwork(bare, self.augment), sample, n_classes, **options)

    def _views(self, panel: Images, rng: np.random.Generator) -> Views:
        return image_views(self._scale(panel), rng, resolve_device(self.device))

    def _plain_blocks(self, scaled: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        return plain_image_blocks(scaled)

    @classmethod
    def _get_test_params(cls, parameter_set: str = "default") -> dict[str, Any]:
        return {"backbone": "wideresnet16_1", "n_epochs": 2, "random_state": 0}
