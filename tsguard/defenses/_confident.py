"""Confident learning: drop the labels that networks which never saw them do not believe."""

import warnings
from importlib import import_module
from numbers import Integral
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.utils._param_validation import Interval

from tsguard._base import TrainingSet
from tsguard._engine import Phase, predict_logits
from tsguard._random import RandomState, numpy_stream
from tsguard.defenses._filter import FilterDefense
from tsguard.defenses._shared import Course
from tsguard.models import Backbone


class ConfidentLearningClassifier(FilterDefense):
    """Drop the samples that cleanlab takes for mislabelled, then train on the rest.

    Cross-validation gives every sample a prediction of a network that was not trained on it.
    The cleanlab package estimates from these how labels are confused and which samples are
    mislabelled. Made for honest label errors, it sees dirty-label poison as such; poison whose
    trigger the other folds have taught is not seen. It needs no clean samples, but the extra
    ``bench`` (``pip install tsguard[bench]``).

    From the paper and the package [1]_: everything but the classifier, with the package's
    defaults. Ours: folds that also work for classes with fewer members than folds.

    Parameters
    ----------
    backbone : str or torch.nn.Module, default="inceptiontime"
        As in :class:`tsguard.E2ABLClassifier`.
    n_folds : int, default=5
        Parts of the cross-validation, 2 or more (at most one sample each).
    n_epochs : int, default=40
        Epochs of each of the trainings, one per fold and the last.
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
        One minus cleanlab's label quality (predicted probability of the given label), 0 to 1;
        higher = more suspicious.
    suspect_mask_ : ndarray of bool of shape (n_samples,)
        The dropped samples.
    classes_, history_, network_, device_
        As in :class:`tsguard.defenses.StandardClassifier`.

    References
    ----------
    .. [1] Northcutt, Jiang, Chuang, "Confident Learning: Estimating Uncertainty in Dataset
       Labels", Journal of Artificial Intelligence Research 70, 2021.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **FilterDefense._parameter_constraints,
        "n_folds": [Interval(Integral, 2, None, closed="left")],
    }

    def __init__(
        self,
        backbone: Backbone = "inceptiontime",
        *,
        n_folds: int = 5,
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
        self.n_folds = n_folds

    def _inspect(
        self, course: Course, data: TrainingSet, seed: int
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        package, rank = _import_cleanlab()
        folds = draw_folds(data.codes, self.n_folds, numpy_stream(seed, "folds"))
        logits = np.empty((len(data.codes), data.n_classes))
        for fold in np.unique(folds):
            held_out = folds == fold
            self._build_network(data, seed)
            phase = Phase(f"fold {fold + 1}", self.n_epochs)
            course.run(self.network_, phase, rows=np.flatnonzero(~held_out))
            unseen = data.inputs[torch.from_numpy(held_out).to(data.inputs.device)]
            logits[held_out] = predict_logits(self.network_, unseen, unseen.device)
        probabilities = softmax(logits, axis=1)
        with warnings.catch_warnings():
            # Classes of one member cannot lose it here anyway.
            warnings.filterwarnings("ignore", "May not flag all label issues")
            suspect = package.find_label_issues(data.codes, probabilities, n_jobs=1)
        quality = rank.get_label_quality_scores(data.codes, probabilities)
        return 1 - quality.astype(np.float64), suspect


def draw_folds(
    codes: NDArray[np.int64], n_folds: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return a fold for every sample: each class is dealt out evenly, as are all samples."""
    shuffled = rng.permutation(len(codes))
    dealt = shuffled[np.argsort(codes[shuffled], kind="stable")]
    folds = np.empty(len(codes), dtype=np.int64)
    folds[dealt] = np.arange(len(codes)) % n_folds
    return folds


def _import_cleanlab() -> tuple[ModuleType, ModuleType]:
    try:
        return import_module("cleanlab.filter"), import_module("cleanlab.rank")
    except ImportError as error:
        raise ImportError(
            f"cleanlab must be installed for confident learning, got {error}; run "
            "`pip install tsguard[bench]`."
        ) from error
