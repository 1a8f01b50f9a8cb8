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

    The "static noise" baseline of Jiang et al. (SaTML 2023, arXiv 2211.07915).

    Parameters
    ----------
    amplitude : float
        Largest change in units of the range of each series and channel, 0 to 1. The pattern is
        uniform between minus and plus this value.
    channels : "all", int or tuple of int
        Channels that are stamped.
    seed : int
        Of the pattern. It belongs to the trigger, so that the same pattern comes at test time.

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
