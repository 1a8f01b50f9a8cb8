"""STRIP: a trigger survives when other series are laid over it."""

from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval
from torch import Tensor, nn

from tsguard._base import TrainingSet
from tsguard._engine import predict_logits
from tsguard._random import RandomState, numpy_stream
from tsguard.defenses._filter import FilterDefense
from tsguard.defenses._shared import Course
from tsguard.models import Backbone


class STRIPFilterClassifier(FilterDefense):
    """Drop the training samples whose class stays certain whatever is laid over them.

    After standard training, other training series are added to each series in turn. Predictions
    of a clean series become uncertain; those of a series with a trigger stay with the target,
    so their entropy is low. The given share of samples with the lowest entropy is dropped before a
    new network is trained on the rest. It needs no clean samples.

    From the paper and its code [1]_: plain sums of two inputs, the entropy (bits, mean over the
    overlays). Ours: used on the training set itself rather than at prediction; a fixed share is
    dropped (the paper's threshold is a quantile of a normal distribution fitted to clean samples,
    which nobody has; entropies of the training set are far from normal); fewer overlays (the
    paper has 100).

    Parameters
    ----------
    backbone : str or torch.nn.Module, default="inceptiontime"
        As in :class:`tsguard.E2ABLClassifier`.
    n_overlays : int, default=20
        Series that are laid over each series.
    drop_rate : float, default=0.15
        Share of the samples that is dropped, poisoned or not, 0 to 1.
    n_epochs : int, default=40
        Epochs of each of the two trainings.
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
        Mean entropy, negated, bits; higher = more suspicious.
    suspect_mask_ : ndarray of bool of shape (n_samples,)
        The dropped samples.
    classes_, history_, network_, device_
        As in :class:`tsguard.defenses.StandardClassifier`.

    References
    ----------
    .. [1] Gao, Xu, Wang, Chen, Ranasinghe, Nepal, "STRIP: A Defence Against Trojan Attacks on
       Deep Neural Networks", ACSAC 2019.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **FilterDefense._parameter_constraints,
        "n_overlays": [Interval(Integral, 1, None, closed="left")],
        "drop_rate": [Interval(Real, 0, 1, closed="left")],
    }

    def __init__(
        self,
        backbone: Backbone = "inceptiontime",
        *,
        n_overlays: int = 20,
        drop_rate: float = 0.15,
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
        self.n_overlays = n_overlays
        self.drop_rate = drop_rate

    def _inspect(
        self, course: Course, data: TrainingSet, seed: int
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        self._train_on_everything(course, data, seed)
        rng = numpy_stream(seed, "overlays")
        entropy = overlay_entropy(self.network_, data.inputs, self.n_overlays, rng)
        suspect = np.zeros(len(entropy), dtype=bool)
        suspect[np.argsort(entropy, kind="stable")[: int(self.drop_rate * len(entropy))]] = True
        return -entropy, suspect


def overlay_entropy(
    network: nn.Module, inputs: Tensor, n_overlays: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return the mean entropy ``(n_samples,)`` of the predictions under overlays, bits."""
    entropy = np.zeros(len(inputs))
    for _ in range(n_overlays):
        others = torch.from_numpy(rng.integers(len(inputs), size=len(inputs))).to(inputs.device)
        logits = predict_logits(network, inputs + inputs[others], inputs.device)
        probabilities = torch.from_numpy(logits).double().softmax(dim=1)
        bits = -torch.special.xlogy(probabilities, probabilities).sum(dim=1) / np.log(2)
        entropy += bits.numpy() / n_overlays
    return entropy
