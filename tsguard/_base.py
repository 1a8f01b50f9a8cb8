"""What every classifier here shares: input, labels, scaling, network, prediction.

aeon's ``BaseClassifier`` gives the public ``fit``, ``predict`` and ``predict_proba``; it calls the
hooks below. A classifier of this package adds one method, ``_train``.
"""

import math
import os
import warnings
from abc import abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
import torch
from aeon.classification.base import BaseClassifier
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax
from sklearn.utils._param_validation import Interval, StrOptions

from tsguard._checkpoint import Checkpoint
from tsguard._device import resolve_device
from tsguard._engine import Engine, Objective, Records, predict_logits
from tsguard._identity import identity_of
from tsguard._labels import check_labels, check_same_kind
from tsguard._random import RandomState, resolve_seed
from tsguard._validation import Panel, check_panel, check_shape_matches
from tsguard.models import BACKBONES, Backbone, TwoHeadNetwork, build_network

# Deviation of a channel, as a share of its largest value, up to which it is constant but for
# rounding. Relative, as the unit is the user's: a brain's magnetic field is 1e-13 tesla.
CONSTANT = 1e-12
COARSE = 8  # steps of single precision within a deviation, below which a channel has lost its shape


@dataclass(frozen=True)
class TrainingSet:
    """A training set as the engine takes it.

    Attributes
    ----------
    inputs : torch.Tensor of shape (n_samples, ...)
        Scaled, on the training device.
    codes : ndarray of int64 of shape (n_samples,)
        Given labels as codes 0 to n_classes - 1.
    n_classes : int
    """

    inputs: torch.Tensor
    codes: NDArray[np.int64]
    n_classes: int


