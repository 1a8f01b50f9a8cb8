"""ABL: isolate what is learned suspiciously fast, then unlearn it."""

from numbers import Real
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor, nn

from tsguard._base import TrainingSet
from tsguard._engine import Objective, Phase, Records, Targets
from tsguard._objectives import single_head
from tsguard._random import RandomState
from tsguard._validation import Panel
from tsguard.defenses._shared import Defense, losses_of, lowest
from tsguard.models import Backbone


class ABLClassifier(Defense):
    """Anti-backdoor learning: isolate by loss, train on the rest, unlearn what was isolated.

    A trigger is a strong, simple pattern, so its loss drops first. A short training whose loss is
    kept near ``gamma`` (clean samples cannot go below it, poisoned ones do) widens the gap; the
    samples of lowest loss are isolated. The network then learns the rest, and at last descends on
    the rest while it ascends on the isolated samples, which breaks the tie between trigger and
    target. It needs no clean samples.

    From the paper and its code [1]_: both forms of the first loss, with one sign for the mean of
    a whole batch, as in the official code (not one per sample); ``gamma``; the order of the three
    phases and about their proportion (10, 60 and 5 epochs). Ours for series: optimiser and
    schedule, the rate of isolation (1 % of a small set is a handful of series), and one joint
    objective when unlearning, the mean loss of the rest less that of the isolated, as the paper's
    formula has it (the code ascends on the isolated samples alone). On many sets of series the
    content is learned before the trigger; then clean samples are isolated, and unlearning them
    costs accuracy: the higher ``unlearning_rate``, the more.

    Parameters
    ----------
    backbone : str or torch.nn.Module, default="inceptiontime"
        As in :class:`tsguard.E2ABLClassifier`.
    variant : {"lga", "flooding"}, default="lga"
        Loss of the first phase, with the batch's mean cross-entropy L:
        ``sign(L - gamma) * L`` or ``|L - gamma| + gamma``.
    gamma : float, default=0.5
        Where the loss is kept, nats.
    isolation_rate : float, default=0.05
        Share of the samples to isolate, 0 to 1, at least one sample. The paper has 0.01.
    isolation_epochs : float, default=0.125
        Length of the first phase in units of ``n_epochs``; at least one epoch.
    unlearning_epochs : float, default=0.125
        Length of the last phase in units of ``n_epochs``; at least one epoch.
    unlearning_rate : float, default=0.05
        Learning rate of the last phase in units of ``learning_rate``. The paper has 0.005.
    n_epochs : int, default=40
        Epochs of training on the samples that are not isolated.
    batch_size : int, default=16
        Samples per update; at least two are taken.
    learning_rate : float, default=0.003
        Peak of the one-cycle schedule.
    weight_decay : float, default=0.01
        Weight decay of AdamW.
    precision : {"float32", "bfloat16"}, default="float32"
        Of the forward pass in training. ``"bfloat16"`` about halves the time on processors with
        bfloat16 instructions and on recent GPUs; predictions are always made in float32.
    device : str or torch.device, default="auto"
        ``"auto"`` takes CUDA where present, else the CPU.
    random_state : int, RandomState or None, default=None
        Seed; on the CPU, the same integer gives the same model on the same machine.
    verbose : bool, default=False
        Show a progress bar.

    Attributes
    ----------
    suspicion_ : ndarray of shape (n_samples,)
        Cross-entropy after the first phase, negated, nats; higher = more suspicious.
    suspect_mask_ : ndarray of bool of shape (n_samples,)
        The isolated samples.
    classes_, history_, network_, device_
        As in :class:`tsguard.defenses.StandardClassifier`.

    References
    ----------
    .. [1] Li, Lyu, Koren, Lyu, Li, Ma, "Anti-Backdoor Learning: Training Clean Models on Poisoned
       Data", NeurIPS 2021.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **Defense._parameter_constraints,
        "variant": [StrOptions({"lga", "flooding"})],
        "gamma": [Interval(Real, 0, None, closed="left")],
        "isolation_rate": [Interval(Real, 0, 1, closed="neither")],
        "isolation_epochs": [Interval(Real, 0, None, closed="left")],
        "unlearning_epochs": [Interval(Real, 0, None, closed="left")],
        "unlearning_rate": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self,
        backbone: Backbone = "inceptiontime",
        *,
        variant: str = "lga",
        gamma: float = 0.5,
        isolation_rate: float = 0.05,
        isolation_epochs: float = 0.125,
        unlearning_epochs: float = 0.125,
        unlearning_rate: float = 0.05,
        n_epochs: int = 40,
        batch_size: int = 16,
        learning_rate: float = 3e-3,
        weight_decay: float = 1e-2,
        precision: str = "float32",
        device: str | torch.device = "auto",
        random_state: RandomState = None,
        verbose: bool = False,
    ) -> None:
        super().__init__(
            backbone,
            n_epochs=n_epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            precision=precision,
            device=device,
            random_state=random_state,
            verbose=verbose,
        )
        self.variant = variant
        self.gamma = gamma
        self.isolation_rate = isolation_rate
        self.isolation_epochs = isolation_epochs
        self.unlearning_epochs = unlearning_epochs
        self.unlearning_rate = unlearning_rate

    def _train(self, data: TrainingSet, panel: Panel, seed: int) -> Records:
        self._build_network(data, seed)
        course = self._course(data, seed)
        isolation = Phase("isolation", self._epochs(self.isolation_epochs))
        course.run(self.network_, isolation, held_up(self.variant, self.gamma))
        losses = losses_of(self.network_, data)
        self.suspicion_ = -losses
        self.suspect_mask_ = lowest(losses, self.isolation_rate)
        targets = Targets.from_labels(data.codes, data.inputs.device)
        targets.assign(main_weight=(~self.suspect_mask_).astype(np.float32))
        course.run(self.network_, Phase("training", self.n_epochs), targets=targets)
        targets.assign(main_weight=unlearning_weights(self.suspect_mask_))
        unlearning = Phase("unlearning", self._epochs(self.unlearning_epochs))
        course.run(self.network_, unlearning, targets=targets, rate=self.unlearning_rate)
        return course.records


def held_up(variant: str, gamma: float) -> Objective:
    """Return cross-entropy that is not lowered below ``gamma`` (mean of a batch, nats)."""

    def objective(
        network: nn.Module, batch: Tensor, indices: Tensor, targets: Targets
    ) -> tuple[Tensor, dict[str, Tensor]]:
        loss, records = single_head(network, batch, indices, targets)
        if variant == "lga":
            return torch.sign(loss - gamma) * loss, records
        return (loss - gamma).abs() + gamma, records

    return objective


def unlearning_weights(isolated: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return weights that make a weighted mean the mean of the rest less that of the isolated."""
    share = isolated.mean()
    return np.where(isolated, -1 / share, 1 / max(1 - share, 1e-9)).astype(np.float32)
