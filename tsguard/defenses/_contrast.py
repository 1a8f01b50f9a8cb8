"""Learning a network's layers without labels: two altered views of a series should look alike.

SimCLR (Chen, Kornblith, Norouzi, Hinton, ICML 2020) with views for series.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from tsguard._engine import Engine, Objective, Phase, Targets
from tsguard._random import torch_globals_from
from tsguard.defenses._shared import FeatureReader

BATCH_SIZE = 64  # a contrastive loss needs others to contrast with


def pretrain(backbone: nn.Module, inputs: Tensor, engine: Engine, n_epochs: int) -> None:
    """Train ``backbone`` in place, up to its penultimate layer, without labels."""
    reader = FeatureReader(backbone, inputs[:2])
    with torch.no_grad():
        n_features = reader.eval()(inputs[:2]).shape[1]
    with torch_globals_from(engine.seed, "projection"):
        projection = nn.Sequential(
            nn.Linear(n_features, n_features), nn.ReLU(), nn.Linear(n_features, 64)
        )
    network = nn.Sequential(reader, projection.to(inputs.device))
    engine = replace(engine, objective=contrast(), batch_size=max(BATCH_SIZE, engine.batch_size))
    nobody = torch.zeros(len(inputs), dtype=torch.int64).numpy()
    targets = Targets.from_labels(nobody, inputs.device)
    engine.run(network, inputs, targets, [Phase("self-supervision", n_epochs)])


def contrast(temperature: float = 0.5) -> Objective:
    """Return the contrastive objective on two views of every sample of a batch."""

    def objective(
        network: nn.Module, batch: Tensor, indices: Tensor, targets: Targets
    ) -> tuple[Tensor, dict[str, Tensor]]:
        losses = contrastive_losses(network(torch.cat([alter(batch), alter(batch)])), temperature)
        return losses.mean(), {"contrast_loss": losses}

    return objective


def contrastive_losses(embedded: Tensor, temperature: float) -> Tensor:
    """Return the normalised-temperature cross-entropy of each sample, nats, ``(n_samples,)``.

    Parameters
    ----------
    embedded : torch.Tensor of shape (2 * n_samples, n_features)
        First views of all samples, then second views.
    temperature : float
    """
    unit = functional.normalize(embedded, dim=1)
    similarity = unit @ unit.T / temperature  # (2N, 2N)
    n_samples = len(embedded) // 2
    itself = torch.eye(2 * n_samples, dtype=torch.bool, device=embedded.device)
    partner = torch.arange(2 * n_samples, device=embedded.device).roll(n_samples)
    similarity = similarity.masked_fill(itself, -torch.inf)
    losses = functional.cross_entropy(similarity, partner, reduction="none")
    return losses.reshape(2, n_samples).mean(dim=0)


def alter(batch: Tensor) -> Tensor:
    """Return the series, each cut to a random window, stretched back, rescaled and with noise.

    A window keeps 60 to 100 % of the series, a factor has deviation 0.1 per channel, the noise
    has deviation 0.05 (one is the channel's deviation over the training set).
    """
    n_samples, n_channels, n_timepoints = batch.shape
    device = batch.device
    length = (0.6 + 0.4 * torch.rand(n_samples, 1, device=device)) * (n_timepoints - 1)
    start = torch.rand(n_samples, 1, device=device) * (n_timepoints - 1 - length)
    position = start + length * torch.linspace(0, 1, n_timepoints, device=device)  # (N, T)
    left = position.floor().long().clamp(0, n_timepoints - 1)
    right = (left + 1).clamp(max=n_timepoints - 1)
    share = (position - left)[:, None]
    first, second = (
        batch.gather(2, at[:, None].expand(-1, n_channels, -1)) for at in (left, right)
    )
    window = first + share * (second - first)
    factor = 1 + 0.1 * torch.randn(n_samples, n_channels, 1, device=device)
    return factor * window + 0.05 * torch.randn_like(window)
