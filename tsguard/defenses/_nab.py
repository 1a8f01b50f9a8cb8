"""NAB: a harmless backdoor, planted on purpose, that outweighs the attacker's."""

from numbers import Real
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval
from torch import Tensor

from tsguard._base import TrainingSet
from tsguard._engine import Phase, Records, Targets
from tsguard._random import RandomState
from tsguard._validation import Panel
from tsguard.defenses._abl import held_up
from tsguard.defenses._contrast import pretrain
from tsguard.defenses._shared import Course, Defense, features_of, losses_of, lowest
from tsguard.models import Backbone


class NABClassifier(Defense):
    """Non-adversarial backdoor: suspects learn another class whenever they carry a stamp.

    Three steps. *Detection*: the samples of lowest loss after a short training by ABL's flooding
    are suspects. *Pseudo labels*: a suspect gets the class whose centre is nearest among features
    that were learned without labels. *Training*: suspects whose pseudo label differs from the
    given one carry a stamp and the pseudo label, so the network learns that the stamp overrules
    the trigger. Every series is stamped before prediction. It needs no clean samples.

    From the paper and its code [1]_: flooding at 0.5, nearest centres of self-supervised features
    (the code's other way, a network trained on clean samples, needs such samples), stamping only
    where the labels differ, stamping at prediction. Ours for series: the stamp, a constant at the
    end of all channels (the paper blanks the corner of an image); the rate of detection (poison
    that is left pulls the centre of a small class towards itself); all lengths of training. A
    stamp that happens to lie on the trigger erases it.

    Parameters
    ----------
    backbone : str or torch.nn.Module, default="inceptiontime"
        As in :class:`tsguard.E2ABLClassifier`.
    detection_rate : float, default=0.1
        Share of the samples that are suspects, 0 to 1, at least one sample. The paper has 0.05.
    gamma : float, default=0.5
        Where the flooding of the detection keeps the loss, nats.
    stamp_length : float, default=0.05
        Length of the stamp as a share of the series, 0 to 1; at least two steps.
    stamp_value : float, default=0.0
        Size of the stamp in standard deviations of the channel over the training set, above
        the channel's mean.
    detection_epochs : float, default=0.125
        Length of the detection's training in units of ``n_epochs``; at least one epoch.
    pretraining_epochs : float, default=1.0
        Length of the self-supervised training in units of ``n_epochs``; at least one epoch.
    n_epochs : int, default=40
        Epochs of the last training.
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
        Cross-entropy after the detection's training, negated, nats; higher = more suspicious.
    suspect_mask_ : ndarray of bool of shape (n_samples,)
        The suspects.
    recovered_labels_ : ndarray of shape (n_samples,)
        The given label where not suspect, the pseudo label where suspect.
    classes_, history_, network_, device_
        As in :class:`tsguard.defenses.StandardClassifier`.

    References
    ----------
    .. [1] Liu, Sangiovanni-Vincentelli, Yue, "Beating Backdoor Attack at Its Own Game",
       ICCV 2023.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **Defense._parameter_constraints,
        "detection_rate": [Interval(Real, 0, 1, closed="neither")],
        "gamma": [Interval(Real, 0, None, closed="left")],
        "stamp_length": [Interval(Real, 0, 1, closed="neither")],
        "stamp_value": [Interval(Real, None, None, closed="neither")],
        "detection_epochs": [Interval(Real, 0, None, closed="left")],
        "pretraining_epochs": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        backbone: Backbone = "inceptiontime",
        *,
        detection_rate: float = 0.1,
        gamma: float = 0.5,
        stamp_length: float = 0.05,
        stamp_value: float = 0.0,
        detection_epochs: float = 0.125,
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
        self.detection_rate = detection_rate
        self.gamma = gamma
        self.stamp_length = stamp_length
        self.stamp_value = stamp_value
        self.detection_epochs = detection_epochs
        self.pretraining_epochs = pretraining_epochs

    def _train(self, data: TrainingSet, panel: Panel, seed: int) -> Records:
        course = self._course(data, seed)
        self._build_network(data, seed)
        detection = Phase("detection", self._epochs(self.detection_epochs))
        course.run(self.network_, detection, held_up("flooding", self.gamma))
        losses = losses_of(self.network_, data)
        self.suspicion_ = -losses
        self.suspect_mask_ = lowest(losses, self.detection_rate)
        codes = np.where(self.suspect_mask_, self._nearest(course, data, seed), data.codes)
        self.recovered_labels_ = self.classes_[codes]

        self._build_network(data, seed)
        inputs = self._stamp(data.inputs, codes != data.codes)
        targets = Targets.from_labels(data.codes, data.inputs.device)
        targets.assign(main=codes)
        course.run(self.network_, Phase("training", self.n_epochs), inputs=inputs, targets=targets)
        return course.records

    def _nearest(self, course: Course, data: TrainingSet, seed: int) -> NDArray[np.int64]:
        """Return for every sample the class whose centre is nearest, learned without labels."""
        self._build_network(data, seed)
        n_epochs = self._epochs(self.pretraining_epochs)
        pretrain(self.network_.backbone, data.inputs, course.engine, n_epochs)
        features = features_of(self.network_.backbone, data.inputs)
        return nearest_centre(features, data.codes, ~self.suspect_mask_)

    def _stamp(self, inputs: Tensor, rows: NDArray[np.bool_]) -> Tensor:
        """Return scaled inputs with a stamp on some rows."""
        stamped = inputs.clone()
        stamped[torch.from_numpy(rows).to(inputs.device), :, -self._n_steps() :] = self.stamp_value
        return stamped

    def _n_steps(self) -> int:
        n_timepoints = int(self.n_timepoints_)
        return min(n_timepoints, max(2, round(self.stamp_length * n_timepoints)))

    def _predict_proba(self, X: Panel) -> NDArray[np.float64]:
        mean, deviation = self.scale_
        stamped = X.copy()
        stamped[:, :, -self._n_steps() :] = mean + self.stamp_value * deviation
        return super()._predict_proba(stamped)


def nearest_centre(
    features: NDArray[np.float64], codes: NDArray[np.int64], trusted: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Return the class (code) of the nearest centre for every sample, by Euclidean distance.

    Features are scaled to length 1. A centre is the mean of the trusted members of a class, or of
    all where none is trusted.
    """
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    unit = features / np.maximum(lengths, 1e-12)
    centres = np.empty((codes.max() + 1, features.shape[1]))
    for code in range(len(centres)):
        members = codes == code
        chosen = members & trusted
        centres[code] = unit[chosen if chosen.any() else members].mean(axis=0)
    # Squared distances (N, K), less what is the same for all classes.
    distances = (centres**2).sum(axis=1) - 2 * unit @ centres.T
    nearest: NDArray[np.int64] = distances.argmin(axis=1)
    return nearest
