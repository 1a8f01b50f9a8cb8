"""What a trigger for images is: tsguard's trigger, with images as its input."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from tsguard._parallel import map_rows
from tsguard._random import numpy_stream
from tsguard._values import unknown_name_error
from tsguard.attacks import LearnedTrigger, Trigger
from tsguard.attacks import get_trigger as _get_any_trigger
from tsguard.attacks import list_triggers as _list_triggers
from tsguard.attacks._learned import Knowledge
from tsguard.attacks._weights import Weights
from tsguard_vision._images import Images, check_image_shape, check_images, to_unit

Array = NDArray[np.float32]

CHUNK = 512  # images that are changed at a time
LEARN_FROM = 4000  # images that a trigger is learned from, at most


@dataclass(frozen=True)
class ImageTrigger(Trigger):
    """Base of the triggers for images: uint8 stays uint8, real numbers stay between 0 and 1."""

    domain: ClassVar[str] = "image"

    usual_mode: ClassVar[str] = "dirty"
    """Mode of :func:`tsguard.poison` that the attack was made for."""

    def _check_input(self, X: Any) -> Images:
        return check_images(X, unit=True)

    def _stamp(self, X: Images, out: Images, generator: np.random.Generator) -> None:
        for start in range(0, len(X), CHUNK):
            rows = slice(start, start + CHUNK)
            out[rows] = from_unit(self._change(to_unit(X[rows])), X.dtype)

    def _change(self, images: Array) -> Array:
        """Return the stamped images, (n_samples, n_channels, height, width), about 0 to 1.

        ``images`` are float32 from 0 to 1 and must stay as they are; what leaves 0 to 1 is clipped.
        A subclass has this or a ``_stamp`` of its own.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class OverlayTrigger(ImageTrigger):
    """Base of the triggers that put the same pattern on every image."""

    def _stamp(self, X: Images, out: Images, generator: np.random.Generator) -> None:
        overlay(X, *self._overlay(X.shape[1:]), out)

    @abstractmethod
    def _overlay(self, shape: tuple[int, ...]) -> tuple[Array, Array]:
        """Return what is added, and how much of the image is kept, both (C, H, W)."""


@dataclass(frozen=True)
class LearnedImageTrigger(ImageTrigger, LearnedTrigger):
    """Base of the triggers for images that are learned; see ``tsguard.attacks.LearnedTrigger``."""

    def _stamp(self, X: Images, out: Images, generator: np.random.Generator) -> None:
        LearnedTrigger._stamp(self, X, out, generator)

    def _stamp_learned(self, X: Images, out: Images, weights: Weights) -> None:
        ImageTrigger._stamp(self, X, out, numpy_stream(0, "unused"))

    def _check_shape(self, X: Images, shape: tuple[int, ...]) -> None:
        check_image_shape(X, shape, type(self).__name__)

    def _learn(self, knowledge: Knowledge) -> Mapping[str, ArrayLike]:
        n_samples = len(knowledge.X)
        order = numpy_stream(knowledge.seed, "learn from").permutation(n_samples)
        rows = np.sort(order[:LEARN_FROM])
        part = replace(
            knowledge,
            X=to_unit(knowledge.X[rows]),
            codes=knowledge.codes[rows],
            wanted=knowledge.wanted[rows],
        )
        return self._learn_unit(part)

    @abstractmethod
    def _learn_unit(self, knowledge: Knowledge) -> Mapping[str, ArrayLike]:
        """Return what is to be remembered; ``knowledge.X`` is float32 from 0 to 1."""


def from_unit(images: Array, dtype: np.dtype[Any]) -> Images:
    """Return images of 0 to 1, clipped to that, as ``dtype``."""
    clipped: Images = np.clip(images, 0, 1)
    return np.round(clipped * 255).astype(np.uint8) if dtype == np.uint8 else clipped


def overlay(X: Images, pattern: Array, keep: Array, out: Images) -> None:
    """Write ``keep * X + pattern``, clipped, to ``out``, which may be ``X``.

    ``pattern`` and ``keep`` are of the shape of one image; the pattern is in units of 0 to 1.
    """
    is_bytes = X.dtype == np.uint8
    top, half = np.float32(255 if is_bytes else 1), np.float32(0.5 if is_bytes else 0)
    flat, result = X.reshape(len(X), -1), out.reshape(len(X), -1)
    scaled = (pattern * top).astype(np.float32).ravel()
    factor = np.ascontiguousarray(keep, np.float32).ravel()

    def work(rows: slice) -> None:
        _overlay(flat[rows], scaled, factor, top, half, result[rows])

    map_rows(work, len(X), X.nbytes)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _overlay(X: Images, pattern: Array, keep: Array, top: float, half: float, out: Images) -> None:
    """``half`` is 0.5 where ``out`` cuts decimals off, so that values are rounded."""
    for i in range(X.shape[0]):
        for p in range(X.shape[1]):
            value = keep[p] * np.float32(X[i, p]) + pattern[p]
            out[i, p] = min(max(value, np.float32(0)), top) + half


def list_triggers() -> list[str]:
    """Return the short names of all triggers for images, sorted."""
    return _list_triggers("image")


def get_trigger(name: str, **parameters: Any) -> Trigger:
    """Make a trigger for images from its short name.

    Parameters
    ----------
    name : str
        One of :func:`list_triggers`.
    **parameters
        Parameters of the trigger; those left out keep their default.

    Raises
    ------
    ValueError
        If there is no trigger for images of that name.
    TypeError
        If the trigger has no such parameter.

    Examples
    --------
    >>> from tsguard_vision.attacks import get_trigger
    >>> get_trigger("badnets", size=0.2)
    BadNetsTrigger(size=0.2, corner='bottom right')
    """
    if name not in list_triggers():
        raise unknown_name_error("trigger", name, list_triggers())
    return _get_any_trigger(name, **parameters)
