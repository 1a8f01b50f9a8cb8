"""The training loop. There is one, and everything in this package that learns runs through it.

``Engine.run`` walks through phases, ``_epoch`` through the batches of one epoch, ``_step`` makes
one update and ``_loss`` asks the objective what the update should lower. What a method wants to
do differently, it says as data: phases with a hook between epochs, targets and weights of the
samples, an objective. Inputs are tensors of any shape; nothing here knows what their axes mean.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from tsguard._checkpoint import Checkpoint
from tsguard._exceptions import TrainingDivergedError
from tsguard._journal import Journal
from tsguard._random import torch_globals_from, torch_stream


@dataclass
class Targets:
    """What each sample currently means to the two heads; may be rewritten between epochs.

    Every field is a tensor of shape ``(n_samples,)`` on the training device.

    Attributes
    ----------
    given : int64
        Labels as they came with the data; never changed.
    main, trap : int64
        Labels that the main and the trap head learn.
    main_weight, trap_weight : float32
        Weight of the sample in each head's loss; 0 leaves it out.
    denied : float32
        1 where the main head should learn that the given label is wrong, whichever is right.
    isolated : float32
        1 where the sample is currently suspect, or withheld as a precaution, else 0.
    """

    given: Tensor
    main: Tensor
    trap: Tensor
    main_weight: Tensor
    trap_weight: Tensor
    denied: Tensor
    isolated: Tensor

    @classmethod
    def from_labels(cls, codes: NDArray[np.int64], device: torch.device) -> "Targets":
        """Let both heads learn every sample with its given label."""
        given = torch.as_tensor(codes, dtype=torch.int64, device=device)
        ones = torch.ones(len(given), device=device)
        zeros = torch.zeros_like(ones)
        return cls(given, given.clone(), given.clone(), ones, ones.clone(), zeros, zeros.clone())

    def assign(self, **values: NDArray[np.float32] | NDArray[np.int64]) -> None:
        """Overwrite the named fields from NumPy arrays of shape ``(n_samples,)``."""
        for name, value in values.items():
            assert name != "given", "given labels are facts"
            getattr(self, name).copy_(torch.as_tensor(value))


@dataclass
class Records:
    """What training saw of every sample, one row per epoch.

    Attributes
    ----------
    samples : dict of str to list of ndarray of shape (n_samples,)
        Per-sample values that the objective reports, one array per finished epoch.
    epochs : list of dict of str to float
        Means over the samples, one row per finished epoch, with the phase's name.
    """

    samples: dict[str, list[NDArray[np.float32]]] = field(default_factory=dict)
    epochs: list[dict[str, float | str]] = field(default_factory=list)

    def stack(self, name: str) -> NDArray[np.float32]:
        """Return one per-sample record as an array ``(n_epochs, n_samples)``."""
        return np.stack(self.samples[name])


@dataclass(frozen=True)
class Phase:
    """A stretch of epochs.

    Attributes
    ----------
    name : str
        Shown in the progress bar and the history.
    n_epochs : int
        How many epochs the phase lasts.
    before_epoch : callable or None
        Called before each epoch of the phase with ``(targets, records)``: the place to change
        labels and weights, given what training has seen so far. It may depend on nothing else:
        when a training is resumed, it is called again for every epoch that is done.
    """

    name: str
    n_epochs: int
    before_epoch: Callable[[Targets, Records], None] | None = None


Objective = Callable[[nn.Module, Tensor, Tensor, Targets], tuple[Tensor, dict[str, Tensor]]]
"""``(network, batch, indices, targets)`` → the loss to lower and what to record per sample."""


@dataclass
class Engine:
    """Trains a network on tensors that stay on the device; batches are indices into them.

    Parameters
    ----------
    objective : callable
        See ``Objective``.
    batch_size : int
        Batches hold this many samples or more (the rest is spread over all batches: slightly more
        if there are many, up to nearly twice as many if there is one), and at least two, since
        batch normalisation is undefined for one.
    learning_rate : float
        Peak of the one-cycle schedule (Smith & Topin, 2019) of the AdamW optimiser.
    weight_decay : float
    device : torch.device
    seed : int
        Seeds the order of the batches and the network's own randomness (dropout).
    progress : bool
        Show a progress bar on the standard error stream.
    autocast : torch.dtype or None, default=None
        Type to which the forward pass is cast where that is safe (``torch.autocast``), such as
        ``torch.bfloat16``; None computes everything in the type of the inputs.
    checkpoint : Checkpoint or None, default=None
        An opened one, from which runs are resumed and in which they are kept.
    """

    objective: Objective
    batch_size: int
    learning_rate: float
    weight_decay: float
    device: torch.device
    seed: int
    progress: bool = False
    autocast: torch.dtype | None = None
    checkpoint: Checkpoint | None = None

    def run(
        self, network: nn.Module, inputs: Tensor, targets: Targets, phases: Sequence[Phase]
    ) -> Records:
        """Train ``network`` in place through all phases and return what was recorded.

        Raises
        ------
        TrainingDivergedError
            If a loss is not a finite number; the message names epoch and batch.
        """
        self._start(network, inputs, sum(phase.n_epochs for phase in phases))
        journal = self._journal(network)
        records = Records()
        with (
            torch.enable_grad(),  # whatever the caller's mode
            torch_globals_from(self.seed, "network noise"),
            tqdm(total=self._n_epochs, disable=not self.progress, unit="epoch") as bar,
        ):
            for phase in phases:
                bar.set_description(phase.name)
                for _ in range(phase.n_epochs):
                    if phase.before_epoch is not None:
                        phase.before_epoch(targets, records)
                    if not journal.replay(targets, records):
                        self._epoch(network, inputs, targets, records, phase.name)
                        journal.keep(targets, records)
                    bar.update()
        network.eval()
        return records

    def _start(self, network: nn.Module, inputs: Tensor, n_epochs: int) -> None:
        """Prepare optimiser, schedule and the stream of batch orders."""
        size = max(2, self.batch_size)
        self._n_batches = max(1, len(inputs) // size)
        self._n_epochs = n_epochs
        self._optimizer = torch.optim.AdamW(
            network.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay, fused=True
        )
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimizer,
            max_lr=self.learning_rate,
            total_steps=int(n_epochs * self._n_batches),  # a NumPy integer is refused
        )
        self._order = torch_stream(self.seed, "batches")

    def _journal(self, network: nn.Module) -> Journal:
        return Journal(
            checkpoint=self.checkpoint,
            network=network,
            optimizer=self._optimizer,
            schedule=self._schedule,
            order=self._order,
            n_batches=self._n_batches,
            n_epochs=self._n_epochs,
            device=self.device,
        )

    def _epoch(
        self, network: nn.Module, inputs: Tensor, targets: Targets, records: Records, phase: str
    ) -> None:
        """Visit every sample once; copy the records to the host once, at the end."""
        network.train()
        order = torch.randperm(len(inputs), generator=self._order).to(self.device)
        losses = torch.empty(self._n_batches, device=self.device)
        seen: dict[str, Tensor] = {}
        for batch, indices in enumerate(order.tensor_split(self._n_batches)):
            losses[batch], values = self._step(network, inputs, indices, targets)
            for name, value in values.items():
                row = seen.setdefault(name, torch.empty(len(inputs), device=self.device))
                row[indices] = value.to(row.dtype)
        host = torch.cat([losses, *seen.values()]).cpu().numpy()
        self._check_finite(host[: self._n_batches], len(records.epochs))
        rows = host[self._n_batches :].reshape(len(seen), -1)
        for name, row_values in zip(seen, rows, strict=True):
            records.samples.setdefault(name, []).append(row_values)
        means = {name: float(values.mean()) for name, values in zip(seen, rows, strict=True)}
        loss = float(host[: self._n_batches].mean())
        records.epochs.append({"phase": phase, "loss": loss, **means})

    def _step(
        self, network: nn.Module, inputs: Tensor, indices: Tensor, targets: Targets
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Make one update of the network."""
        loss, values = self._loss(network, inputs[indices], indices, targets)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        self._schedule.step()
        return loss.detach(), values

    def _loss(
        self, network: nn.Module, batch: Tensor, indices: Tensor, targets: Targets
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of one batch and the per-sample records, detached."""
        cast: AbstractContextManager[object] = nullcontext()
        if self.autocast is not None:
            cast = torch.autocast(self.device.type, dtype=self.autocast)
        with cast:
            loss, values = self.objective(network, batch, indices, targets)
        return loss, {name: value.detach() for name, value in values.items()}

    def _check_finite(self, losses: NDArray[np.float32], epoch: int) -> None:
        """Stop a training that has diverged, at the end of the epoch in which it did."""
        bad = np.flatnonzero(~np.isfinite(losses))
        if len(bad):
            raise TrainingDivergedError(
                f"loss must stay finite, got {losses[bad[0]]} in epoch {epoch}, batch {bad[0]}; "
                "lower learning_rate or check the scale of X."
            )


def predict_logits(
    network: nn.Module,
    inputs: Tensor,
    device: torch.device,
    batch_size: int = 256,
    forward: Callable[[Tensor], Tensor] | None = None,
) -> NDArray[np.float32]:
    """Return the logits of a trained network ``(n_samples, n_classes)``, computed in batches.

    ``forward`` may be another method of the network that returns one row per sample. Afterwards
    the network is where it was.
    """
    home = next(network.parameters(), inputs).device
    network.to(device).eval()
    forward = forward or network
    try:
        with torch.inference_mode():
            parts = [forward(batch.to(device)).cpu() for batch in torch.split(inputs, batch_size)]
    finally:
        network.to(home)
    return torch.cat(parts).numpy()
