"""The one owner of what a valid set of images is.

Letters: N samples, C channels, H rows (height), W columns (width). A set of images is an array of
shape (N, C, H, W): uint8 from 0 to 255, or float32.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Images = NDArray[Any]


def check_images(X: Any, *, name: str = "X", unit: bool = False) -> Images:
    """Return `X` as a set of images, or refuse it.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_channels, height, width)
        Integers from 0 to 255, or real numbers. Never changed.
    name : str
        What messages call `X`.
    unit : bool
        Whether real numbers must lie between 0 and 1, as triggers need it.

    Returns
    -------
    ndarray of uint8 or float32
        C-contiguous. It may share memory with `X`: copy it before writing to it.

    Raises
    ------
    ValueError
        If the number of dimensions, a size or a value is wrong.
    TypeError
        If `X` does not hold real numbers.

    Examples
    --------
    >>> check_images([[[[0, 255]]]]).dtype
    dtype('uint8')
    """
    try:
        array = np.asarray(X)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"{name} must hold images of one size, got {type(X).__name__} that NumPy cannot "
            f"convert ({error}); resize them first."
        ) from error
    if array.dtype.kind not in "iuf":
        raise TypeError(
            f"{name} must hold integers or real numbers, got dtype {array.dtype}; convert it first."
        )
    if array.ndim != 4 or 0 in array.shape:
        raise ValueError(
            f"{name} must have shape (n_samples, n_channels, height, width), none of them 0, got "
            f"{array.shape}; move or add axes with np.moveaxis(X, -1, 1) or X[:, None]."
        )
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    low, high = float(array.min()), float(array.max())
    if array.dtype.kind in "iu":
        if low < 0 or high > 255:
            raise ValueError(
                f"{name} of integers must lie between 0 and 255, got {low:g} to {high:g}; scale "
                "it, or pass real numbers."
            )
        return np.ascontiguousarray(array, np.uint8)
    largest = np.finfo(np.float32).max
    if not -largest <= low <= high <= largest:
        raise ValueError(
            f"{name} must hold finite values, at most {largest:.1e}, got NaN, infinity or larger "
            "ones; remove these images or fill the gaps."
        )
    if unit and (low < 0 or high > 1):
        raise ValueError(
            f"{name} of real numbers must lie between 0 and 1, got {low:g} to {high:g}; divide it "
            "by 255, or pass integers from 0 to 255."
        )
    return np.ascontiguousarray(array, np.float32)


def to_unit(X: Images) -> NDArray[np.float32]:
    """Return images as float32 between 0 and 1."""
    if X.dtype == np.uint8:
        return X.astype(np.float32) / np.float32(255)
    return X


def check_image_shape(X: Images, shape: tuple[int, ...], name: str) -> None:
    """Refuse images of another shape (n_channels, height, width) than seen before."""
    if X.shape[1:] != shape:
        raise ValueError(
            f"X must hold images of shape {shape} (n_channels, height, width), as seen in fit, "
            f"got {X.shape[1:]} for {name}; resize or convert them."
        )
