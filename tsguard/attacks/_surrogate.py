"""The attacker's own model, and how a trigger learns on it. The only file here that needs torch."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tsguard._engine import Engine, Objective, Phase, Targets
from tsguard._random import numpy_stream
from tsguard._validation import Panel
from tsguard.attacks._checks import check_count
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
    why = "the surrogate has to learn the classes"
    n_epochs = check_count(trigger.surrogate_epochs, "surrogate_epochs", 1, why)
    classifier = StandardClassifier(trigger.surrogate, n_epochs=n_epochs, random_state=seed)
    return Surrogate(classifier.fit(knowledge.X, knowledge.codes))


def train_trigger(
    network: nn.Module,
    objective: Objective,
    knowledge: Knowledge,
    rows: NDArray[np.intp],
    n_steps: int,
    learning_rate: float,
    *,
    batch_size: int,
) -> None:
    """Train what makes the trigger, in place, through the one engine.

    Parameters
    ----------
    network : torch.nn.Module
        What is trained.
    objective : callable
        See ``tsguard._engine.Objective``; ``targets.main`` holds the wanted class of each series
        and ``targets.given`` the true one.
    knowledge : Knowledge
    rows : ndarray of int
        The samples of ``knowledge`` to train on.
    n_steps : int
        Updates, rounded up to whole epochs.
    learning_rate : float
        Peak of the one-cycle schedule.
    batch_size : int
    """
    device = torch.device("cpu")
    targets = Targets.from_labels(knowledge.codes[rows], device)
    targets.assign(main=knowledge.wanted[rows])
    engine = Engine(
        objective=objective,
        batch_size=batch_size,
        learning_rate=learning_rate,
        weight_decay=0.0,
        device=device,
        seed=knowledge.seed,
    )
    n_batches = max(1, len(rows) // batch_size)
    phase = Phase("trigger", -(-n_steps // n_batches))
    engine.run(network, torch.from_numpy(knowledge.X[rows]), targets, [phase])


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
            # A copy: torch warns of memory that it may not write to, as joblib's workers get.
            out[rows] = stamp(torch.tensor(X[rows])).numpy()