class NeuralClassifier(BaseClassifier):  # type: ignore[misc]  # aeon is untyped
    """Base of all classifiers: everything but how the network is trained.

    See :class:`tsguard.E2ABLClassifier` for the parameters.
    """

    _tags: ClassVar[dict[str, Any]] = {
        "X_inner_type": ["numpy3D", "np-list"],
        "algorithm_type": "deeplearning",
        "capability:multivariate": True,
        "capability:unequal_length": True,
        "capability:missing_values": False,
        "capability:multithreading": False,
        "non_deterministic": False,
    }

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "backbone": [str, torch.nn.Module],
        "n_epochs": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "precision": [StrOptions({"float32", "bfloat16"})],
        "device": [str, torch.device],
        "random_state": ["random_state"],
        "verbose": ["boolean"],
    }

    _axes: ClassVar[tuple[str, ...]] = ("n_channels", "n_timepoints")
    """What the axes of a sample count; ``fit`` keeps the sizes as attributes of these names + _."""

    _backbones: ClassVar[Collection[str]] = BACKBONES
    _backbone_prefix: ClassVar[str] = "tsai:"
    """Names of backbones, and what the name of another one of a foreign library begins with."""

    _checkpoint: Checkpoint | None = None
    """Only while ``fit`` runs with one."""

    needs_clean_subset: ClassVar[bool] = False
    """Whether ``clean_indices`` must name training samples that the user vouches for."""

    def __init__(
        self,
        backbone: Backbone = "inceptiontime",
        *,
        n_epochs: int = 40,
        batch_size: int = 16,
        learning_rate: float = 3e-3,
        weight_decay: float = 1e-2,
        precision: str = "float32",
        device: str | torch.device = "auto",
        random_state: RandomState = None,
        verbose: bool = False,
    ) -> None:
        self.backbone = backbone
        self.n_epochs = n_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.precision = precision
        self.device = device
        self.random_state = random_state
        self.verbose = verbose
        super().__init__()

    @abstractmethod
    def _train(self, data: TrainingSet, panel: Panel, seed: int) -> Records:
        """Train ``self.network_`` and return the records."""

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        checkpoint: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Train on series and their labels.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_channels, n_timepoints)
            Also 2-D (one channel), or a list of arrays (n_channels, n_timepoints_i) of unequal
            lengths; classifiers for images take images.
        y : array-like of shape (n_samples,)
            Labels, of at least two classes.
        checkpoint : str or path or None, default=None
            Folder in which training is kept between epochs: after an interruption, the same call
            goes on from there and ends with the same model. New, empty, or of the same fit (data
            and parameters; ``device`` and ``verbose`` may differ). A finished fit stays in it, and
            calling again only loads it. None keeps nothing.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If data or parameters are invalid, or ``checkpoint`` belongs to another fit or is
            damaged.
        OSError
            If ``checkpoint`` holds something else, is in use or can't be written.
        TrainingDivergedError
            If the loss stops being a finite number.
        """
        self._checkpoint = None if checkpoint is None else Checkpoint(checkpoint)
        try:
            super().fit(X, y)
        finally:
            if self._checkpoint is not None:
                self._checkpoint.close()
            del self._checkpoint  # back to the class's None: nothing of it stays or is copied
        return self

    # -- hooks that aeon calls ---------------------------------------------------------------

    def _preprocess_collection(self, X: ArrayLike, store_metadata: bool = True) -> Panel:
        """Turn any valid input into a panel (n_samples, n_channels, n_timepoints)."""
        fitted_length = None if store_metadata else self.n_timepoints_
        panel = check_panel(X, n_timepoints=fitted_length)
        if store_metadata:
            self._keep_shape(*panel.shape)
        return panel

    def _keep_shape(self, n_samples: int, *sizes: int) -> None:
        """Keep what is known of the training set's shape, for ourselves, aeon and scikit-learn."""
        for name, size in zip(self._axes, sizes, strict=True):
            setattr(self, f"{name}_", size)
        self.n_features_in_ = math.prod(sizes)
        self.metadata_ = {
            "n_cases": n_samples,
            "n_channels": sizes[0],
            "n_timepoints": math.prod(sizes[1:]),
            "multivariate": sizes[0] > 1,
            "missing_values": False,
            "unequal_length": False,
        }

    @property
    def _sample_shape(self) -> tuple[int, ...]:
        """Shape of one training sample, channels first."""
        return tuple(int(getattr(self, f"{name}_")) for name in self._axes)

    def _check_shape(self, X: Panel) -> None:
        check_shape_matches(X, self.n_channels_, self.n_timepoints_, type(self).__name__)

    def _check_y(
        self, y: ArrayLike, n_cases: int, update_classes: bool = True, **_: object
    ) -> NDArray[Any]:
        labels = check_labels(y, n_cases, allow_one_class=not update_classes)
        if update_classes:
            self.classes_ = np.unique(labels)
            self.n_classes_ = len(self.classes_)
            self._class_dictionary = {label: code for code, label in enumerate(self.classes_)}
        else:
            check_same_kind(labels, self.classes_)
        return labels

    def _fit(self, X: Panel, y: NDArray[Any]) -> "NeuralClassifier":
        self._validate_params()
        device = resolve_device(self.device)
        seed = resolve_seed(self.random_state)
        if self._checkpoint is not None:
            seed = self._checkpoint.open(identity_of(self, X, y), seed)
        self.scale_ = self._fit_scale(X)
        data = TrainingSet(
            inputs=torch.from_numpy(self._scale(X)).to(device),
            codes=np.searchsorted(self.classes_, y).astype(np.int64),
            n_classes=self.n_classes_,
        )
        records = self._train(data, X, seed)
        self.network_.cpu()
        self.device_ = str(device)
        self.history_ = _history(records, data.codes)
        return self

    def _predict(self, X: Panel) -> NDArray[Any]:
        predicted: NDArray[Any] = self.classes_[self._predict_proba(X).argmax(axis=1)]
        return predicted

    def _predict_proba(self, X: Panel) -> NDArray[np.float64]:
        device = resolve_device(self.device)
        logits = predict_logits(self.network_, torch.from_numpy(self._scale(X)), device)
        probabilities: NDArray[np.float64] = softmax(logits.astype(np.float64), axis=1)
        return probabilities

    @classmethod
    def _get_test_params(cls, parameter_set: str = "default") -> dict[str, Any]:
        """Return settings that fit in a second, for aeon's checks."""
        return {"backbone": "fcn", "n_epochs": 2, "random_state": 0}

    # -- shared steps ------------------------------------------------------------------------

    def _fit_scale(self, X: Panel) -> tuple[Panel, Panel]:
        """Return mean and standard deviation of every channel over the set, each (1, C, 1).

        Scaling by channel, not by series, keeps the level and the size of a series, which carry
        the class in many sensor data sets; archives that want them gone ship normalised series.
        """
        mean = X.mean(axis=(0, 2), keepdims=True, dtype=np.float64)
        deviation = X.std(axis=(0, 2), keepdims=True, dtype=np.float64)
        largest = np.abs(X).max(axis=(0, 2), keepdims=True)
        constant = deviation <= np.maximum(CONSTANT * largest, np.finfo(np.float32).tiny)
        coarse = ~constant & (deviation < COARSE * np.spacing(largest))
        if coarse.any():
            warnings.warn(
                f"X must vary by much more than the {np.spacing(largest[coarse].max()):.0e} that "
                f"single precision tells apart at {largest[coarse].max():.0e}, got a deviation of "
                f"{deviation[coarse].min():.0e} in channel {int(coarse.ravel().argmax())}; take "
                "the channel's mean away first.",
                UserWarning,
                stacklevel=4,
            )
        deviation[constant] = 1.0
        return mean.astype(np.float32), deviation.astype(np.float32)

    def _scale(self, X: Panel) -> Panel:
        mean, deviation = self.scale_
        return (X - mean) / deviation

    def _build_network(self, data: TrainingSet, seed: int, **options: Any) -> None:
        """Build the network on the training device."""
        network = self._make_network(data.inputs[:2].cpu(), data.n_classes, seed=seed, **options)
        self.network_ = network.to(data.inputs.device)

    def _make_network(self, sample: torch.Tensor, n_classes: int, **options: Any) -> TwoHeadNetwork:
        """Build the network on the CPU; see :func:`tsguard.models.build_network`."""
        return build_network(self.backbone, sample, n_classes, **options)

    def _make_engine(self, objective: Objective, device: torch.device, seed: int) -> Engine:
        return Engine(
            objective=objective,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            device=device,
            seed=seed,
            progress=self.verbose,
            autocast=torch.bfloat16 if self.precision == "bfloat16" else None,
            checkpoint=self._checkpoint,
        )


def _history(records: Records, codes: NDArray[np.int64]) -> pd.DataFrame:
    """Return one row per epoch: means over the samples, against the given labels."""
    history = pd.DataFrame(records.epochs).drop(
        columns=["main_prediction", "main_confidence", "isolated", "denied"], errors="ignore"
    )
    history.insert(0, "epoch", np.arange(len(history)))
    predicted = np.stack(records.samples["main_prediction"])
    n_learned = (~np.isnan(predicted)).sum(axis=1)  # NaN: not in training yet
    history["accuracy"] = (predicted == codes).sum(axis=1) / np.maximum(n_learned, 1)
    if "isolated" in records.samples:
        history["n_isolated"] = [int(row.sum()) for row in records.samples["isolated"]]
    return history
