"""Activation clustering: a class that falls into two clusters holds two kinds of samples."""

from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_samples
from sklearn.utils._param_validation import Interval

from tsguard._base import TrainingSet
from tsguard._random import RandomState
from tsguard.defenses._filter import FilterDefense
from tsguard.defenses._shared import Course, features_of
from tsguard.models import Backbone


class ActivationClusteringClassifier(FilterDefense):
    """Drop the smaller of two clusters of a class, if it is small and well apart.

    After standard training, the features of every class are cut into two clusters. Clean classes
    give two parts of about equal size; poison gives a small one that is well apart, which is
    dropped before a new network is trained on the rest. It needs no clean samples.

    From the paper [1]_: features of the last layer, about 10 dimensions, two means, relative size
    and silhouette as signs of poison. Ours for series: principal components (as in the Adversarial
    Robustness Toolbox of the same group; the paper's independent components have unit variance
    each, which blows up the noise of small classes), at most one for five members; classes of
    fewer than 6 are left alone.

    Parameters
    ----------
    backbone : str or torch.nn.Module, default="inceptiontime"
        As in :class:`tsguard.E2ABLClassifier`.
    n_components : int, default=10
        Most dimensions that the features are reduced to.
    max_share : float, default=0.35
        The smaller cluster is poison only up to this share of its class, 0 to 0.5.
    min_silhouette : float, default=0.1
        The clusters are apart only from this mean silhouette on, -1 to 1.
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
        Silhouette of the members of their class's smaller cluster, negated for the other
        members, -1 to 1; higher = more suspicious.
    suspect_mask_ : ndarray of bool of shape (n_samples,)
        The dropped samples.
    classes_, history_, network_, device_
        As in :class:`tsguard.defenses.StandardClassifier`.

    References
    ----------
    .. [1] Chen, Carvalho, Baracaldo, Ludwig, Edwards, Lee, Molloy, Srivastava, "Detecting Backdoor
       Attacks on Deep Neural Networks by Activation Clustering", 2018, arXiv:1811.03728.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **FilterDefense._parameter_constraints,
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "max_share": [Interval(Real, 0, 0.5, closed="both")],
        "min_silhouette": [Interval(Real, -1, 1, closed="both")],
    }

    smallest_class = 6

    def __init__(
        self,
        backbone: Backbone = "inceptiontime",
        *,
        n_components: int = 10,
        max_share: float = 0.35,
        min_silhouette: float = 0.1,
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
        self.n_components = n_components
        self.max_share = max_share
        self.min_silhouette = min_silhouette

    def _inspect(
        self, course: Course, data: TrainingSet, seed: int
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        self._train_on_everything(course, data, seed)
        features = features_of(self.network_.backbone, data.inputs)
        suspicion = np.full(len(data.codes), -1.0)
        suspect = np.zeros(len(data.codes), dtype=bool)
        for code in np.unique(data.codes):
            members = np.flatnonzero(data.codes == code)
            if len(members) < self.smallest_class:
                continue
            smaller, silhouette = two_clusters(features[members], self.n_components, seed)
            suspicion[members] = np.where(smaller, silhouette, -silhouette)
            is_apart = silhouette.mean() >= self.min_silhouette
            if is_apart and 0 < smaller.mean() <= self.max_share:
                suspect[members[smaller]] = True
        return suspicion, suspect


def two_clusters(
    features: NDArray[np.float64], n_components: int, seed: int
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Return the mask of the smaller of two clusters and all silhouettes, each ``(n,)``."""
    n_samples, n_features = features.shape
    n_components = max(1, min(n_components, n_samples // 5, n_features))
    if np.ptp(features, axis=0).max() < 1e-9:
        return np.zeros(n_samples, dtype=bool), np.zeros(n_samples)
    reduced = PCA(n_components, svd_solver="full").fit_transform(features)
    second = KMeans(2, n_init=10, random_state=seed).fit_predict(reduced) == 1
    smaller = second if second.sum() <= n_samples / 2 else ~second
    return smaller, silhouette_samples(reduced, smaller)
