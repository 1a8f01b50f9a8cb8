"""What the triggers share that learn one pattern on a surrogate and add it to every series."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tsguard._random import numpy_stream
from tsguard._validation import Panel
from tsguard.attacks._kernels import add_pattern, run
from tsguard.attacks._learned import Knowledge, SurrogateTrigger
from tsguard.attacks._weights import Weights


@dataclass(frozen=True)
class LearnedPatternTrigger(SurrogateTrigger):
    """Base of the triggers that learn a pattern; it is then the same for every series.

    A subclass says how it is learned: ``_learn`` returns ``{"pattern": array}``, of shape
    (n_channels, n_timepoints) and in units of the range of each series and channel.

    Parameters
    ----------
    amplitude : float
        Largest change in units of the range (maximum - minimum) of each series and channel, 0 to 1.
        Used by ``fit``; what was learned keeps its size. A constant channel is not changed.
    """

    amplitude: float = 0.1

    def _stamp_learned(self, X: Panel, out: Panel, weights: Weights) -> None:
        _, n_channels, n_timepoints = X.shape
        run(add_pattern, X, out, weights.get_array("pattern", (n_channels, n_timepoints)))


def some_series(knowledge: Knowledge, n_series: int) -> tuple[Panel, NDArray[np.int64]]:
    """Return at most ``n_series`` series that there is something to turn into, and into what."""
    stream = numpy_stream(knowledge.seed, "trigger sample")
    rows = stream.permutation(knowledge.to_turn)[:n_series]
    return knowledge.X[rows], knowledge.wanted[rows]
