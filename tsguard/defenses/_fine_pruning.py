"""Fine-pruning: cut the channels that clean series leave silent, then tune on clean series."""

from numbers import Real
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils._param_validation import Interval
from torch import Tensor, nn

from tsguard._base import TrainingSet
from tsguard._engine import Phase, Records, predict_logits
from tsguard._random import RandomState
from tsguard._validation import Panel
from tsguard.defenses._shared import Defense, FeatureReader, check_clean_indices, features_of
from tsguard.models import Backbone
from tsguard.models._two_heads import record_outputs


class FinePruningClassifier(Defense):
    """Standard training, then pruning of dormant channels and fine-tuning on a clean subset.

    A backdoor sits partly in channels that only the trigger excites. Those of the penultimate
    layer that clean series excite least are cut off from the last layer for good, one after the
    other, until the accuracy on the clean subset suffers; fine-tuning on the clean subset then
    overwrites what is left. **It needs a clean subset**: training samples that the user vouches
    for.

    From the paper [1]_: the layer, the order (mean activation), the rule for when to stop, the
    fine-tuning. Ours for series: how much accuracy may be lost, the length of the fine-tuning,
    optimiser and schedule.

    Parameters
    ----------
    backbone : str or torch.nn.Module, default="inceptiontime"
        As in :class:`tsguard.E2ABLClassifier`.
    clean_indices : array-like of int or None, default=None
        Rows of the training set that are surely clean, at least two. ``fit`` refuses None.
    accuracy_drop : float, default=0.1
        Accuracy on the clean subset that pruning may cost, 0 to 1.
    tuning_epochs : float, default=0.25
        Length of the fine-tuning in units of ``n_epochs``; at least one epoch.
    tuning_rate : float, default=0.1
        Learning rate of the fine-tuning in units of ``learning_rate``.
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
    pruned_channels_ : ndarray of int of shape (n_pruned,)
        Channels of the penultimate layer that are cut off, most dormant first.
    classes_, history_, network_, device_
        As in :class:`tsguard.defenses.StandardClassifier`.

    References
    ----------
    .. [1] Liu, Dolan-Gavitt, Garg, "Fine-Pruning: Defending Against Backdooring Attacks on Deep
       Neural Networks", RAID 2018.
    """

    needs_clean_subset = True

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **Defense._parameter_constraints,
        "clean_indices": ["array-like", None],
        "accuracy_drop": [Interval(Real, 0, 1, closed="both")],
        "tuning_epochs": [Interval(Real, 0, None, closed="left")],
        "tuning_rate": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self,
        backbone: Backbone = "inceptiontime",
        *,
        clean_indices: ArrayLike | None = None,
        accuracy_drop: float = 0.1,
        tuning_epochs: float = 0.25,
        tuning_rate: float = 0.1,
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
        self.accuracy_drop = accuracy_drop
        self.tuning_epochs = tuning_epochs
        self.tuning_rate = tuning_rate

    @classmethod
    def _get_test_params(cls, parameter_set: str = "default") -> dict[str, Any]:
        return super()._get_test_params(parameter_set) | {"clean_indices": [0, 1]}

    def _train(self, data: TrainingSet, panel: Panel, seed: int) -> Records:
        rows = check_clean_indices(self.clean_indices, len(data.codes), type(self).__name__)
        self._build_network(data, seed)
        last = last_layer(self.network_.backbone, data.inputs[:2])
        course = self._course(data, seed)
        course.run(self.network_, Phase("training", self.n_epochs))
        inputs = data.inputs[torch.from_numpy(rows).to(data.inputs.device)]
        self.pruned_channels_ = self._prune(last, inputs, data.codes[rows])
        keep = torch.ones_like(last.weight)
        keep[:, self.pruned_channels_] = 0
        # Weights of zero without a gradient stay zero, with weight decay too.
        handle = last.weight.register_hook(  # type: ignore[no-untyped-call]
            lambda gradient: gradient * keep
        )
        try:
            tuning = Phase("fine-tuning", self._epochs(self.tuning_epochs))
            course.run(self.network_, tuning, rows=rows, rate=self.tuning_rate)
        finally:
            handle.remove()
        return course.records

    def _prune(
        self, last: nn.Linear, inputs: Tensor, codes: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Cut channels off the last layer, most dormant first, as long as the accuracy holds."""
        order = dormant_first(self.network_.backbone, inputs)
        lowest_accuracy = self._accuracy(inputs, codes) - self.accuracy_drop
        for n_pruned, channel in enumerate(order[:-1]):
            weights = last.weight.detach()[:, channel].clone()
            last.weight.data[:, channel] = 0
            if self._accuracy(inputs, codes) < lowest_accuracy:
                last.weight.data[:, channel] = weights
                return order[:n_pruned]
        return order[:-1]

    def _accuracy(self, inputs: Tensor, codes: NDArray[np.int64]) -> float:
        logits = predict_logits(self.network_, inputs, inputs.device)
        return float((logits.argmax(axis=1) == codes).mean())


def dormant_first(backbone: nn.Module, inputs: Tensor) -> NDArray[np.int64]:
    """Return the channels of the penultimate layer by their mean activation, lowest first."""
    order: NDArray[np.int64] = np.argsort(features_of(backbone, inputs).mean(axis=0), kind="stable")
    return order


def last_layer(backbone: nn.Module, sample: Tensor) -> nn.Linear:
    """Return the linear layer that makes the logits of the penultimate features.

    Raises
    ------
    ValueError
        If the network does not end in such a layer.
    """
    linear = [name for name, one in backbone.named_modules() if isinstance(one, nn.Linear)]
    reader = FeatureReader(backbone, sample).eval()
    with torch.no_grad():
        outputs = record_outputs(backbone, linear, sample)
        n_channels = reader(sample).shape[1]
    ends = [name for name in linear if name and outputs.get(name) is outputs[""]]
    last = backbone.get_submodule(ends[0]) if ends else backbone
    if not isinstance(last, nn.Linear) or last.in_features != n_channels or not reader.layer:
        raise ValueError(
            "backbone must end in a torch.nn.Linear on the features of the layer before it to be "
            f"pruned, got {type(backbone).__name__} without; add one or choose another defense."
        )
    return last
