"""The blend trigger: another series shows faintly through."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tsguard._random import numpy_stream
from tsguard._validation import Panel, check_fraction
from tsguard._values import is_number
from tsguard.attacks._base import Trigger
from tsguard.attacks._checks import Channels, channel_mask, check_seed
from tsguard.attacks._kernels import blend, run

#: Waves of 1, 2, ... periods that make up the carrier drawn by a seed.
_N_HARMONICS = 5


@dataclass(frozen=True)
class BlendTrigger(Trigger):
    """Mix every series with one carrier series, as two slides laid over each other.

    The stamped series is mostly itself and a little the carrier, which is first brought to the
    same minimum and maximum. The result therefore never leaves the range of the series.

    Parameters
    ----------
    alpha : float
        Share of the carrier in the mixture, 0 to 1.
    channels : "all", int or tuple of int
        Channels that are stamped, all with the same carrier.
    carrier : sequence of float or None
        The series to mix in, of at least two different numbers; it is stretched linearly to the
        length of what is stamped. None draws a smooth one from ``seed``.
    seed : int
        Of the drawn carrier.

    Notes
    -----
    - Formula: ``x' = (1 - alpha) * x + alpha * (min(x) + range(x) * carrier)``, carrier in [0, 1]
    - Source: Chen, Liu, Li, Lu and Song, "Targeted Backdoor Attacks on Deep Learning Systems Using
      Data Poisoning", 2017, arXiv 1712.05526; there for images
    - Default strength: 0.2, as BackdoorBench and other public code take it for images
    - Why it is hard to stop: no value lies outside the series' own range, and the carrier can look
      like an ordinary series of the data

    Examples
    --------
    >>> import numpy as np
    >>> from tsguard.attacks import BlendTrigger
    >>> BlendTrigger(carrier=[0, 1]).apply(np.array([[5, 0, 0, 5.0]])).round(3)
    array([[4.   , 0.333, 0.667, 5.   ]], dtype=float32)
    """

    kind: ClassVar[str] = "blend"
    alpha: float = 0.2
    channels: Channels = "all"
    carrier: Sequence[float] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        # A tuple of plain floats compares, hashes and goes through JSON; what else came in is
        # refused when the trigger is used.
        if self.carrier is not None:
            object.__setattr__(self, "carrier", tuple(np.ravel(self.carrier).tolist()))
        super().__post_init__()

    def _stamp(self, X: Panel, out: Panel, generator: np.random.Generator) -> None:
        _, n_channels, n_timepoints = X.shape
        alpha = check_fraction(self.alpha, "alpha")
        shares = alpha * channel_mask(self.channels, n_channels)
        carrier = self._carrier(n_timepoints)
        run(blend, X, out, carrier.astype(np.float32), shares.astype(np.float32))

    def _carrier(self, n_timepoints: int) -> NDArray[np.float64]:
        """Return the carrier between 0 and 1, of shape (n_timepoints,)."""
        if self.carrier is None:
            wave = _smooth_wave(check_seed(self.seed), n_timepoints)
        else:
            wave = _stretched(self.carrier, n_timepoints)
        low, span = wave.min(), np.ptp(wave)
        return (wave - low) / span if span > 0 else np.zeros(n_timepoints)


def _smooth_wave(seed: int, n_timepoints: int) -> NDArray[np.float64]:
    """Draw a sum of slow waves, the slower the stronger."""
    generator = numpy_stream(seed, "blend trigger")
    periods = np.arange(1, _N_HARMONICS + 1)[:, np.newaxis]
    size = generator.uniform(0.5, 1.0, periods.shape) / periods
    phase = generator.uniform(0, 2 * np.pi, periods.shape)
    steps = np.arange(n_timepoints) / n_timepoints
    wave: NDArray[np.float64] = (size * np.sin(2 * np.pi * periods * steps + phase)).sum(axis=0)
    return wave


def _stretched(carrier: Sequence[float], n_timepoints: int) -> NDArray[np.float64]:
    """Stretch a carrier linearly to the length of the series."""
    is_series = isinstance(carrier, tuple) and all(map(is_number, carrier))
    if not is_series or len(set(carrier)) < 2:
        raise ValueError(
            f"carrier must be a sequence of at least two different finite numbers, got "
            f"{carrier!r}; leave it out to draw one by seed."
        )
    position = np.linspace(0, len(carrier) - 1, n_timepoints)
    return np.interp(position, np.arange(len(carrier)), carrier)
