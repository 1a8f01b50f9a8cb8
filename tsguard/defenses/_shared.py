"""What several defenses share: trainings in a row, losses and features of a network, clean rows."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_softmax
from torch import Tensor, nn

from tsguard._base import NeuralClassifier, TrainingSet
from tsguard._engine import Engine, Objective, Phase, Records, Targets, predict_logits
from tsguard._objectives import single_head
from tsguard.models._two_heads import record_outputs


class Defense(NeuralClassifier):
    """Base of the defenses; a subclass says in ``_train`` which trainings it runs."""

    def _course(self, data: TrainingSet, seed: int) -> "Course":
        return Course(self._make_engine(single_head, data.inputs.device, seed), data)

    def _epochs(self, share: float) -> int:
        """Return a share of ``n_epochs`` in epochs, at least one."""
        return max(1, round(share * self.n_epochs))


@dataclass
class Course:
    """Trainings in a row, each on all samples or on some, with one record of them all.

    Attributes
    ----------
    engine : Engine
        With the settings that the trainings share.
    data : TrainingSet
    records : Records
        Of all trainings so far. Samples that a training leaves out keep their last record.
    """

    engine: Engine
    data: TrainingSet
    records: Records = field(default_factory=Records)

    def run(
        self,
        network: nn.Module,
        phase: Phase,
        objective: Objective = single_head,
        *,
        rows: NDArray[np.int64] | None = None,
        inputs: Tensor | None = None,
        targets: Targets | None = None,
        rate: float = 1.0,
    ) -> None:
        """Train ``network`` in place for one phase.

        Parameters
        ----------
        network : torch.nn.Module
        phase : Phase
        objective : callable, default=single_head
        rows : ndarray of int or None
            Samples to train on; None takes all.
        inputs : torch.Tensor or None
            Stands in for the inputs of all samples.
        targets : Targets or None
            What these rows mean; None takes their given labels.
        rate : float, default=1.0
            Learning rate in units of the shared one.
        """
        if rows is None:
            rows = np.arange(len(self.data.codes))
        taken = self.data.inputs if inputs is None else inputs
        taken = taken[torch.from_numpy(rows).to(taken.device)]
        if targets is None:
            targets = Targets.from_labels(self.data.codes[rows], taken.device)
        learning_rate = self.engine.learning_rate * rate
        engine = replace(self.engine, objective=objective, learning_rate=learning_rate)
        self._append(engine.run(network, taken, targets, [phase]), rows)

    def _append(self, part: Records, rows: NDArray[np.int64]) -> None:
        for name, values in part.samples.items():
            history = self.records.samples.setdefault(name, [])
            unseen = np.full(len(self.data.codes), np.nan, np.float32)
            for value in values:
                row = (history[-1] if history else unseen).copy()
                row[rows] = value
                history.append(row)
        self.records.epochs += part.epochs


def losses_of(network: nn.Module, data: TrainingSet) -> NDArray[np.float64]:
    """Return the cross-entropy ``(n_samples,)`` of a trained network on the given labels, nats."""
    logits = predict_logits(network, data.inputs, data.inputs.device).astype(np.float64)
    losses: NDArray[np.float64] = -log_softmax(logits, axis=1)[np.arange(len(logits)), data.codes]
    return losses


def lowest(losses: NDArray[np.float64], share: float) -> NDArray[np.bool_]:
    """Return a mask of the given share of samples with the lowest loss, at least one."""
    mask = np.zeros(len(losses), dtype=bool)
    mask[np.argsort(losses, kind="stable")[: max(1, round(share * len(losses)))]] = True
    return mask


class FeatureReader(nn.Module):
    """A network, read at its penultimate layer: what its last layer makes the logits of.

    That layer is the last sub-module to finish before the one that puts out the logits, whatever
    the network is made of. Several positions of a feature map are averaged.

    Parameters
    ----------
    backbone : torch.nn.Module
        Maps inputs to class logits.
    sample : torch.Tensor
        A few inputs.

    Shape
    -----
    Input as the backbone's, output ``(N, F)``.
    """

    def __init__(self, backbone: nn.Module, sample: Tensor) -> None:
        super().__init__()
        self.backbone = backbone
        names = [name for name, _ in backbone.named_modules() if name]
        was_training = backbone.training
        backbone.eval()
        with torch.no_grad():
            outputs = record_outputs(backbone, names, sample)
        backbone.train(was_training)
        logits = outputs.pop("")
        before = [
            name
            for name, output in outputs.items()
            if output is not logits and len(output) == len(sample)
        ]
        self.layer = before[-1] if before else ""

    def forward(self, x: Tensor) -> Tensor:
        """Return the features ``(N, F)``."""
        features = record_outputs(self.backbone, [self.layer], x)[self.layer]
        return features.reshape(*features.shape[:2], -1).mean(dim=2)


def features_of(network: nn.Module, inputs: Tensor) -> NDArray[np.float64]:
    """Return the penultimate features ``(n_samples, n_features)`` of a trained network."""
    reader = FeatureReader(network, inputs[:2])
    return predict_logits(reader, inputs, inputs.device).astype(np.float64)


def check_clean_indices(indices: ArrayLike | None, n_samples: int, who: str) -> NDArray[np.int64]:
    """Return the rows of the training set that the user vouches for.

    Raises
    ------
    TypeError
        If they are no integers.
    ValueError
        If there are none, fewer than two, one is out of range or comes twice.
    """
    if indices is None:
        raise ValueError(
            f"clean_indices of {who} must be indices of training samples that are surely clean, "
            "got None; look through a few samples of every class and pass their indices."
        )
    rows = np.asarray(indices)
    if rows.ndim != 1 or len(rows) < 2:
        raise ValueError(
            f"clean_indices of {who} must be 1-D with at least two indices, got shape "
            f"{rows.shape}; vouch for more samples."
        )
    if rows.dtype.kind not in "iu":
        raise TypeError(
            f"clean_indices of {who} must be integers, got dtype {rows.dtype}; turn a mask into "
            "indices with np.flatnonzero."
        )
    bad: list[Any] = [row for row in rows.tolist() if not 0 <= row < n_samples]
    if bad or len(np.unique(rows)) < len(rows):
        got = f"{bad[0]}" if bad else "an index that comes twice"
        raise ValueError(
            f"clean_indices of {who} must be different rows of the training set, 0 to "
            f"{n_samples - 1}, got {got}; correct or remove it."
        )
    return rows.astype(np.int64)
