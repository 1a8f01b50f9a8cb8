"""The evolution trigger: a few time steps, found by trial and selection."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import differential_evolution
from scipy.special import softmax

from tsguard._random import numpy_stream
from tsguard._validation import check_fraction
from tsguard.attacks._checks import check_count
from tsguard.attacks._learned import Knowledge
from tsguard.attacks._learned_pattern import LearnedPatternTrigger, some_series


@dataclass(frozen=True)
class EvolutionTrigger(LearnedPatternTrigger):
    """Shift a few time steps, chosen by evolution, by amounts chosen by evolution.

    Each candidate names a few time steps and how far to shift them; candidates are mixed with one
    another, and the ones that bring the attacker's model closer to the target survive. Only the
    model's answers are needed, no gradients.

    Parameters
    ----------
    amplitude : float
        Largest change in units of the range of each series and channel, 0 to 1.
    n_points : int
        At most so many time steps are changed, each by the same share of the range in all channels.
    n_generations, n_candidates : int
        How often candidates are mixed and selected, and how many there are (at least 5).
    n_series : int
        How many series each candidate is tried on.

    Notes
    -----
    - Formula: ``x' = x + range(x) * p``, ``p`` zero but for ``n_points`` time steps; which, and
      by how much, is what maximises the surrogate's mean probability of the wanted class.
    - Source: after the idea of TimeTrojan-DE in Ding, Zhang, Huang, Pan, Feng, Jiang and Yang,
      "Towards Backdoor Attack on Deep Learning based Time Series Classification", ICDE 2022. No
      code of theirs is public; what a candidate is, how candidates are judged, and one pattern for
      all series are ours. Mixing and selecting is SciPy's ``differential_evolution``.
    - Default strength: ours, 6 time steps shifted by up to half the range.
    - Why it is hard to stop: nearly all of a series stays exactly as it was, so averages, spectra
      and distances between whole series hardly move.
    """

    kind: ClassVar[str] = "evolution"
    amplitude: float = 0.5
    n_points: int = 6
    n_generations: int = 24
    n_candidates: int = 10
    n_series: int = 16

    def _learn(self, knowledge: Knowledge) -> Mapping[str, ArrayLike]:
        import torch

        from tsguard._engine import predict_logits
        from tsguard.attacks._surrogate import train_surrogate

        amplitude = check_fraction(self.amplitude, "amplitude")
        n_points = check_count(self.n_points, "n_points", 1, "one time step is the least")
        n_generations = check_count(self.n_generations, "n_generations", 1, "try 24")
        n_candidates = check_count(self.n_candidates, "n_candidates", 5, "try 10")
        n_series = check_count(self.n_series, "n_series", 1, "try 16")
        surrogate = train_surrogate(self, knowledge)
        X, wanted = some_series(knowledge, n_series)
        span = np.ptp(X, axis=2, keepdims=True)
        n_timepoints = X.shape[2]
        device = torch.device("cpu")

        def loss(genes: NDArray[np.float64]) -> NDArray[np.float64]:
            patterns = _to_patterns(genes, n_timepoints)
            stamped = X + span * patterns[:, np.newaxis, np.newaxis]  # (candidates, series, C, T)
            panel = torch.from_numpy(stamped.reshape(-1, *X.shape[1:]))
            chances = softmax(predict_logits(surrogate, panel, device), axis=1)
            chances = chances.reshape(-1, len(X), chances.shape[1])
            mean: NDArray[np.float64] = chances[:, np.arange(len(X)), wanted].mean(axis=1)
            return 1.0 - mean

        generator = numpy_stream(knowledge.seed, "evolution")
        low, high = np.repeat([[0.0, -amplitude], [n_timepoints, amplitude]], n_points, axis=1)
        result = differential_evolution(
            loss,
            list(zip(low, high, strict=True)),
            init=generator.uniform(low, high, size=(n_candidates, 2 * n_points)),
            maxiter=n_generations,
            mutation=(0.3, 0.7),  # smaller steps than SciPy's own get further in few generations
            recombination=0.4,
            tol=0.0,
            polish=False,
            vectorized=True,
            updating="deferred",
            seed=generator,
        )
        best = _to_patterns(result.x[:, np.newaxis], n_timepoints)
        return {"pattern": best.repeat(X.shape[1], axis=0)}


def _to_patterns(genes: NDArray[np.float64], n_timepoints: int) -> NDArray[np.float32]:
    """Turn genes (2 * n_points, n_candidates), steps before values, into one pattern for each."""
    steps, values = np.split(genes, 2)
    patterns = np.zeros((genes.shape[1], n_timepoints), np.float32)
    candidates = np.arange(genes.shape[1])
    for step, value in zip(steps.astype(np.intp), values, strict=True):
        patterns[candidates, np.minimum(step, n_timepoints - 1)] = value
    return patterns
