"""The generator trigger: a network stretches each series here and there."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from numpy.typing import ArrayLike

from tsguard._validation import Panel, check_fraction
from tsguard.attacks._checks import check_count, check_positive
from tsguard.attacks._learned import Knowledge, SurrogateTrigger
from tsguard.attacks._weights import Weights

if TYPE_CHECKING:  # torch takes seconds to import
    from tsguard.attacks._networks import StampNetwork


@dataclass(frozen=True)
class NetworkTrigger(SurrogateTrigger):
    """Base of the triggers that are a network.

    The attacker plays both sides: a surrogate is trained on the clean series, then it and the
    trigger's network are trained together, one to learn the trigger and the other to be learned.
    The surrogate is thrown away and the network frozen.

    Parameters
    ----------
    n_steps : int
        Updates of the joint training, rounded up to whole epochs.
    learning_rate : float
        Peak of the one-cycle schedule of the joint training.
    """

    surrogate_epochs: int = field(default=10, kw_only=True)
    n_steps: int = field(default=250, kw_only=True)
    learning_rate: float = field(default=0.003, kw_only=True)

    @abstractmethod
    def _network(self, n_channels: int) -> "Callable[[], StampNetwork]":
        """Check the parameters and return what makes the network."""

    def _learn(self, knowledge: Knowledge) -> Mapping[str, ArrayLike]:
        from tsguard.attacks._networks import Pair, new_network, train_pair
        from tsguard.attacks._surrogate import to_arrays, train_surrogate

        make = self._network(knowledge.X.shape[1])
        n_steps = check_count(self.n_steps, "n_steps", 1, "each is one update of the network")
        rate = check_positive(self.learning_rate, "learning_rate", "0.003 is a good start")
        network = new_network(make, knowledge.seed)
        pair = Pair(network, train_surrogate(self, knowledge))
        train_pair(pair, knowledge, n_steps=n_steps, learning_rate=rate)
        return to_arrays(network)

    def _stamp_learned(self, X: Panel, out: Panel, weights: Weights) -> None:
        from tsguard.attacks._networks import restored_network
        from tsguard.attacks._surrogate import stamp_in_batches

        stamp_in_batches(restored_network(self._network(X.shape[1]), weights), X, out)


@dataclass(frozen=True)
class GeneratorTrigger(NetworkTrigger):
    """Stretch each series towards or away from its mean, as a network decides step by step.

    A small network looks at the series and turns every swing up or down by up to a fifth. It has
    been trained on a model of the attacker's own, so that a classifier easily learns to see it.

    Parameters
    ----------
    strength : float
        Largest change in units of each value's distance from the mean of its series and channel,
        0 to 1. A constant channel is not changed.
    surrogate, surrogate_epochs
        The attacker's own classifier, and the epochs on clean series that it gets beforehand.
    n_steps, learning_rate
        Of the joint training, see ``NetworkTrigger``.
    weights, shape
        What was learned; see ``LearnedTrigger``.

    Notes
    -----
    - Formula: ``x' = x + strength * (x - mean) * tanh(G(x^))``, ``x^`` being the series less its
      mean, divided by its range. On series of mean 0, such as z-normalised ones, it is the
      published ``x * (1 + strength * tanh(G(x)))``; on others it depends on no offset.
    - Source: Jiang, Ma, Erfani, Bailey, "Backdoor Attacks on Time Series: A Generative Approach"
      (TSBA), SaTML 2023, arXiv 2211.07915. There the victim itself is trained in turn with the
      generator. In our threat model the attacker never sees the training: a surrogate stands in
      for the victim, and the generator is frozen before a series is poisoned. Ours is also about
      a hundred times smaller, since the weights are saved within JSON.
    - Default strength: 0.2, as the authors' code has it for its ResNet victims; it has 0.1 for its
      FCN. In our trials with a frozen generator, 0.1 took on few of the tuning sets.
    - Why it is hard to stop: each series gets a change of its own, largest at its own peaks and
      nothing at its mean. Put on another series, that change works about half as often.
    """

    kind: ClassVar[str] = "generator"
    strength: float = 0.2

    def _network(self, n_channels: int) -> "Callable[[], StampNetwork]":
        from tsguard.attacks._networks import ScalingNetwork

        strength = check_fraction(self.strength, "strength")
        return lambda: ScalingNetwork(n_channels, strength)
