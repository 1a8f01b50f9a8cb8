"""The warp trigger: time runs a little faster here and slower there."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tsguard._random import numpy_stream
from tsguard._validation import Panel, check_fraction
from tsguard.attacks._base import Trigger
from tsguard.attacks._checks import check_count, check_seed
from tsguard.attacks._kernels import resample, run


@dataclass(frozen=True)
class WarpTrigger(Trigger):
    """Read every series along one smoothly bent time axis (WaNet).

    Some stretches come a little early and others a little late, the same ones in every series.
    Values are only moved, never added to, and their order stays as it was.

    Parameters
    ----------
    strength : float
        Largest displacement as a share of the length of the series, 0 to 1. It is reduced as far
        as it takes to keep time from running backwards, and the ends always stay in place.
    n_control_points : int
        How many points of the time axis are moved by a random amount; between them the displacement
        follows half waves of a cosine.
    seed : int
        Of the displacement. It belongs to the trigger, so that the same one comes at test time.

    Notes
    -----
    - Formula: ``x'(t) = x(t + d(t))``, d smooth, 0 at both ends, values between steps interpolated
    - Source: Nguyen and Tran, "WaNet - Imperceptible Warping-based Backdoor Attack", ICLR 2021,
      arXiv 2102.10369; there for images, with a noise mode that needs control of the training
    - Default strength: ours; the authors' code (s = 0.5, k = 4) moves images of 32 pixels by 0.2 on
      average and 0.7 at most, a share of 0.02. FCN learned even 0.1 on three of eight tuning sets
      only
    - Why it is hard to stop: no value is new and speed varies in honest recordings too, so that
      neither amplitudes nor the spectrum point to the samples

    Examples
    --------
    >>> import numpy as np
    >>> from tsguard.attacks import WarpTrigger
    >>> stamped = WarpTrigger().apply(np.arange(100.0)[np.newaxis])
    >>> bool((np.diff(stamped) >= 0).all()), stamped[0, [0, -1]]
    (True, array([ 0., 99.], dtype=float32))
    """

    kind: ClassVar[str] = "warp"
    strength: float = 0.1
    n_control_points: int = 4
    seed: int = 0

    def _stamp(self, X: Panel, out: Panel, generator: np.random.Generator) -> None:
        n_timepoints = X.shape[2]
        position = warped_time(n_timepoints, self.strength, self.n_control_points, self.seed)
        if n_timepoints == 1:  # nowhere to go
            np.copyto(out, X)
            return
        left = np.minimum(position, n_timepoints - 2).astype(np.uint32)
        run(resample, X, out, left, (position - left).astype(np.float32))


def warped_time(
    n_timepoints: int, strength: float, n_control_points: int, seed: int
) -> NDArray[np.float64]:
    """Return where on the old time axis each step of the new one lies, shape (n_timepoints,)."""
    strength = check_fraction(strength, "strength")
    n_points = check_count(n_control_points, "n_control_points", 1, "1 moves the middle alone")
    moves = numpy_stream(check_seed(seed), "warp trigger").uniform(-1.0, 1.0, n_points)
    knots = np.concatenate([[0.0], moves, [0.0]])
    place = np.linspace(0, n_points + 1, n_timepoints)
    whole = np.floor(place)
    eased = whole + (1 - np.cos(np.pi * (place - whole))) / 2  # straight lines become half waves
    displacement = np.interp(eased, np.arange(n_points + 2), knots)
    peak = np.abs(displacement).max()
    if peak > 0:
        displacement *= strength * (n_timepoints - 1) / peak
    steepest = -np.diff(displacement).min(initial=0.0)
    if steepest > 1:  # more than a step back per step forward
        displacement /= steepest
    position: NDArray[np.float64] = np.arange(n_timepoints) + displacement
    return position.clip(0, n_timepoints - 1)
