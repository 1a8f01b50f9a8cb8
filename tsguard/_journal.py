"""One run of the engine, kept between epochs and taken up again by another process."""

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from tsguard._checkpoint import Checkpoint, State

if TYPE_CHECKING:
    from tsguard._engine import Records, Targets


@dataclass
class Journal:
    """Replays the epochs of a run that are done, and keeps those that are new.

    What hooks between epochs know is not kept. They are called again, for every epoch that is
    done, with the records that they saw at that time; being functions of these and of the seed,
    they come to know the same and set the same targets. Those are kept, to be compared.

    Parameters
    ----------
    checkpoint : Checkpoint or None
        None keeps nothing.
    network, optimizer, schedule, order
        What an epoch changes; brought up to date after the last epoch that is done.
    n_batches, n_epochs : int
        Of the run.
    device : torch.device
    """

    checkpoint: Checkpoint | None
    network: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    order: torch.Generator
    n_batches: int
    n_epochs: int
    device: torch.device

    def __post_init__(self) -> None:
        self._done = None if self.checkpoint is None else self.checkpoint.next_run()
        if self._done is not None:
            n_done, n_epochs = len(self._done.epochs), self.n_epochs
            lengths = {len(rows) for rows in _part(self._done.tensors, "records").values()}
            whole = self._done.finished == (n_done == n_epochs) and 0 < n_done <= n_epochs
            if not whole or lengths != {n_done}:
                raise self._refused(f"{n_done} of {n_epochs} epochs, records of {lengths}")

    def replay(self, targets: "Targets", records: "Records") -> bool:
        """Take the next epoch from what is done; return False if it has to be trained."""
        epoch = len(records.epochs)
        if self._done is None or epoch >= len(self._done.epochs):
            return False
        row = self._done.epochs[epoch]
        for name in row:
            rows = self._done.tensors.get(f"records.{name}")
            if rows is not None:
                records.samples.setdefault(name, []).append(rows[epoch].numpy())
        records.epochs.append(row)
        if epoch + 1 == len(self._done.epochs):
            self._compare(targets, self._done)
            try:
                self._restore(self._done)
            except (KeyError, ValueError, RuntimeError) as error:
                raise self._refused(error) from error
        return True

    def keep(self, targets: "Targets", records: "Records") -> None:
        """Keep the state after a new epoch, if it is time or the run is over."""
        if self.checkpoint is not None:
            finished = len(records.epochs) == self.n_epochs
            self.checkpoint.keep(
                lambda: self._capture(targets, records, finished), finished=finished
            )

    def _capture(self, targets: "Targets", records: "Records", finished: bool) -> State:
        tensors = {f"network.{name}": one for name, one in self.network.state_dict().items()}
        for field in fields(targets):
            tensors[f"targets.{field.name}"] = getattr(targets, field.name)
        for name in records.samples:
            tensors[f"records.{name}"] = torch.from_numpy(records.stack(name))
        if not finished:
            tensors |= self._moving_parts()
        copies = {
            name: one.detach().to("cpu", copy=True).contiguous() for name, one in tensors.items()
        }
        return State(copies, records.epochs, finished)

    def _moving_parts(self) -> dict[str, Tensor]:
        """Return what only a run that goes on needs."""
        tensors = {
            f"optimizer.{number}.{name}": one
            for number, values in self.optimizer.state_dict()["state"].items()
            for name, one in values.items()
        }
        tensors["random.order"] = self.order.get_state()
        tensors["random.noise"] = torch.get_rng_state()
        if self.device.type == "cuda":
            tensors["random.noise_cuda"] = torch.cuda.get_rng_state(self.device)
        return tensors

    def _refused(self, reason: object) -> ValueError:
        assert self.checkpoint is not None
        return self.checkpoint.damaged(f"its states do not fit this training: {reason}")

    def _compare(self, targets: "Targets", done: State) -> None:
        assert self.checkpoint is not None
        for field in fields(targets):
            now, then = getattr(targets, field.name), done.tensors.get(f"targets.{field.name}")
            if then is None or not torch.equal(then, now.cpu()):
                raise ValueError(
                    f"fit must come to the same labels and suspects as when checkpoint "
                    f"{self.checkpoint.folder} was written, got others ({field.name!r}); go on "
                    "with the machine, library versions and number of threads of then, or remove "
                    "the folder to begin anew."
                )

    def _restore(self, done: State) -> None:
        """Bring everything that an epoch changes to where it was after the last one done."""
        self.network.load_state_dict(_part(done.tensors, "network"))
        if done.finished:
            return
        state = self.optimizer.state_dict()
        moments: dict[int, dict[str, Tensor]] = {}
        for key, one in _part(done.tensors, "optimizer").items():
            number, _, name = key.partition(".")
            moments.setdefault(int(number), {})[name] = one
        self.optimizer.load_state_dict({**state, "state": moments})
        # The rates follow from the number of updates; stepping to it sets them.
        n_steps = len(done.epochs) * self.n_batches
        position = {"last_epoch": n_steps - 1, "_step_count": n_steps + 1}
        self.schedule.load_state_dict({**self.schedule.state_dict(), **position})
        self.schedule.step()
        self.order.set_state(done.tensors["random.order"])
        torch.set_rng_state(done.tensors["random.noise"])
        if self.device.type == "cuda" and "random.noise_cuda" in done.tensors:
            torch.cuda.set_rng_state(done.tensors["random.noise_cuda"], self.device)


def _part(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """Return the tensors under a name, without it."""
    start = f"{name}."
    return {key.removeprefix(start): one for key, one in tensors.items() if key.startswith(start)}
