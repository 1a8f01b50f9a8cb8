"""The phase trigger: a few slow waves of the series arrive earlier or later than they did."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tsguard._validation import Panel
from tsguard._values import is_integer, is_number
from tsguard.attacks._base import Trigger
from tsguard.attacks._checks import Channels, channel_mask
from tsguard.attacks._kernels import run, shift_waves


@dataclass(frozen=True)
class PhaseTrigger(Trigger):
    """Shift the phase of a narrow band of frequencies and leave all amplitudes as they are.

    A series is a sum of waves; a few of them are moved along the time axis by a fixed angle.
    Nothing is added to the series that was not in it, and its amplitude spectrum does not change.

    Parameters
    ----------
    band : tuple of int
        Slowest and fastest of the shifted waves, both included, in whole periods per series. The
        mean (0 periods) and the fastest wave that an even length can show (one period in two steps)
        have no free phase; a band that reaches beyond the others is cut there, and a series too
        short for any of it has its fastest free wave shifted.
    angle : float
        In radians.
    channels : "all", int or tuple of int
        Channels that are stamped.

    Notes
    -----
    - Formula: ``F(x')_k = F(x)_k * exp(1j * angle)`` for k in the band, F the Fourier transform
    - Source: ours
    - Default strength: ours, a third of a turn of two waves; FCN learned it at 10 % poison with a
      success of 0.6 to 1 on five of six tuning sets, 0.3 on the sixth
    - Why it is hard to stop: amplitude spectra, which detectors of frequency triggers look at, are
      those of clean series, and the change of each series follows from the series itself, so that
      no common pattern is left to find

    Examples
    --------
    >>> import numpy as np
    >>> from tsguard.attacks import PhaseTrigger
    >>> wave = np.sin(2 * np.pi * 2 * np.arange(8) / 8)
    >>> PhaseTrigger(band=(2, 2), angle=np.pi / 2).apply(wave[np.newaxis]).round(3) + 0.0
    array([[ 1.,  0., -1.,  0.,  1.,  0., -1.,  0.]], dtype=float32)
    """

    kind: ClassVar[str] = "phase"
    band: tuple[int, int] = (3, 4)
    angle: float = 2 * np.pi / 3
    channels: Channels = "all"

    def _stamp(self, X: Panel, out: Panel, generator: np.random.Generator) -> None:
        _, n_channels, n_timepoints = X.shape
        mask = channel_mask(self.channels, n_channels)
        analysis, synthesis = phase_shift(n_timepoints, self.band, self.angle)
        run(shift_waves, X, out, analysis.astype(np.float32), synthesis.astype(np.float32), mask)


def phase_shift(
    n_timepoints: int, band: tuple[int, int], angle: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what to measure in a series and what to add for each unit of it.

    For each wave of the band these are its cosine and sine, and the difference that the shift makes
    to the two. Both have shape (n_pairs, 4, n_timepoints), two waves in a pair; an odd number of
    waves is filled up with silence.
    """
    low, high = _check_band(band)
    if not is_number(angle):
        raise ValueError(f"angle must be a finite number, got {angle!r}; give it in radians.")
    fastest = (n_timepoints - 1) // 2
    if fastest < 1:
        raise ValueError(
            f"X must have at least 3 time steps to shift a phase, got {n_timepoints}; "
            "use another trigger for series that short."
        )
    periods = np.arange(min(low, fastest), min(high, fastest) + 1)
    turns = 2 * np.pi * periods[:, np.newaxis] * np.arange(n_timepoints) / n_timepoints
    before = np.stack([np.cos(turns), np.sin(turns)], axis=1)
    after = np.stack([np.cos(turns + angle), np.sin(turns + angle)], axis=1)
    return _in_pairs(before * 2 / n_timepoints), _in_pairs(after - before)


def _in_pairs(waves: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn (n_waves, 2, n_timepoints) into (n_pairs, 4, n_timepoints)."""
    n_waves, _, n_timepoints = waves.shape
    silence = np.zeros((n_waves % 2, 2, n_timepoints))
    pairs: NDArray[np.float64] = np.concatenate([waves, silence]).reshape(-1, 4, n_timepoints)
    return pairs


def _check_band(band: tuple[int, int]) -> tuple[int, int]:
    is_pair = isinstance(band, tuple | list) and len(band) == 2 and all(map(is_integer, band))
    if not is_pair or not 1 <= band[0] <= band[1]:
        raise ValueError(
            f"band must be two integers 1 <= low <= high, got {band!r}; "
            "count the periods within one series."
        )
    return int(band[0]), int(band[1])
