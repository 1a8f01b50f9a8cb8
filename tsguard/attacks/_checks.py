"""Checks that several triggers share; each refuses with one sentence or returns what is usable."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tsguard._values import is_integer, is_number, unknown_name_error

Channels = Literal["all"] | int | tuple[int, ...]
"""Which channels a trigger changes: all, one, or several, counted from 0."""


def check_seed(seed: object) -> int:
    """Return the seed of a trigger's own pattern."""
    if not is_integer(seed):
        raise TypeError(
            f"seed must be an integer, got {type(seed).__name__}; "
            "the pattern has to come again at test time."
        )
    number = int(seed)
    if number < 0:
        raise ValueError(f"seed must be 0 or larger, got {number}; pass another integer.")
    return number


def check_count(value: object, name: str, low: int, why: str) -> int:
    """Return an integer of at least ``low``; ``why`` ends the message."""
    if not is_integer(value) or int(value) < low:
        raise ValueError(f"{name} must be an integer of at least {low}, got {value!r}; {why}.")
    return int(value)


def check_positive(value: object, name: str, why: str) -> float:
    """Return a finite number above 0; ``why`` ends the message."""
    if not is_number(value) or float(value) <= 0:
        raise ValueError(f"{name} must be a number above 0, got {value!r}; {why}.")
    return float(value)


def channel_mask(channels: Channels, n_channels: int) -> NDArray[np.bool_]:
    """Return which channels are stamped, shape (n_channels,)."""
    mask = np.zeros(n_channels, dtype=bool)
    if isinstance(channels, str):
        if channels != "all":
            raise unknown_name_error("channels", channels, ["all"])
        mask[:] = True
        return mask
    chosen = channels if isinstance(channels, tuple | list) else [channels]
    if not chosen:
        raise ValueError(
            f"channels must name at least one channel, got {channels!r}; name some, or 'all'."
        )
    for channel in chosen:
        if not (is_integer(channel) and 0 <= channel < n_channels):
            raise ValueError(
                f"channels must be integers from 0 to {n_channels - 1}, got {channel!r}; "
                "name channels that the series have, or 'all'."
            )
        mask[channel] = True
    return mask
