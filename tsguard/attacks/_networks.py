"""The networks inside learned triggers, and how they are trained. Imported only when needed."""

from abc import abstractmethod
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tsguard._engine import Targets
from tsguard._random import torch_globals_from
from tsguard.attacks._learned import Knowledge
from tsguard.attacks._surrogate import Surrogate, series_span, train_trigger
from tsguard.attacks._weights import Weights

# Each output sees 41 time steps; about 9,000 weights, and some 300 more for each channel.
WIDTH, KERNEL, DILATION = 32, 9, 4

# What a stamped series counts beside a clean one while the two networks are trained. The idea: a
# surrogate that is slow to learn the trigger leaves the stamping network more to improve. Hardly
# tested: on a few sets it raised the attack's success, and its effect without any poison too.
STAMPED_WEIGHT = 0.1

BATCH_SIZE = 16

# What a mask too open by the whole series costs, in units of the classification loss.
DENSITY_WEIGHT = 10.0


class StampNetwork(nn.Module):
    """A network that says how each sample is changed; it keeps no statistics of a batch.

    So the stamp of a sample depends on nothing else. Shapes in and out are those of the samples.
    """

    def forward(self, series: Tensor) -> Tensor:
        """Return the stamped series."""
        return self.stamp(series)[0]

    @abstractmethod
    def stamp(self, series: Tensor) -> tuple[Tensor, Tensor]:
        """Return the stamped series and a penalty (a scalar) that training is to keep low."""


def conv_layers(n_inputs: int, n_outputs: int) -> nn.Sequential:
    """Return small layers for series (n_samples, n_inputs, n_timepoints) of any length."""
    return nn.Sequential(
        nn.Conv1d(n_inputs, WIDTH, KERNEL, padding="same"),
        nn.ReLU(),
        nn.Conv1d(WIDTH, WIDTH, KERNEL, padding="same", dilation=DILATION),
        nn.ReLU(),
        nn.Conv1d(WIDTH, n_outputs, 1),
    )


class ScalingNetwork(StampNetwork):
    """Scales each step's distance from the series' mean by 1 - strength to 1 + strength."""

    def __init__(self, n_channels: int, strength: float) -> None:
        super().__init__()
        self.strength = strength
        self.layers = conv_layers(n_channels, n_channels)

    def stamp(self, series: Tensor) -> tuple[Tensor, Tensor]:
        """See ``StampNetwork``; there is no penalty."""
        centred, span = centre(series)
        change = self.strength * centred * torch.tanh(self.layers(unit(centred, span)))
        return series + change * (span > 0), series.new_zeros(())


class PatternNetwork(StampNetwork):
    """Adds a pattern where a mask is open; both are made for each series.

    ``density`` is the share of the time steps that the mask may open, ``diversity`` the weight of
    the penalty on different series getting like patterns.
    """

    def __init__(self, n_channels: int, strength: float, density: float, diversity: float) -> None:
        super().__init__()
        self.strength, self.density, self.diversity = strength, density, diversity
        self.layers = conv_layers(n_channels, n_channels + 1)

    def stamp(self, series: Tensor) -> tuple[Tensor, Tensor]:
        """See ``StampNetwork``."""
        centred, span = centre(series)
        scaled = unit(centred, span)
        outputs = self.layers(scaled)
        mask = torch.sigmoid(outputs[:, -1:])  # (n_samples, 1, n_timepoints)
        pattern = mask * torch.tanh(outputs[:, :-1])  # (n_samples, n_channels, n_timepoints)
        excess = torch.relu(mask.mean(dim=(1, 2)) - self.density).mean()
        likeness = (distance_to_next(scaled) / distance_to_next(pattern)).mean()
        penalty = DENSITY_WEIGHT * excess + self.diversity * likeness
        return series + self.strength * span * pattern, penalty


def centre(series: Tensor) -> tuple[Tensor, Tensor]:
    """Return each series and channel less its mean, and its range (n_samples, n_channels, 1)."""
    # From the minimum, not from zero: a mean of large numbers would lose the small differences.
    above = series - series.amin(dim=2, keepdim=True)
    return above - above.mean(dim=2, keepdim=True), series_span(series)


def unit(centred: Tensor, span: Tensor) -> Tensor:
    """Divide by the range; a constant channel stays zero."""
    return centred / torch.where(span > 0, span, torch.ones_like(span))


def distance_to_next(values: Tensor) -> Tensor:
    """Return the root mean square distance of each sample of a batch from the next, (n_samples,).

    The small constant keeps the gradient finite where two are equal.
    """
    return ((values - values.roll(1, dims=0)).square().mean(dim=(1, 2)) + 1e-4).sqrt()


Network = TypeVar("Network", bound=StampNetwork)


def new_network(make: Callable[[], Network], seed: int) -> Network:
    """Make a network with fresh weights, drawn from the seed."""
    with torch_globals_from(seed, "trigger network"):
        return make()


def restored_network(make: Callable[[], Network], weights: Weights) -> Network:
    """Make a network with the weights that ``to_arrays`` returned."""
    with torch.device("meta"):  # allocates nothing and draws no random numbers
        network = make()
    state = {
        name: torch.tensor(weights.get_array(name, tuple(value.shape)))
        for name, value in network.state_dict().items()
    }
    network.load_state_dict(state, assign=True)
    return network.eval()


class Pair(nn.Module):
    """A stamping network and the attacker's classifier, to be trained together."""

    def __init__(self, stamper: StampNetwork, surrogate: Surrogate) -> None:
        super().__init__()
        self.stamper = stamper
        self.surrogate = surrogate.requires_grad_(True)


def train_pair(pair: Pair, knowledge: Knowledge, *, n_steps: int, learning_rate: float) -> None:
    """Train both in place: the surrogate learns the trigger, and the trigger to be learned.

    Half of every batch is stamped and gets the wanted label, the other half stays as it is.
    """

    def objective(
        pair: nn.Module, batch: Tensor, indices: Tensor, targets: Targets
    ) -> tuple[Tensor, dict[str, Tensor]]:
        assert isinstance(pair, Pair)
        half = len(batch) // 2
        stamped, penalty = pair.stamper.stamp(batch[:half])
        labels = torch.cat([targets.main[indices[:half]], targets.given[indices[half:]]])
        answers = pair.surrogate(torch.cat([stamped, batch[half:]]))
        losses = functional.cross_entropy(answers, labels, reduction="none")
        loss = losses[half:].mean() + STAMPED_WEIGHT * (losses[:half].mean() + penalty)
        return loss, {"hit": (answers.argmax(dim=1) == labels).float()}

    everything = np.arange(len(knowledge.X))
    train_trigger(
        pair, objective, knowledge, everything, n_steps, learning_rate, batch_size=BATCH_SIZE
    )
