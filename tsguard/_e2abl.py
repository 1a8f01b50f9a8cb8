"""E2ABL: train a clean classifier on data that may hide a backdoor."""

from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils._param_validation import Interval, StrOptions

from tsguard._base import NeuralClassifier, TrainingSet
from tsguard._device import resolve_device, torch_threads_kept
from tsguard._engine import Records, Targets, predict_logits
from tsguard._isolation import EvidenceIsolation, Isolation, LossDropIsolation
from tsguard._objectives import two_heads
from tsguard._random import RandomState, numpy_stream
from tsguard._validation import Panel
from tsguard.models import Backbone
from tsguard.suspicion import (
    UNKNOWN,
    Verdict,
    Views,
    draw_for_filter,
    find_evidence,
    fit_trigger_filter,
    plain_blocks,
    series_views,
    trigger_probability,
)

CHUNK = 1024  # series whose trigger score is computed at a time


class E2ABLClassifier(NeuralClassifier):
    """Time-series classifier that isolates and relabels poisoned samples while it learns.

    A backdoored training set holds a few samples that carry a small pattern (the *trigger*) and
    a label of the attacker's choice. A network trained on it answers that label whenever the
    trigger is present. This classifier needs no clean data and no knowledge of the attack. A
    second head on a shallow stage (the *trap*) learns the given labels, triggers included;
    suspects are isolated, given the class they really look like, and the main head, which alone
    predicts, learns from these *recovered* labels. Of a suspect whose class
    can't be told it only learns that the given label is wrong.

    Parameters
    ----------
    backbone : str or torch.nn.Module, default="inceptiontime"
        ``"inceptiontime"``, ``"fcn"``, ``"resnet1d"``, ``"tsai:<Name>"`` for another model of
        tsai, or a module of your own that maps ``(n_samples, n_channels, n_timepoints)`` to
        logits ``(n_samples, n_classes)``.
    attach_at : str or int, default="auto"
        Stage of the backbone that the trap head reads: an index (0 is the shallowest), the name
        of a sub-module, or ``"auto"`` for the first stage.
    suspicion : {"auto", "loss_drop"}, default="auto"
        Where suspicion comes from. ``"loss_drop"``: samples whose loss falls unusually fast, as
        the summary of the paper has it. ``"auto"``: series that look like another class than
        their label says and share a pattern that all other series lack, or share one that sets them
        plainly apart from their class.
    isolation_rate : "auto" or float, default="auto"
        Share of samples to isolate, 0 to 1 (fewer if fewer are suspicious at all); ``"auto"``
        estimates it, and isolates none where nothing points to an attack.
    recovery_rate : float, default=1.0
        Share of the isolated samples, most suspicious first, that get a recovered class, 0 to 1;
        of the others it only learns that their given label is wrong (with ``"loss_drop"`` it
        learns nothing of them).
    stem_gradient : float, default=0.0
        Share of the trap head's gradient that reaches the layers it shares with the main head,
        0 to 1. At 0 the trap listens without a say: the main head is exactly as good on clean
        data as if it were alone. At 1 it costs up to 8 points of accuracy on small sets.
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
    suspicion_ : ndarray of shape (n_samples,)
        How suspicious each training sample is, 0 to 1, higher = more.
    suspect_mask_ : ndarray of bool of shape (n_samples,)
        The suspects among the training samples.
    recovered_labels_ : ndarray of shape (n_samples,)
        The given label where not suspect, another one where suspect: the recovered one or, where
        none was settled, the main head's guess, which was not learned (the given one, which is not
        learned either, where only the pattern is suspicious).
    suspected_target_ : label, ndarray of labels, or None
        The class (or classes) that the suspects were labelled with; None if nothing is suspected.
    sample_report_ : pandas.DataFrame
        One row per training sample: index, given label, suspicion, suspect, recovered label, why.
    history_ : pandas.DataFrame
        One row per epoch: phase, losses of both heads, number of isolated samples (suspect or
        withheld), accuracy (share of the given labels that the main head answered when it last
        saw the sample).
    records_ : dict of str to ndarray of shape (n_epochs, n_samples)
        What training saw of every sample: ``main_loss``, ``trap_loss`` (nats, against the given
        label), ``main_prediction`` (class code), ``main_confidence`` (0 to 1), ``isolated`` (1:
        suspect, or withheld as a precaution) and ``denied`` (1: a suspect of unknown class, of
        which the main head learned that its label is wrong).
    trigger_filter_ : ndarray of shape (n_features + 1,) or None
        What ``trigger_score`` weighs; None if nothing is suspected.
    network_ : torch.nn.Module
        The trained network, on the CPU.
    device_ : str
        Where it was trained.

    References
    ----------
    .. [1] Jiang, Ma, Erfani, Li, Bailey, "End-to-End Anti-Backdoor Learning on Images and Time
       Series", arXiv:2401.03215. Only the paper's summary was at hand: every setting here is
       ours, chosen by measurement (see ``docs/decisions.md``).

    Examples
    --------
    >>> from tsguard import E2ABLClassifier, load_dataset
    >>> data = load_dataset("ItalyPowerDemand")
    >>> clf = E2ABLClassifier(backbone="fcn", n_epochs=5, random_state=0)
    >>> clf.fit(data.X_train, data.y_train).predict(data.X_test[:3]).shape
    (3,)
    >>> bool(clf.suspect_mask_.any())
    False
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **NeuralClassifier._parameter_constraints,
        "attach_at": [str, Interval(Integral, 0, None, closed="left")],
        "suspicion": [StrOptions({"auto", "loss_drop"})],
        "isolation_rate": [StrOptions({"auto"}), Interval(Real, 0, 1, closed="both")],
        "recovery_rate": [Interval(Real, 0, 1, closed="both")],
        "stem_gradient": [Interval(Real, 0, 1, closed="both")],
    }

    def __init__(
        self,
        backbone: Backbone = "inceptiontime",
        *,
        attach_at: str | int = "auto",
        suspicion: str = "auto",
        isolation_rate: float | str = "auto",
        recovery_rate: float = 1.0,
        stem_gradient: float = 0.0,
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
        self.attach_at = attach_at
        self.suspicion = suspicion
        self.isolation_rate = isolation_rate
        self.recovery_rate = recovery_rate
        self.stem_gradient = stem_gradient

    def trigger_score(self, X: ArrayLike) -> NDArray[np.float64]:
        """Say how strongly each series carries the trigger that the suspects have in common.

        A matched filter, learned from the suspects of ``fit`` against all other training series:
        ridge regression on the series, its steps, its spectrum and what the trap head sees of it.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_channels, n_timepoints)
            As for ``predict``.

        Returns
        -------
        ndarray of shape (n_samples,)
            From 0 to 1, higher = more likely triggered; 0 throughout if ``fit`` suspected nothing,
            or too few series to learn from. It means little for samples unlike all training
            samples (constant series, say).

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If ``fit`` has not been called.
        ValueError
            If series have another number of channels or timepoints than at ``fit``, or missing
            values.
        """
        self._check_is_fitted()
        panel = self._preprocess_collection(X, store_metadata=False)
        self._check_shape(panel)
        if self.trigger_filter_ is None:
            return np.zeros(len(panel))
        device = resolve_device(self.device)
        parts = np.split(self._scale(panel), range(CHUNK, len(panel), CHUNK))
        scores = [
            trigger_probability(self._filter_blocks(part, device), self.trigger_filter_)
            for part in parts
        ]
        return np.concatenate(scores)

    def _filter_blocks(self, scaled: Panel, device: torch.device) -> list[NDArray[np.float32]]:
        """Return what the trigger filter reads of scaled series."""
        network, inputs = self.network_, torch.from_numpy(scaled)
        seen = predict_logits(network, inputs, device, forward=network.seen_by_trap)
        return [*self._plain_blocks(scaled), seen]

    def _plain_blocks(self, scaled: Panel) -> list[NDArray[np.float32]]:
        """Return features of scaled samples in which a trigger is a direction."""
        return plain_blocks(scaled)

    def _views(self, panel: Panel, rng: np.random.Generator) -> Views:
        """Embed the training set without its labels."""
        return series_views(panel, rng)

    def _train(self, data: TrainingSet, panel: Panel, seed: int) -> Records:
        self._build_network(data, seed, attach_at=self.attach_at, stem_gradient=self.stem_gradient)
        targets = Targets.from_labels(data.codes, data.inputs.device)
        isolate = self._isolation(data, panel, seed)
        engine = self._make_engine(two_heads, data.inputs.device, seed)
        records = engine.run(self.network_, data.inputs, targets, isolate.phases(self.n_epochs))
        self._keep_verdict(isolate.verdict, data.codes, records)
        self.trigger_filter_ = None
        if self.suspect_mask_.any():
            rows = draw_for_filter(self.suspect_mask_, numpy_stream(seed, "trigger filter"))
            some = data.inputs[torch.from_numpy(rows)].cpu().numpy()
            blocks = self._filter_blocks(some, data.inputs.device)
            self.trigger_filter_ = fit_trigger_filter(blocks, self.suspect_mask_[rows])
        return records

    def _isolation(self, data: TrainingSet, panel: Panel, seed: int) -> Isolation:
        """Choose who decides, between epochs, which samples are suspect."""
        rates = {
            "isolation_rate": None if self.isolation_rate == "auto" else float(self.isolation_rate),
            "recovery_rate": self.recovery_rate,
        }
        if self.suspicion == "loss_drop":
            return LossDropIsolation(data.codes, rates)
        rng = numpy_stream(seed, "evidence")
        with torch_threads_kept():
            evidence = find_evidence(self._views(panel, rng), data.codes, data.n_classes, rng)
        return EvidenceIsolation(data.codes, data.n_classes, evidence, rates)

    def _keep_verdict(self, verdict: Verdict, codes: NDArray[np.int64], records: Records) -> None:
        """Turn the last verdict into the public attributes, codes into labels."""
        unknown = np.flatnonzero(verdict.recovered == UNKNOWN)
        recovered = verdict.recovered.copy()
        predicted = np.stack(records.samples["main_prediction"])[:, unknown].astype(np.int64)
        recovered[unknown] = _believed_classes(predicted, codes[unknown], np.bincount(codes))
        self.suspicion_ = verdict.suspicion
        self.suspect_mask_ = verdict.suspect
        self.recovered_labels_ = self.classes_[recovered]
        targets = self.classes_[list(verdict.targets)]
        self.suspected_target_: Any = targets
        if len(targets) < 2:
            self.suspected_target_ = targets[0] if len(targets) else None
        self.records_ = {name: np.stack(rows) for name, rows in records.samples.items()}
        self.sample_report_ = pd.DataFrame(
            {
                "index": np.arange(len(codes)),
                "given_label": self.classes_[codes],
                "suspicion": self.suspicion_,
                "suspect": self.suspect_mask_,
                "recovered_label": self.recovered_labels_,
                "why": verdict.reasons,
            }
        )


def _believed_classes(
    predicted: NDArray[np.int64], codes: NDArray[np.int64], sizes: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return what the main head takes suspects for, whose given label is known to be wrong.

    Its last answer, unless that is the given label: then its commonest other one in all epochs,
    and of an equal number, or if there was none, the larger class. ``predicted`` has a row for
    each epoch; ``sizes`` are those of the classes.
    """
    believed: NDArray[np.int64] = predicted[-1].copy()
    for place in np.flatnonzero(believed == codes):
        counts = np.bincount(predicted[:, place], minlength=len(sizes)) + sizes / (sizes.sum() + 1)
        counts[codes[place]] = -1
        believed[place] = counts.argmax()
    return believed
