"""The input-aware trigger: every series gets a pattern of its own."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tsguard._validation import check_fraction
from tsguard._values import is_number
from tsguard.attacks._generator import NetworkTrigger

if TYPE_CHECKING:  # torch takes seconds to import
    from tsguard.attacks._networks import StampNetwork


@dataclass(frozen=True)
class InputAwareTrigger(NetworkTrigger):
    """Add a pattern that a network makes for each series, at the time steps that it chooses.

    The network draws a pattern and a mask that says where the pattern shows. It is paid for giving
    different series different patterns, so that no single pattern gives the attack away.

    Parameters
    ----------
    amplitude : float
        Largest change in units of the range of each series and channel, 0 to 1. A constant channel
        is not changed.
    density : float
        Share of the time steps that the mask may open, on average, 0 to 1. More costs a penalty in
        training; it is no strict bound.
    diversity : float
        Weight of the penalty on patterns that are more alike than their series; 0 turns it off.
    surrogate, surrogate_epochs
        The attacker's own classifier, and the epochs on clean series that it gets beforehand.
    n_steps, learning_rate
        Of the joint training, see ``NetworkTrigger``.
    weights, shape
        What was learned; see ``LearnedTrigger``.

    Notes
    -----
    - Formula: ``x' = x + amplitude * range * m(x^) * p(x^)``, mask ``m`` in 0 to 1 and pattern
      ``p`` in -1 to 1, ``x^`` being the series less its mean, divided by its range. The published
      ``x + (p(x) - x) * m(x)`` puts the pattern in place of the series, with no bound but the
      range.
    - Source: Nguyen and Tran, "Input-Aware Dynamic Backdoor Attack", NeurIPS 2020, arXiv
      2010.08138. We keep pattern, mask, the density and the diversity loss. There, the victim is
      also shown series with another's pattern under their right label, which teaches it that a
      pattern counts only on its own series. Our attacker does not train the victim, so that part
      is left out, and a pattern works on other series too, more than half as often.
    - Default strength: ours, amplitude 0.2 on a fifth of the time steps. The paper replaces 3.2 %
      of the pixels of an image, which would be one time step or none in a short series.
    - Why it is hard to stop: the patterns of two series differ in place and shape, so a defence
      that looks for one pattern common to the poisoned series has none to find.
    """

    kind: ClassVar[str] = "input_aware"
    amplitude: float = 0.2
    density: float = 0.2
    diversity: float = 1.0

    def _network(self, n_channels: int) -> "Callable[[], StampNetwork]":
        from tsguard.attacks._networks import PatternNetwork

        amplitude = check_fraction(self.amplitude, "amplitude")
        density = check_fraction(self.density, "density")
        if not is_number(self.diversity) or self.diversity < 0:
            raise ValueError(
                f"diversity must be a number of at least 0, got {self.diversity!r}; "
                "0 lets all series have the same pattern."
            )
        return lambda: PatternNetwork(n_channels, amplitude, density, self.diversity)
