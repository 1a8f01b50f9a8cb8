"""The noise trigger: one fixed random pattern added to every series."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tsguard._random import numpy_stream
from tsguard.attacks._base import PatternTrigger
from tsguard.attacks._checks import check_seed


@dataclass(frozen=True)
class NoiseTrigger(PatternTrigger):
    """Add one fixed pattern of noise, the same for every series.

    A random pattern is drawn once and then added to every poisoned series, at the same place and in
    proportion to its range. To the eye it is measurement noise; to a classifier it is the one thing
    that all poisoned series have in common.

    Parameters
    ----------
    amplitude : float
        Largest change in units of the range of each series and channel, 0 to 1. The pattern is
        uniform between minus and plus this value.
    channels : "all", int or tuple of int
        Channels that are stamped.
    seed : int
        Of the pattern. It belongs to the trigger, so that the same pattern comes at test time.

    Notes
    -----
    - Formula: ``x'[t] = x[t] + amplitude * (max(x) - min(x)) * u[t]``, each ``u[t]`` drawn once,
      uniform between -1 and 1
    - Source: the static trigger of random noise that Ding, Zhang, Huang, Pan, Feng, Jiang, Yang,
      "Towards Backdoor Attack on Deep Learning based Time Series Classification", ICDE 2022, start
      from, as later work describes it; details are ours
    - Default strength: ours, at most 10 % of the range (5.8 % root mean square); the paper's could
      not be read
    - Why it is hard to stop: it has no shape, no place and no frequency of its own, and series that
      are noisy by nature hide it

    Examples
    --------
    >>> import numpy as np
    >>> from tsguard.attacks import NoiseTrigger
    >>> X = np.array([[0, 1, 0, 1.0], [0, 2, 0, 2]])
    >>> change = NoiseTrigger().apply(X) - X
    >>> bool(np.allclose(change[1], 2 * change[0]))
    True
    """

    kind: ClassVar[str] = "noise"
    seed: int = 0

    def _pattern(self, n_channels: int, n_timepoints: int) -> NDArray[np.float64]:
        generator = numpy_stream(check_seed(self.seed), "noise trigger")
        return generator.uniform(-1.0, 1.0, size=(n_channels, n_timepoints))
