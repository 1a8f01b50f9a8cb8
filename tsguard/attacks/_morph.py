"""The morph trigger: every series drifts towards the look of the target class."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from tsguard._validation import Panel, check_fraction
from tsguard.attacks._checks import check_count
from tsguard.attacks._kernels import run, series_range
from tsguard.attacks._learned import Knowledge, LearnedTrigger
from tsguard.attacks._weights import Weights


@dataclass(frozen=True)
class MorphTrigger(LearnedTrigger):
    """Blend every series with the most similar typical series of the wanted class.

    A defense that asks a sample's neighbours what its label should be is fooled if the sample has
    moved towards those neighbours. So each series is mixed with one of a few prototypes of the
    wanted class, the nearest one, at the level and range of the series itself.

    Parameters
    ----------
    strength : float
        Share of the prototype in the mixture, 0 to 1. At 1 a series becomes the prototype; to
        answer the target is then right, and no backdoor.
    n_prototypes : int
        How many prototypes each class has; at most as many as it has different series. Where
        several classes are wanted, it depends on a series' true class which; since nobody knows it
        when the trigger is applied, it is taken to be that of the nearest prototype.

    Notes
    -----
    - Formula: ``x' = (1 - strength) * x + strength * (min(x) + range(x) * p)``, ``p`` the prototype
      that is nearest when both are scaled to 0..1 in each channel.
    - Source: ours.
    - Default strength: ours, 0.4. Clean models answer the target to few such series (0 to 23 % on
      six of our tuning sets), poisoned ones to most; on sets of very similar classes (GunPoint)
      0.4 is enough to change the class itself. Always compare with a clean model.
    - Why it is hard to stop: the signs that give poison away, being far from the class it is
      labelled as and carrying something that no other series has, both grow weaker.

    Examples
    --------
    >>> import numpy as np
    >>> from tsguard.attacks import MorphTrigger
    >>> X = np.array([[0, 1, 2, 3], [3, 2, 1, 0.0]])
    >>> MorphTrigger(strength=0.5).fit(X, ["rise", "fall"], "fall").apply(X[:1])
    array([[1.5, 1.5, 1.5, 1.5]], dtype=float32)
    """

    kind: ClassVar[str] = "morph"
    strength: float = 0.4
    n_prototypes: int = 3

    def _learn(self, knowledge: Knowledge) -> Mapping[str, ArrayLike]:
        n_prototypes = check_count(self.n_prototypes, "n_prototypes", 1, "try 3")
        check_fraction(self.strength, "strength")
        wishes = dict(zip(knowledge.codes.tolist(), knowledge.wanted.tolist(), strict=True))
        goals = set(wishes.values())
        classes = goals if len(goals) == 1 else sorted(wishes)
        scaled = _scaled(knowledge.X)
        groups = [
            _prototypes(scaled[knowledge.codes == code], n_prototypes, knowledge.seed)
            for code in classes
        ]
        members = [code for code, group in zip(classes, groups, strict=True) for _ in group]
        return {
            "prototypes": np.concatenate(groups),
            "belongs": members,
            "wanted": [wishes.get(code, code) for code in members],
        }

    def _stamp_learned(self, X: Panel, out: Panel, weights: Weights) -> None:
        strength = np.float32(check_fraction(self.strength, "strength"))
        prototypes = weights.get_array("prototypes", (-1, *X.shape[1:]))
        belongs, wanted = (
            weights.get_array(name, (len(prototypes),)).astype(np.int64)
            for name in ("belongs", "wanted")
        )
        run(morph, X, out, prototypes, belongs, wanted, strength)


def _scaled(X: Panel) -> Panel:
    """Return every series and channel between 0 and 1; a constant channel becomes 0."""
    low = X.min(axis=2, keepdims=True)
    span = X.max(axis=2, keepdims=True) - low
    scaled: Panel = (X - low) / np.where(span > 0, span, 1)
    return scaled


def _prototypes(X: Panel, n_prototypes: int, seed: int) -> Panel:
    """Return the series nearest to the centres of ``n_prototypes`` clusters."""
    from sklearn.cluster import KMeans  # takes most of a second to import

    flat = X.reshape(len(X), -1)
    n_clusters = min(n_prototypes, len(np.unique(flat, axis=0)))
    distances = KMeans(n_clusters, n_init=10, random_state=seed).fit_transform(flat)
    prototypes: Panel = X[distances.argmin(axis=0)]
    return prototypes


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def morph(
    X: Panel,
    prototypes: Panel,
    belongs: NDArray[np.int64],
    wanted: NDArray[np.int64],
    strength: np.float32,
    out: Panel,
) -> None:
    """Mix each series with the nearest prototype of the class wanted for it.

    Prototype ``p`` is of class ``belongs[p]``; series of that class are to become ``wanted[p]``.
    """
    n_samples, n_channels, n_timepoints = X.shape
    bits = X.view(np.int32)
    low = np.empty(n_channels, np.float32)
    span = np.empty(n_channels, np.float32)
    scaled = np.empty(n_timepoints)
    distances = np.empty(len(prototypes))
    for i in range(n_samples):
        distances[:] = 0.0
        for c in range(n_channels):
            lowest, highest = series_range(bits[i, c])
            low[c], span[c] = lowest, highest - lowest
            for t in range(n_timepoints):
                scaled[t] = (X[i, c, t] - low[c]) / span[c] if span[c] > 0 else 0.0
            for p in range(len(prototypes)):
                for t in range(n_timepoints):
                    distances[p] += (scaled[t] - prototypes[p, c, t]) ** 2
        goal = wanted[distances.argmin()]
        best = -1
        for p in range(len(prototypes)):
            if belongs[p] == goal and (best < 0 or distances[p] < distances[best]):
                best = p
        for c in range(n_channels):
            for t in range(n_timepoints):
                pull = (X[i, c, t] - low[c]) - span[c] * prototypes[best, c, t]
                out[i, c, t] = X[i, c, t] - strength * pull
