"""The attacker's own model, and how a trigger learns on it. The only file here that needs torch."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from tsguard._engine import Engine, Phase, Targets
from tsguard._random import numpy_stream
from tsguard._validation import Panel
from tsguard.attacks._learned import Knowledge, SurrogateTrigger
from tsguard.defenses import StandardClassifier


class Surrogate(nn.Module):
    """A trained classifier whose weights no longer change; it takes series in their own units."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, classifier: StandardClassifier) -> None:
        super().__init__()
        mean, deviation = classifier.scale_
        self.network = classifier.network_.eval().requires_grad_(False)
        self.register_buffer("mean", torch.from_numpy(mean))
        self.register_buffer("deviation", torch.from_numpy(deviation))

    def forward(self, series: Tensor) -> Tensor:
        """Return the logits (n_samples, n_classes)."""
        logits: Tensor = self.network((series - self.mean) / self.deviation)
        return logits


def train_surrogate(trigger: SurrogateTrigger, knowledge: Knowledge) -> Surrogate:
    """Train the attacker's classifier on the clean series, through the one engine."""
    # A seed of its own: with the victim's seed the surrogate would start from the victim's weights.
    seed = int(numpy_stream(knowledge.seed, "surrogate").integers(2**31))
    classifier = StandardClassifier(
        trigger.surrogate, n_epochs=trigger.surrogate_epochs, random_state=seed
    )
    return Surrogate(classifier.fit(knowledge.X, knowledge.codes))


Stamp = Callable[[nn.Module, Tensor, Tensor], tuple[Tensor, Tensor]]
"""``(network, series, span)`` → the stamped series and a penalty (a scalar) on what it costs."""


def train_trigger(
    network: nn.Module,
    stamp: Stamp,
    surrogate: Surrogate,
    knowledge: Knowledge,
    *,
    n_epochs: int,
    learning_rate: float,
    batch_size: int = 32,
) -> None:
    """Train ``network`` in place so that the surrogate answers the wanted class on what it stamps.

    It goes through the one engine, as everything that learns. Only the series that have something
    to be turned into are used.

    Parameters
    ----------
    network : torch.nn.Module
        What makes the trigger.
    stamp : callable
        See ``Stamp``. ``span`` is the range of each series and channel, (n_samples, channels, 1).
    surrogate : Surrogate
    knowledge : Knowledge
    n_epochs, batch_size : int
    learning_rate : float
    """
    rows = np.flatnonzero(knowledge.wanted != knowledge.codes)

    def objective(
        network: nn.Module, batch: Tensor, indices: Tensor, targets: Targets
    ) -> tuple[Tensor, dict[str, Tensor]]:
        stamped, penalty = stamp(network, batch, series_span(batch))
        answers = surrogate(stamped)
        loss = functional.cross_entropy(answers, targets.main[indices])
        hit = (answers.argmax(dim=1) == targets.main[indices]).float()
        return loss + penalty, {"success": hit}

    device = torch.device("cpu")
    engine = Engine(
        objective=objective,
        batch_size=batch_size,
        learning_rate=learning_rate,
        weight_decay=0.0,
        device=device,
        seed=knowledge.seed,
    )
    engine.run(
        network,
        torch.from_numpy(knowledge.X[rows]),
        Targets.from_labels(knowledge.wanted[rows], device),
        [Phase("trigger", n_epochs)],
    )


def series_span(series: Tensor) -> Tensor:
    """Return the range (maximum - minimum) of each series and channel, (n_samples, C, 1)."""
    return series.amax(dim=2, keepdim=True) - series.amin(dim=2, keepdim=True)


def to_arrays(network: nn.Module) -> dict[str, NDArray[np.float32]]:
    """Return the weights of a network as named arrays."""
    return {name: value.numpy() for name, value in network.state_dict().items()}


def stamp_in_batches(
    stamp: Callable[[Tensor], Tensor], X: Panel, out: Panel, batch_size: int = 512
) -> None:
    """Write ``stamp(batch)`` of all batches of ``X`` to ``out``, without gradients."""
    with torch.inference_mode():
        for start in range(0, len(X), batch_size):
            rows = slice(start, start + batch_size)
            out[rows] = stamp(torch.from_numpy(X[rows])).numpy()
