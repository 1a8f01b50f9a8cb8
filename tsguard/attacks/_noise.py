"""The noise trigger: one fixed random pattern added to every series."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tsguard._random import RandomState, numpy_stream, resolve_seed
from tsguard._validation import Panel, check_fraction, check_panel
from tsguard.attacks._base import Series, Trigger, is_integer
from tsguard.attacks._kernels import add_pattern


@dataclass(frozen=True)
class NoiseTrigger(Trigger):
    """Add one fixed pattern of noise, the same for every series.

    The "static noise" baseline of Jiang et al. (SaTML 2023, arXiv 2211.07915).

    Parameters
    ----------
    amplitude : float
        Largest change in units of the range of each series and channel, 0 to 1. The pattern is
        uniform between minus and plus this value.
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
    amplitude: float = 0.1
    seed: int = 0

    def _stamp(self, X: Series, random_state: RandomState) -> Panel:
        return stamp_noise(X, self.amplitude, self.seed)


def stamp_noise(X: Series, amplitude: float, seed: int) -> Panel:
    """Return a copy of ``X`` with the noise; see :class:`NoiseTrigger` for the parameters."""
    panel = np.ascontiguousarray(check_panel(X))
    size = check_fraction(amplitude, "amplitude")
    if not is_integer(seed):
        raise TypeError(
            f"seed must be an integer, got {type(seed).__name__}; "
            "the pattern has to come again at test time."
        )
    # Drawn here and not in the kernel: numba's own generator would not know our seed.
    generator = numpy_stream(resolve_seed(int(seed)), "noise trigger")
    pattern = size * generator.uniform(-1.0, 1.0, size=panel.shape[1:])
    out = np.empty_like(panel)
    add_pattern(panel, pattern.astype(np.float32), out)
    return out
