"""Isolation in real time: the verdict about the samples, applied to training between epochs."""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tsguard._engine import Phase, Records, Targets
from tsguard.suspicion import (
    UNKNOWN,
    Evidence,
    Verdict,
    decide,
    loss_drop_verdict,
)

Codes = NDArray[np.int64]


class Isolation(ABC):
    """Keeps the current verdict and lets both heads act on it.

    The main head learns trusted samples with their labels and suspects with their recovered ones;
    suspects of unknown class and withheld samples are left out, or it learns that the former's
    given label is wrong.

    Attributes
    ----------
    verdict : Verdict
        What is believed now.
    trap_learns_all : bool
        Whether the trap head goes on learning every given label (so that it stays a picture of
        what an undefended shallow network believes), or the isolated samples only.
    """

    verdict: Verdict
    trap_learns_all: bool

    @abstractmethod
    def phases(self, n_epochs: int) -> list[Phase]:
        """Return the phases of a training of ``n_epochs`` epochs."""

    def _apply(self, targets: Targets, deny: bool = False) -> None:
        """Let the heads act on the verdict; ``deny``: also learn which labels are wrong."""
        suspect, recovered = self.verdict.suspect, self.verdict.recovered
        known = (recovered != UNKNOWN) & ~self.verdict.withheld
        trap_weight = np.ones(len(suspect)) if self.trap_learns_all else suspect
        targets.assign(
            main=np.where(recovered != UNKNOWN, recovered, targets.given.cpu().numpy()),
            main_weight=known.astype(np.float32),
            trap_weight=trap_weight.astype(np.float32),
            denied=(suspect & (recovered == UNKNOWN) & deny).astype(np.float32),
            isolated=(suspect | self.verdict.withheld).astype(np.float32),
        )


class LossDropIsolation(Isolation):
    """After a warm-up, isolate before every epoch what the trap head has learned fastest."""

    trap_learns_all = False
    warm_up = 0.2  # share of the epochs in which both heads learn everything as given

    def __init__(self, codes: Codes, rates: dict[str, Any]) -> None:
        self.verdict = Verdict.nothing(codes)
        self._codes, self._rates = codes, rates

    def phases(self, n_epochs: int) -> list[Phase]:
        """Return a warm-up and a phase of isolation."""
        n_warm_up = min(n_epochs - 1, max(1, round(self.warm_up * n_epochs)))
        return [
            Phase("warm-up", n_warm_up),
            Phase("isolation", n_epochs - n_warm_up, self._isolate),
        ]

    def _isolate(self, targets: Targets, records: Records) -> None:
        if records.epochs:
            believed = records.samples["main_prediction"][-1].astype(np.int64)
            losses = records.stack("trap_loss")
            self.verdict = loss_drop_verdict(losses, self._codes, believed, **self._rates)
        self._apply(targets)


class EvidenceIsolation(Isolation):
    """Keep suspects out of the main head's training, ask it for their class, teach it that.

    While it has not learned a suspect, neither with its given label nor with a guess, the main
    head's opinion of it is unbiased, like that of its neighbours.
    """

    trap_learns_all = True
    seclusion = 0.25  # share of the epochs in which suspects are left out
    n_recent = 5  # epochs, the last ones, in which the main head's beliefs count

    def __init__(
        self, codes: Codes, n_classes: int, evidence: Evidence, rates: dict[str, Any]
    ) -> None:
        self.verdict = decide(evidence, codes, **rates)
        self._codes, self._n_classes = codes, n_classes
        self._evidence, self._rates = evidence, rates

    def phases(self, n_epochs: int) -> list[Phase]:
        """Return a phase in which suspects are left out and one in which they are relabelled."""
        n_seclusion = round(self.seclusion * n_epochs)
        return [
            Phase("isolation", n_seclusion, self._leave_out),
            Phase("recovery", n_epochs - n_seclusion, self._recover),
        ]

    def _leave_out(self, targets: Targets, records: Records) -> None:
        if not records.epochs:
            self._apply(targets)

    def _recover(self, targets: Targets, records: Records) -> None:
        if records.epochs and records.epochs[-1]["phase"] == "recovery":
            return  # decided before the first epoch of the phase
        beliefs = self._beliefs(records)
        self.verdict = decide(self._evidence, self._codes, beliefs, **self._rates)
        self._apply(targets, deny=True)

    def _beliefs(self, records: Records) -> NDArray[np.float64]:
        """Return the share of the recent epochs in which the main head called each class."""
        beliefs = np.zeros((len(self._codes), self._n_classes))
        recent = records.samples.get("main_prediction", [])[-self.n_recent :]
        for predictions in recent:
            beliefs[np.arange(len(self._codes)), predictions.astype(np.int64)] += 1 / len(recent)
        return beliefs
