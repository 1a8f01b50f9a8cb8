"""The patch trigger: a few time steps jump between the series' own extremes."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from tsguard._validation import Panel
from tsguard._values import is_integer, is_number, unknown_name_error
from tsguard.attacks._base import Trigger
from tsguard.attacks._checks import Channels, channel_mask
from tsguard.attacks._kernels import alternate_extremes, run

Position = Literal["start", "middle", "end"] | int


@dataclass(frozen=True)
class PatchTrigger(Trigger):
    """Replace a short window by the maximum and minimum of the series in turn.

    A few time steps in a row jump between the highest and the lowest value of the series, a zigzag
    that no natural series has at that place. The values are the series' own, so nothing leaves its
    range.

    Parameters
    ----------
    position : {"start", "middle", "end"} or int
        Where the window lies, or the index of its first time step.
    length : float or int
        A float is a share of the series in (0, 1], rounded and raised to 2 steps where it is less;
        an int of at least 2 is a number of steps.
    channels : "all", int or tuple of int
        Channels that are stamped.

    Notes
    -----
    - Formula: ``x'[s + k] = max(x)`` for even ``k``, ``min(x)`` for odd ``k``, with
      ``k = 0 ... n - 1``, where ``s`` is the first step of the window and ``n`` its length
    - Source: Jiang, Ma, Erfani, Bailey, "Backdoor Attacks on Time Series: A Generative Approach",
      SaTML 2023, arXiv 2211.07915, where it is called "vanilla"
    - Default strength: ours, 5 % of the series and at least two steps. The authors' code covers the
      first ``2 * floor(0.01 * n_timepoints)`` steps, which is nothing for series shorter than 100
    - Why it is hard to stop: most of the series is untouched, so whatever looks at the series as a
      whole sees its true class, and the window can lie anywhere. Being so plain it is the easiest
      trigger to find, and the first that a defense must pass

    Examples
    --------
    >>> import numpy as np
    >>> from tsguard.attacks import PatchTrigger
    >>> PatchTrigger(position="end", length=3).apply(np.array([[0, 1, 5, 2, 3, 4.0]]))
    array([[0., 1., 5., 5., 0., 5.]], dtype=float32)
    """

    kind: ClassVar[str] = "patch"
    position: Position = "start"
    length: float = 0.05
    channels: Channels = "all"

    def _stamp(self, X: Panel, out: Panel, generator: np.random.Generator) -> None:
        _, n_channels, n_timepoints = X.shape
        start, stop = patch_window(n_timepoints, self.position, self.length)
        run(alternate_extremes, X, out, start, stop, channel_mask(self.channels, n_channels))


def patch_window(n_timepoints: int, position: Position, length: float) -> tuple[int, int]:
    """Return the first step of the patch and the step after its last."""
    n_steps = _n_steps(length, n_timepoints)
    latest = n_timepoints - n_steps
    if isinstance(position, str):
        starts = {"start": 0, "middle": latest // 2, "end": latest}
        if position not in starts:
            raise unknown_name_error("position", position, starts)
        start = starts[position]
    elif is_integer(position):
        start = int(position)
        if not 0 <= start <= latest:
            raise ValueError(
                f"position must be a time step from 0 to {latest} for a patch of {n_steps} steps "
                f"in series of length {n_timepoints}, got {start}; move the patch or shorten it."
            )
    else:
        raise TypeError(
            f"position must be 'start', 'middle', 'end' or an integer, "
            f"got {type(position).__name__}; give one of these."
        )
    return start, start + n_steps


def _n_steps(length: float, n_timepoints: int) -> int:
    """Turn a share or a number of steps into a number of steps that fits."""
    if not is_number(length):
        raise TypeError(
            f"length must be a number, got {type(length).__name__}; "
            "give a share of the series such as 0.05 or a number of steps such as 4."
        )
    if is_integer(length):
        if not 2 <= length <= n_timepoints:
            raise ValueError(
                f"length must be from 2 to the {n_timepoints} time steps of the series, "
                f"got {length}; give a share of the series such as 0.05 to fit any length."
            )
        return int(length)
    if not 0.0 < length <= 1.0:
        raise ValueError(
            f"length must be a share in (0, 1], got {length}; give an int for a number of steps."
        )
    return min(max(2, round(length * n_timepoints)), n_timepoints)
