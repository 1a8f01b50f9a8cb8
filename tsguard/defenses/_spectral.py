"""Spectral signatures: poison shows along the main direction of its class's features."""

from numbers import Real
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval

from tsguard._base import TrainingSet
from tsguard._random import RandomState
from tsguard.defenses._filter import FilterDefense
from tsguard.defenses._shared import Course, features_of
from tsguard.models import Backbone


class SpectralSignaturesClassifier(FilterDefense):
    """Drop the samples that stand out along the first singular vector of their class.

    After standard training, the features of every class are centred; poisoned members lie far out
    along the direction in which they vary most. The given share of every class with the highest
    scores is dropped, and a new network is trained on the rest. It needs no clean samples.

    From the paper and its code [1]_: scores (squared projections of centred features, as the
    paper has them; the code projects features that are not centred) and the share (the code drops
    above the 85th percentile: 1.5 times an assumed poison rate of 10 % of a class). Ours: the
    share is rounded down, so that tiny classes lose nothing.

    Parameters
    ----------
    backbone : str or torch.nn.Module, default="inceptiontime"
        As in :class:`tsguard.E2ABLClassifier`.
    drop_rate : float, default=0.15
        Share of every class that is dropped, poisoned or not, 0 to 1.
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
        Squared projection, 0 or more; higher = more suspicious. Comparable within a class.
    suspect_mask_ : ndarray of bool of shape (n_samples,)
        The dropped samples.
    classes_, history_, network_, device_
        As in :class:`tsguard.defenses.StandardClassifier`.

    References
    ----------
    .. [1] Tran, Li, Madry, "Spectral Signatures in Backdoor Attacks", NeurIPS 2018.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **FilterDefense._parameter_constraints,
        "drop_rate": [Interval(Real, 0, 1, closed="left")],
    }

    def __init__(
        self,
        backbone: Backbone = "inceptiontime",
        *,
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
        self.drop_rate = drop_rate

    def _inspect(
        self, course: Course, data: TrainingSet, seed: int
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        self._train_on_everything(course, data, seed)
        features = features_of(self.network_.backbone, data.inputs)
        scores = np.zeros(len(data.codes))
        suspect = np.zeros(len(data.codes), dtype=bool)
        for code in np.unique(data.codes):
            members = np.flatnonzero(data.codes == code)
            scores[members] = spectral_scores(features[members])
            n_dropped = int(self.drop_rate * len(members))
            highest = np.argsort(-scores[members], kind="stable")[:n_dropped]
            suspect[members[highest]] = True
        return scores, suspect


def spectral_scores(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return squared projections ``(n,)`` onto the first right singular vector, centred."""
    centred = features - features.mean(axis=0)
    direction = np.linalg.svd(centred, full_matrices=False)[2][0]
    scores: NDArray[np.float64] = (centred @ direction) ** 2
    return scores
