"""No defense at all: the baseline that every defense is compared with."""

from tsguard._base import NeuralClassifier, TrainingSet
from tsguard._engine import Phase, Records, Targets
from tsguard._objectives import single_head
from tsguard._validation import Panel


class StandardClassifier(NeuralClassifier):
    """Standard training: the same backbone, engine and settings as E2ABL, no defense.

    Trained on poisoned labels it is the undefended baseline; trained on the true labels of the
    same series it is the oracle, the ceiling for every defense.

    Parameters
    ----------
    backbone : str or torch.nn.Module, default="inceptiontime"
        As in :class:`tsguard.E2ABLClassifier`, and so are all parameters below.
    n_epochs : int, default=40
        Epochs of training.
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
    classes_ : ndarray of shape (n_classes,)
        The labels seen in ``fit``.
    history_ : pandas.DataFrame
        One row per epoch: phase, loss (nats), accuracy on the given labels.
    network_ : torch.nn.Module
        The trained network, on the CPU.
    device_ : str
        Where it was trained.

    Examples
    --------
    >>> from tsguard import load_dataset
    >>> from tsguard.defenses import StandardClassifier
    >>> data = load_dataset("ItalyPowerDemand")
    >>> clf = StandardClassifier(backbone="fcn", n_epochs=5, random_state=0)
    >>> clf.fit(data.X_train, data.y_train).predict_proba(data.X_test[:3]).shape
    (3, 2)
    """

    def _train(self, data: TrainingSet, panel: Panel, seed: int) -> Records:
        self._build_network(data, seed)
        targets = Targets.from_labels(data.codes, data.inputs.device)
        engine = self._make_engine(single_head, data.inputs.device, seed)
        phases = [Phase("training", self.n_epochs)]
        return engine.run(self.network_, data.inputs, targets, phases)
