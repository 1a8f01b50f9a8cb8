"""CBD: a network that knows little but the trigger says which samples another should heed."""

from numbers import Real
from typing import Any, ClassVar

import torch
from sklearn.utils._param_validation import Interval
from torch import Tensor, nn

from tsguard._base import TrainingSet
from tsguard._engine import Objective, Phase, Records, Targets
from tsguard._objectives import single_head
from tsguard._random import RandomState
from tsguard._validation import Panel
from tsguard.defenses._shared import Defense, losses_of
from tsguard.models import Backbone


class CBDClassifier(Defense):
    """Causality-inspired backdoor defense: a briefly trained network reweights the samples.

    A first network is stopped early: it has learned the trigger (the *confounder*) and little
    else. A second network then learns every sample with the weight
    ``first loss / (first loss + second loss)``, rescaled to mean one in each batch: small where
    the first network is already sure. It needs no clean samples.

    From the paper and its code [1]_: the weights, and 5 epochs of 100 for the first network. The
    official code runs by default without the paper's second term (least mutual information
    between the features of the two networks, judged by an adversary); so does this. Ours for
    series: optimiser and schedule, and losses of the first network taken once, as it is frozen.

    Parameters
    ----------
    backbone : str or torch.nn.Module, default="inceptiontime"
        As in :class:`tsguard.E2ABLClassifier`.
    confounder_epochs : float, default=0.125
        Epochs of the first network in units of ``n_epochs``; at least one. The paper has 0.05.
    n_epochs : int, default=40
        Epochs of the second network.
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
    sample_weight_ : ndarray of shape (n_samples,)
        Weights at the end, 0 to 1, not rescaled; lower = kept at a distance.
    classes_, history_, network_, device_
        As in :class:`tsguard.defenses.StandardClassifier`.

    References
    ----------
    .. [1] Zhang, Liu, Wang, Lu, Hu, "Backdoor Defense via Deconfounded Representation Learning",
       CVPR 2023.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **Defense._parameter_constraints,
        "confounder_epochs": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        backbone: Backbone = "inceptiontime",
        *,
        confounder_epochs: float = 0.125,
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
        self.confounder_epochs = confounder_epochs

    def _train(self, data: TrainingSet, panel: Panel, seed: int) -> Records:
        course = self._course(data, seed)
        self._build_network(data, seed)
        course.run(self.network_, Phase("confounder", self._epochs(self.confounder_epochs)))
        confounded = losses_of(self.network_, data)
        self._build_network(data, seed)
        first = torch.as_tensor(confounded, dtype=torch.float32, device=data.inputs.device)
        course.run(self.network_, Phase("training", self.n_epochs), reweighted(first))
        self.sample_weight_ = confounded / (confounded + losses_of(self.network_, data) + 1e-8)
        return course.records


def reweighted(confounded: Tensor) -> Objective:
    """Return cross-entropy weighted by the losses ``(n_samples,)`` of a confounded network."""

    def objective(
        network: nn.Module, batch: Tensor, indices: Tensor, targets: Targets
    ) -> tuple[Tensor, dict[str, Tensor]]:
        _, records = single_head(network, batch, indices, targets)
        losses = records["main_loss"]
        first = confounded[indices]
        weights = first / (losses.detach() + first + 1e-8)
        weights = weights * len(weights) / weights.sum().clamp(min=1e-8)
        return (weights * losses).mean(), records

    return objective
