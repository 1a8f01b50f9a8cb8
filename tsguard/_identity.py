"""What tells one fit from another, as plain values, and the checksum that files of ours carry."""

import hashlib
import json
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from torch import nn

from tsguard import __version__

_OF_NO_EFFECT = ("device", "verbose")  # parameters that may change while a fit is interrupted


def identity_of(estimator: BaseEstimator, X: NDArray[Any], y: NDArray[Any]) -> dict[str, Any]:
    """Return what must be the same for a fit to go on; no data can be read from it.

    Parameters
    ----------
    estimator : estimator
    X, y : ndarray
        The training set as ``fit`` uses it.
    """
    parameters = estimator.get_params(deep=False)
    return {
        "tsguard": __version__,
        "class": type(estimator).__name__,
        "parameters": {
            name: _plain(value)
            for name, value in sorted(parameters.items())
            if name not in _OF_NO_EFFECT
        },
        "data": {"X": _digest_of_array(X), "y": _digest_of_text(repr(y.tolist()))},
    }


def digest_of_values(described: dict[str, Any], *, allow_nan: bool) -> str:
    """Return the checksum of all entries but ``"sha256"``, however they are laid out.

    Raises
    ------
    ValueError
        If a number is not finite and ``allow_nan`` is False.
    """
    rest = {key: value for key, value in described.items() if key != "sha256"}
    text = json.dumps(rest, sort_keys=True, allow_nan=allow_nan)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _plain(value: Any) -> Any:
    """Return a parameter as a plain value, or as a checksum where it is large."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.random.RandomState):
        return "RandomState"  # the seed that was drawn from it is kept beside
    if isinstance(value, nn.Module):
        weights = [
            _digest_of_array(one.detach().cpu().reshape(-1).view(torch.uint8).numpy())
            for one in value.state_dict().values()
            if isinstance(one, torch.Tensor)
        ]
        return f"{type(value).__name__} {_digest_of_text(f'{value!r} {weights}')}"
    return f"array {_digest_of_text(repr(np.asarray(value).tolist()))}"


def _digest_of_array(array: NDArray[Any]) -> str:
    head = f"{array.dtype.str} {array.shape} ".encode("ascii")
    digest = hashlib.sha256(head)
    digest.update(np.ascontiguousarray(array).data)
    return f"sha256 {digest.hexdigest()}"


def _digest_of_text(text: str) -> str:
    return f"sha256 {hashlib.sha256(text.encode()).hexdigest()}"
