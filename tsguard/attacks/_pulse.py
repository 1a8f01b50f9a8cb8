"""The pulse trigger: a train of short pulses that begins somewhere else in every series."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from tsguard._validation import Panel, check_fraction
from tsguard.attacks._base import Trigger
from tsguard.attacks._checks import Channels, channel_mask
from tsguard.attacks._kernels import add_shifted_wave, run


@dataclass(frozen=True)
class PulseTrigger(Trigger):
    """Add narrow pulses at a fixed pace and a random phase.

    The series is lifted for a step or two, again and again, at an even pace. Where the first pulse
    falls is drawn anew for every series, as if the attacker could not synchronise with the sensor.

    Parameters
    ----------
    amplitude : float
        Size of the pulses in units of the range of each series and channel, 0 to 1.
    frequency : float
        Pulses per time step, above 0 and at most 0.5. A series shorter than one period has one
        pulse.
    duty : float
        Share of a period that the pulse lasts, above 0 and below 1; at least one step.
    channels : "all", int or tuple of int
        Channels that are stamped, all of them at the same time steps.

    Notes
    -----
    - Formula: ``x'[t] = x[t] + amplitude * range if (t + phase) % period < duty * period``, the
      phase uniform on the period and drawn for each series.
    - Source: Meng et al., "EEG-Based Brain-Computer Interfaces Are Vulnerable to Backdoor
      Attacks", IEEE TNSRE 2023, arXiv 2011.00101.
    - Default strength: theirs is a share of the standard deviation of EEG channels at 5 Hz and a
      duty of 10 %; one pulse in twenty steps and 0.3 of the range are ours. At 0.1 and 0.2 a
      network hardly learned it on half of four tuning sets.
    - Why it is hard to stop: it has no fixed place, so no average over series shows it.
    """

    kind: ClassVar[str] = "pulse"
    amplitude: float = 0.3
    frequency: float = 0.05
    duty: float = 0.1
    channels: Channels = field(default="all", kw_only=True)

    def _stamp(self, X: Panel, out: Panel, generator: np.random.Generator) -> None:
        n_samples, n_channels, n_timepoints = X.shape
        size = check_fraction(self.amplitude, "amplitude")
        frequency = check_fraction(self.frequency, "frequency", high=0.5, include_low=False)
        duty = check_fraction(self.duty, "duty", include_low=False, include_high=False)
        period = max(1, min(round(1 / frequency), n_timepoints))
        n_high = max(1, round(duty * period))
        wave = np.zeros(n_timepoints + period, np.float32)
        wave[np.arange(len(wave)) % period < n_high] = 1
        starts = generator.integers(period, size=n_samples)
        shares = (size * channel_mask(self.channels, n_channels)).astype(np.float32)
        run(add_shifted_wave, X, out, wave, shares, rows=starts)
