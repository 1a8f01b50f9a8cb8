"""The frequency trigger: oscillations at the frequencies that a model listens to."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tsguard._validation import Panel, check_fraction
from tsguard.attacks._checks import check_count
from tsguard.attacks._learned import Knowledge
from tsguard.attacks._learned_pattern import LearnedPatternTrigger, some_series

if TYPE_CHECKING:
    from torch import nn

_N_SERIES = 256  # enough for a mean


@dataclass(frozen=True)
class FrequencyTrigger(LearnedPatternTrigger):
    """Add a few sinusoids, at the frequencies to which a model reacts most.

    A model listens to some frequencies of a series more than to others. The attacker measures on a
    model of their own which these are, and puts the trigger there.

    Parameters
    ----------
    amplitude : float
        Largest change in units of the range of each series and channel, 0 to 1.
    n_frequencies : int
        How many frequencies are changed in each channel; all where the series have no more. What
        weighs most among them is up to the gradient.

    Notes
    -----
    - Formula: ``x' = x + range(x) * p``, ``p = amplitude * s / max|s|``, ``s`` the part of
      ``-mean(gradient of the surrogate's loss for the wanted class)`` that lies at the
      ``n_frequencies`` strongest frequencies of its spectrum.
    - Source: after the idea of FreqBack in Huang, Zhang, Wang, Li and Yang, "Revisiting Backdoor
      Attacks on Time Series Classification in the Frequency Domain", WWW 2025, arXiv 2503.09712.
      Theirs: a heat map of the model's reaction to each frequency guides the trigger. Ours: the
      map is a gradient for each channel, taken once on a frozen surrogate, and the trigger is
      the same for every series; they fine-tune the victim with its triggers, in turns.
    - Default strength: ours, 0.2 of the range; at 0.1, which the other patterns have, it hardly
      takes on some sets, presumably since series vary most at the frequencies that matter.
    - Why it is hard to stop: it sits where the class evidence sits, so that filtering it out
      takes accuracy along; and it is spread over the whole series.
    """

    kind: ClassVar[str] = "frequency"
    amplitude: float = 0.2
    n_frequencies: int = 3

    def _learn(self, knowledge: Knowledge) -> Mapping[str, ArrayLike]:
        from tsguard.attacks._surrogate import train_surrogate

        amplitude = check_fraction(self.amplitude, "amplitude")
        n_frequencies = check_count(self.n_frequencies, "n_frequencies", 1, "one is the least")
        X, wanted = some_series(knowledge, _N_SERIES)
        spectra = np.fft.rfft(_gradients(train_surrogate(self, knowledge), X, wanted))
        heat = np.abs(spectra).mean(axis=0)  # (n_channels, n_bins)
        # Bin 0 is left out: a shift of the whole series is no oscillation.
        strongest = 1 + np.argsort(-heat[:, 1:], axis=1)[:, :n_frequencies]
        chosen = np.zeros_like(heat)
        np.put_along_axis(chosen, strongest, 1.0, axis=1)
        wave = -np.fft.irfft(chosen * spectra.mean(axis=0), n=X.shape[2])
        peak = np.abs(wave).max(axis=1, keepdims=True)
        return {"pattern": amplitude * wave / np.where(peak > 0, peak, 1.0)}


def _gradients(surrogate: "nn.Module", X: Panel, wanted: NDArray[np.int64]) -> Panel:
    """Return how the loss for the wanted class reacts to each value, in units of the range."""
    import torch

    from tsguard.attacks._surrogate import series_span

    series = torch.tensor(X)
    change = torch.zeros_like(series, requires_grad=True)
    answers = surrogate(series + series_span(series) * change)
    loss = torch.nn.functional.cross_entropy(answers, torch.from_numpy(wanted), reduction="sum")
    gradients: Panel = torch.autograd.grad(loss, change)[0].numpy()
    return gradients
