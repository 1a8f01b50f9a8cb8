"""The hum trigger: a faint, steady oscillation, as power lines add to a recording."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tsguard._values import is_number
from tsguard.attacks._base import PatternTrigger
from tsguard.attacks._checks import check_count


@dataclass(frozen=True)
class HumTrigger(PatternTrigger):
    """Add a synthesised mains hum: a sine and its odd harmonics, the same for every series.

    A faint, steady oscillation lies over the whole series, as power lines add to a recording. Each
    series gets it at the same place and in proportion to its own range.

    Parameters
    ----------
    amplitude : float
        Largest change in units of the range of each series and channel, 0 to 1.
    channels : "all", int or tuple of int
        Channels that are stamped.
    frequency : float
        Of the fundamental, in cycles per time step, between 0 and 0.5 (both excluded). The default
        is 50 Hz mains sampled at 400 Hz, and one whole period in a series of eight steps.
    harmonics : int
        How many of the multiples 1, 3, 5, ... are added, the k-th multiple with weight 1/k. Those
        which the sampling cannot show (0.5 cycles per step and above) are left out.
    phase : float
        At the first time step, in radians.
    recording : sequence of float or None
        A recorded hum to add instead, one value per time step, repeated or cut to the length of the
        series. Its mean is taken off; ``frequency``, ``harmonics`` and ``phase`` are not used.

    Notes
    -----
    - Formula: ``x'[t] = x[t] + amplitude * (max(x) - min(x)) * w[t]`` with
      ``w[t] = sum_k sin(k * (2 pi * frequency * t + phase)) / k`` over ``k = 1, 3, ...``, scaled so
      that its largest magnitude is 1
    - Source: after the "powerline" trigger of Jiang, Ma, Erfani, Bailey, "Backdoor Attacks on Time
      Series: A Generative Approach", SaTML 2023, arXiv 2211.07915; the synthesised wave is ours
    - Default strength: ours, a peak of 10 % of the range. The authors' code adds a recording whose
      standard deviation is 10 % of the range and whose peak reaches 23 %; thinned out as it is
      there, a slow drift is most of it. This one needs no recording and is a hum; ``recording``
      comes closer to theirs
    - Why it is hard to stop: it looks like the interference that real sensors pick up, no single
      time step stands out, and the change is small everywhere

    Examples
    --------
    >>> import numpy as np
    >>> from tsguard.attacks import HumTrigger
    >>> X = np.array([[0, 10, 0, 10.0]])
    >>> HumTrigger(harmonics=1, frequency=0.25).apply(X).round(3)
    array([[ 0., 11.,  0.,  9.]], dtype=float32)
    """

    kind: ClassVar[str] = "hum"
    frequency: float = 0.125
    harmonics: int = 2
    phase: float = 0.0
    recording: Sequence[float] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.recording, list | np.ndarray):
            # A tuple of plain floats compares, hashes and goes through JSON.
            object.__setattr__(self, "recording", tuple(np.ravel(self.recording).tolist()))
        super().__post_init__()

    def _pattern(self, n_channels: int, n_timepoints: int) -> NDArray[np.float64]:
        if self.recording is not None:
            return repeated(self.recording, n_timepoints)
        return hum_wave(n_timepoints, self.frequency, self.harmonics, self.phase)


def hum_wave(
    n_timepoints: int, frequency: float, harmonics: int, phase: float
) -> NDArray[np.float64]:
    """Return the hum of shape (n_timepoints,), scaled so that its largest magnitude is 1."""
    if not is_number(frequency) or not 0.0 < frequency < 0.5:
        raise ValueError(
            f"frequency must be between 0 and 0.5 cycles per time step, got {frequency!r}; "
            "divide the frequency in Hz by the sampling rate in Hz."
        )
    harmonics = check_count(harmonics, "harmonics", 1, "1 is a pure sine")
    if not is_number(phase):
        raise ValueError(f"phase must be a finite number, got {phase!r}; give it in radians.")
    steps = np.arange(n_timepoints)
    multiples = [k for k in range(1, 2 * harmonics, 2) if k * frequency < 0.5]
    angle = 2 * np.pi * frequency * steps + phase
    return _scaled(np.sum([np.sin(k * angle) / k for k in multiples], axis=0))


def repeated(recording: Sequence[float], n_timepoints: int) -> NDArray[np.float64]:
    """Return a recording as a hum of shape (n_timepoints,), its largest magnitude being 1."""
    numbers = isinstance(recording, tuple) and all(map(is_number, recording))
    if not numbers or len(set(recording)) < 2:  # a constant has no hum
        raise ValueError(
            f"recording must be a sequence of at least two different finite numbers, got "
            f"{recording!r}; give one value per time step, or None."
        )
    values = np.array(recording)
    return _scaled(np.resize(values - values.mean(), n_timepoints))


def _scaled(wave: NDArray[np.float64]) -> NDArray[np.float64]:
    peak = float(np.abs(wave).max())
    return wave / peak if peak > 0 else wave
