"""NAD: a network unlearns its backdoor by looking where a fine-tuned copy of it looks."""

import copy
from collections.abc import Sequence
from numbers import Real
from typing import Any, ClassVar

import torch
from numpy.typing import ArrayLike
from sklearn.utils._param_validation import Interval
from torch import Tensor, nn
from torch.nn import functional

from tsguard._base import TrainingSet
from tsguard._engine import Objective, Phase, Records, Targets
from tsguard._objectives import single_head
from tsguard._random import RandomState
from tsguard._validation import Panel
from tsguard.defenses._shared import Defense, check_clean_indices
from tsguard.models import BACKBONES, Backbone
from tsguard.models._two_heads import record_outputs


class NADClassifier(Defense):
    """Neural attention distillation: standard training, then distillation on a clean subset.

    After standard training, a copy of the network is fine-tuned on clean series: the *teacher*,
    in which the backdoor is weaker. The network then learns the clean series once more while
    its attention (where along the series a stage responds) must match the teacher's at every
    stage. **It needs a clean subset**: training samples that the user vouches for.

    From the paper and its code [1]_: attention maps as sums of squared activations over the
    channels, scaled to length one; their mean squared difference at all stages; its weight (500
    at the first and 1000 at deeper stages in the code, one value here). Ours for series: the
    stages (those of the backbone, or its direct children with positions), lengths of training,
    optimiser and schedule.

    Parameters
    ----------
    backbone : str or torch.nn.Module, default="inceptiontime"
        As in :class:`tsguard.E2ABLClassifier`.
    clean_indices : array-like of int or None, default=None
        Rows of the training set that are surely clean, at least two. ``fit`` refuses None.
    attention_weight : float, default=1000.0
        Weight of the difference of the attention maps of one stage, 0 or more.
    power : float, default=2.0
        Power of the activations in an attention map, above 0.
    teacher_epochs : float, default=0.25
        Length of the teacher's fine-tuning in units of ``n_epochs``; at least one epoch.
    distillation_epochs : float, default=0.5
        Length of the distillation in units of ``n_epochs``; at least one epoch.
    tuning_rate : float, default=1.0
        Learning rate of both in units of ``learning_rate``.
    n_epochs : int, default=40
        Epochs of the standard training.
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
    classes_, history_, network_, device_
        As in :class:`tsguard.defenses.StandardClassifier`.

    References
    ----------
    .. [1] Li, Lyu, Koren, Lyu, Li, Ma, "Neural Attention Distillation: Erasing Backdoor Triggers
       from Deep Neural Networks", ICLR 2021.
    """

    needs_clean_subset = True

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **Defense._parameter_constraints,
        "clean_indices": ["array-like", None],
        "attention_weight": [Interval(Real, 0, None, closed="left")],
        "power": [Interval(Real, 0, None, closed="neither")],
        "teacher_epochs": [Interval(Real, 0, None, closed="left")],
        "distillation_epochs": [Interval(Real, 0, None, closed="left")],
        "tuning_rate": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self,
        backbone: Backbone = "inceptiontime",
        *,
        clean_indices: ArrayLike | None = None,
        attention_weight: float = 1000.0,
        power: float = 2.0,
        teacher_epochs: float = 0.25,
        distillation_epochs: float = 0.5,
        tuning_rate: float = 1.0,
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
        self.clean_indices = clean_indices
        self.attention_weight = attention_weight
        self.power = power
        self.teacher_epochs = teacher_epochs
        self.distillation_epochs = distillation_epochs
        self.tuning_rate = tuning_rate

    @classmethod
    def _get_test_params(cls, parameter_set: str = "default") -> dict[str, Any]:
        return super()._get_test_params(parameter_set) | {"clean_indices": [0, 1]}

    def _train(self, data: TrainingSet, panel: Panel, seed: int) -> Records:
        rows = check_clean_indices(self.clean_indices, len(data.codes), type(self).__name__)
        course = self._course(data, seed)
        self._build_network(data, seed)
        course.run(self.network_, Phase("training", self.n_epochs))
        teacher = copy.deepcopy(self.network_)
        tuning = Phase("teacher", self._epochs(self.teacher_epochs))
        course.run(teacher, tuning, rows=rows, rate=self.tuning_rate)
        objective = distillation(
            teacher.backbone,
            self._stages(data.inputs[:2]),
            self.attention_weight,
            self.power,
        )
        phase = Phase("distillation", self._epochs(self.distillation_epochs))
        course.run(self.network_, phase, objective, rows=rows, rate=self.tuning_rate)
        return course.records

    def _stages(self, sample: Tensor) -> list[str]:
        """Return the names of the sub-modules whose attention is compared."""
        backbone = self.network_.backbone
        if isinstance(self.backbone, str) and self.backbone in BACKBONES:
            return list(BACKBONES[self.backbone].stages)
        children = [name for name, _ in backbone.named_children()]
        with torch.no_grad():
            outputs = record_outputs(backbone.eval(), children, sample)
        return [name for name in children if name in outputs and outputs[name].ndim > 2]


def distillation(
    teacher: nn.Module, stages: Sequence[str], weight: float, power: float
) -> Objective:
    """Return cross-entropy plus the weighted differences of the attention to the teacher's."""

    def objective(
        network: nn.Module, batch: Tensor, indices: Tensor, targets: Targets
    ) -> tuple[Tensor, dict[str, Tensor]]:
        student = network.get_submodule("backbone")
        ours = record_outputs(student, stages, batch)
        with torch.no_grad():
            theirs = record_outputs(teacher, stages, batch)
        loss, records = single_head(nn.Identity(), ours[""], indices, targets)
        for name in stages:
            maps = attention(ours[name], power), attention(theirs[name], power)
            loss = loss + weight * functional.mse_loss(*maps)
        return loss, records

    return objective


def attention(features: Tensor, power: float) -> Tensor:
    """Return where a stage responds: ``(N, positions)`` of length one from ``(N, F, ...)``."""
    maps = features.abs().pow(power).sum(dim=1).flatten(start_dim=1)
    scaled: Tensor = maps / (torch.linalg.vector_norm(maps, dim=1, keepdim=True) + 1e-6)
    return scaled
