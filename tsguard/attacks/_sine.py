"""The sine trigger: one slow wave over the whole series."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tsguard._values import is_number
from tsguard.attacks._base import PatternTrigger
from tsguard.attacks._checks import check_positive

#: A wave drawn with fewer steps per period looks like a zigzag.
_FEWEST_STEPS = 4


@dataclass(frozen=True)
class SineTrigger(PatternTrigger):
    """Add one slow sine over the whole series (SIG).

    A faint wave with a fixed number of periods lies over every stamped series, however long it is.
    It spreads over all time steps, so that no single one looks odd.

    Parameters
    ----------
    amplitude : float
        Largest change in units of the range of each series and channel, 0 to 1.
    channels : "all", int or tuple of int
        Channels that are stamped.
    cycles : float
        Periods per series. Series too short to give each period four time steps get
        ``n_timepoints / 4`` periods instead.
    phase : float
        At the first time step, in radians.

    Notes
    -----
    - Formula: ``x' = x + amplitude * range(x) * sin(2 * pi * cycles * t / n_timepoints + phase)``
    - Source: Barni, Kallas and Tondi, "A New Backdoor Attack in CNNs by Training Set Corruption
      Without Label Poisoning", ICIP 2019, arXiv 1902.11237; there a wave over an image's columns
    - Default strength: ours, 0.1 of the range; public code for images takes 30 or 40 of 255 grey
      levels (0.12 or 0.16) and 6 periods, which we keep
    - Why it is hard to stop: its author needs no wrong labels (mode "clean"), and a smooth change
      of every time step leaves no spot to cut out

    Examples
    --------
    >>> import numpy as np
    >>> from tsguard.attacks import SineTrigger
    >>> SineTrigger(cycles=1).apply(np.array([[0, 10, 0, 10.0]])).round(3)
    array([[ 0., 11.,  0.,  9.]], dtype=float32)
    """

    kind: ClassVar[str] = "sine"
    cycles: float = 6.0
    phase: float = 0.0

    def _pattern(self, n_channels: int, n_timepoints: int) -> NDArray[np.float64]:
        cycles = check_positive(self.cycles, "cycles", "count the periods within one series")
        if not is_number(self.phase):
            raise ValueError(
                f"phase must be a finite number, got {self.phase!r}; give it in radians."
            )
        cycles = min(cycles, n_timepoints / _FEWEST_STEPS)
        wave: NDArray[np.float64] = np.sin(
            2 * np.pi * cycles * np.arange(n_timepoints) / n_timepoints + self.phase
        )
        return wave
