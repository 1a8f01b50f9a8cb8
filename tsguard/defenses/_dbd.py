"""DBD: learn the features without labels, so that no label can tie them to a trigger."""

from dataclasses import replace
from numbers import Real
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval
from torch import Tensor, nn

from tsguard._base import TrainingSet
from tsguard._engine import Phase, Records, Targets
from tsguard._objectives import single_head
from tsguard._random import RandomState, torch_globals_from
from tsguard._validation import Panel
from tsguard.defenses._contrast import alter, pretrain
from tsguard.defenses._shared import Course, Defense, features_of, losses_of, lowest
from tsguard.models import Backbone


class DBDClassifier(Defense):
    """Decoupling-based defense: features without labels, then credible labels only.

    Three steps. The network learns its features by contrast, without labels: poisoned samples
    stay among their own kind. A linear layer on these frozen features then learns the labels;
    poisoned samples, whose label does not fit their features, keep a high loss. The whole network
    at last learns the part of every class that has the lowest loss with its labels and the rest
    without (semi-supervised); the parts are drawn anew before every epoch. It needs no clean
    samples.

    From the paper and its code [1]_: the three steps, the temperatures, the slow rise of the
    unlabelled part's weight. Ours for series: the views (random windows, factors, noise), far
    shorter training (the paper has 1000 + 10 + 190 epochs), the credible part taken from every
    class rather than from the whole set (or small classes would lose all labels) and larger,
    cross-entropy in the second step (the paper's symmetric form puts the losses into the same
    order), MixMatch without its mixing and with a smaller weight.

    Parameters
    ----------
    backbone : str or torch.nn.Module, default="inceptiontime"
        As in :class:`tsguard.E2ABLClassifier`.
    trusted_share : float, default=0.7
        Share of every class that keeps its labels, 0 to 1, at least one sample. The paper has 0.5.
    consistency : float, default=5.0
        Final weight of the squared error on unlabelled samples, 0 or more. The paper has 15.
    pretraining_epochs : float, default=1.0
        Length of the self-supervised training in units of ``n_epochs``; at least one epoch.
    n_epochs : int, default=40
        Epochs of the second step and of the last.
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
        Cross-entropy after the second step, nats; higher = more suspicious.
    suspect_mask_ : ndarray of bool of shape (n_samples,)
        The samples that learned without their label in the last epoch.
    classes_, history_, network_, device_
        As in :class:`tsguard.defenses.StandardClassifier`.

    References
    ----------
    .. [1] Huang, Li, Wu, Qin, Ren, "Backdoor Defense via Decoupling the Training Process",
       ICLR 2022.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **Defense._parameter_constraints,
        "trusted_share": [Interval(Real, 0, 1, closed="right")],
        "consistency": [Interval(Real, 0, None, closed="left")],
        "pretraining_epochs": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        backbone: Backbone = "inceptiontime",
        *,
        trusted_share: float = 0.7,
        consistency: float = 5.0,
        pretraining_epochs: float = 1.0,
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
        self.trusted_share = trusted_share
        self.consistency = consistency
        self.pretraining_epochs = pretraining_epochs

    def _train(self, data: TrainingSet, panel: Panel, seed: int) -> Records:
        course = self._course(data, seed)
        self._build_network(data, seed)
        n_epochs = self._epochs(self.pretraining_epochs)
        pretrain(self.network_.backbone, data.inputs, course.engine, n_epochs)
        self.suspicion_ = self._probe(course, data, seed)
        semi = SemiSupervision(
            self.suspicion_, data.codes, self.trusted_share, self.consistency, self.n_epochs
        )
        phase = Phase("semi-supervision", self.n_epochs, semi.before_epoch)
        course.run(self.network_, phase, semi.objective)
        self.suspect_mask_ = ~semi.trusted
        return course.records

    def _probe(self, course: Course, data: TrainingSet, seed: int) -> NDArray[np.float64]:
        """Train a linear layer on the frozen features and return its losses ``(n_samples,)``."""
        features = features_of(self.network_.backbone, data.inputs)
        features = (features - features.mean(axis=0)) / (features.std(axis=0) + 1e-6)
        inputs = torch.from_numpy(features.astype(np.float32)).to(data.inputs.device)
        with torch_globals_from(seed, "linear layer"):
            layer = nn.Linear(inputs.shape[1], data.n_classes).to(inputs.device)
        course.run(layer, Phase("linear layer", self.n_epochs), inputs=inputs)
        return losses_of(layer, replace(data, inputs=inputs))


class SemiSupervision:
    """Labels for the credible part of every class, agreement between views for the rest.

    Attributes
    ----------
    trusted : ndarray of bool of shape (n_samples,)
        The samples that learn with their label now.
    """

    temperature = 0.5  # below one: a guess is sharpened

    def __init__(
        self,
        losses: NDArray[np.float64],
        codes: NDArray[np.int64],
        share: float,
        weight: float,
        n_epochs: int,
    ) -> None:
        self.trusted = lowest_of_classes(losses, codes, share)
        self._codes, self._share, self._weight, self._rise = codes, share, weight, 0.0
        self._n_epochs = n_epochs

    def before_epoch(self, targets: Targets, records: Records) -> None:
        """Draw the credible parts anew from the losses of the last epoch."""
        if records.epochs:
            losses = records.samples["main_loss"][-1].astype(np.float64)
            self.trusted = lowest_of_classes(losses, self._codes, self._share)
        self._rise = len(records.epochs) / self._n_epochs
        targets.assign(main_weight=self.trusted.astype(np.float32))

    def objective(
        self, network: nn.Module, batch: Tensor, indices: Tensor, targets: Targets
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of one batch: see the class."""
        with torch.no_grad():
            views = [network(alter(batch)).softmax(dim=1) for _ in range(2)]
            guess = ((views[0] + views[1]) / 2) ** (1 / self.temperature)
            guess = guess / guess.sum(dim=1, keepdim=True)
        logits = network(alter(batch))
        loss, records = single_head(nn.Identity(), logits, indices, targets)
        error = ((logits.softmax(dim=1) - guess) ** 2).mean(dim=1)
        unlabelled = (1 - targets.main_weight[indices]) * error
        return loss + self._rise * self._weight * unlabelled.mean(), records


def lowest_of_classes(
    losses: NDArray[np.float64], codes: NDArray[np.int64], share: float
) -> NDArray[np.bool_]:
    """Return a mask of the share of every class with the lowest loss, at least one sample."""
    mask = np.zeros(len(codes), dtype=bool)
    for code in np.unique(codes):
        members = np.flatnonzero(codes == code)
        mask[members] = lowest(losses[members], share)
    return mask
