"""What turns a classifier of tsguard into one for images: its input, network and views."""

from collections.abc import Collection
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._param_validation import StrOptions
from torch import Tensor

from tsguard._base import NeuralClassifier
from tsguard._device import resolve_device
from tsguard.models import TwoHeadNetwork, build_network
from tsguard.suspicion import Views
from tsguard_vision._backbones import AUGMENTATIONS, BACKBONES, ImageNetwork, build_backbone
from tsguard_vision._images import Images, check_image_shape, check_images
from tsguard_vision._views import image_views, plain_image_blocks


class ImageInputs(NeuralClassifier):
    """Makes a classifier of tsguard one for images; nothing about training changes.

    ``class SpectralImages(ImageInputs, SpectralSignaturesClassifier): ...`` is enough; its backbone
    is then one of those for images.

    Attributes
    ----------
    augment : {"crop", "crop+flip"} or None
        See :class:`tsguard_vision._backbones.Augment`.
    """

    _axes: ClassVar[tuple[str, ...]] = ("n_channels", "height", "width")
    _backbones: ClassVar[Collection[str]] = BACKBONES
    _backbone_prefix: ClassVar[str] = "torchvision:"
    _image_constraints: ClassVar[dict[str, list[Any]]] = {
        "augment": [StrOptions(set(AUGMENTATIONS)), None],
    }

    augment: str | None = None

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
        deviation[deviation <= 1e-6 * (np.abs(mean) + 1e-6)] = 1.0
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
