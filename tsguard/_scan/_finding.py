"""What was found out about every series, from an audit alone or from a trained classifier."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tsguard._device import torch_threads_kept
from tsguard._random import numpy_stream
from tsguard._validation import Panel
from tsguard.suspicion import LABEL_KEPT, UNKNOWN, decide, find_evidence, series_views

if TYPE_CHECKING:
    from tsguard._e2abl import E2ABLClassifier

SURE = 0.5
"""Probability that the clean model must give a recovered class."""


@dataclass(frozen=True, eq=False)
class Finding:
    """One entry per series.

    Attributes
    ----------
    classes : ndarray of shape (n_classes,)
        Sorted labels; codes are places in it.
    codes : ndarray of int64 of shape (n_samples,)
        Given labels.
    suspicion : ndarray of float64 of shape (n_samples,)
        From 0 to 1, higher = more suspicious.
    suspect : ndarray of bool of shape (n_samples,)
    recovered : ndarray of int64 of shape (n_samples,)
        The given code where not suspect; where suspect the class that the series really looks
        like, or ``UNKNOWN`` where that can't be told, or the given label may be right.
    withheld : ndarray of bool of shape (n_samples,)
        Not suspect, yet left out of the training as a precaution.
    reasons : list of str
        Why a series is suspect or withheld; empty where it is neither.
    """

    classes: NDArray[Any]
    codes: NDArray[np.int64]
    suspicion: NDArray[np.float64]
    suspect: NDArray[np.bool_]
    recovered: NDArray[np.int64]
    withheld: NDArray[np.bool_]
    reasons: list[str]

    @property
    def targets(self) -> NDArray[Any]:
        """Labels that the suspects were given."""
        return np.asarray(self.classes[np.unique(self.codes[self.suspect])])

    @property
    def confidence(self) -> float:
        """Highest suspicion of a suspect; of anybody where there is none. From 0 to 1."""
        scores = self.suspicion[self.suspect] if self.suspect.any() else self.suspicion
        return float(scores.max(initial=0.0))

    @property
    def told(self) -> NDArray[np.bool_]:
        """Suspects whose true class is known."""
        told: NDArray[np.bool_] = self.suspect & (self.recovered != UNKNOWN)
        return told

    @property
    def label_kept(self) -> NDArray[np.bool_]:
        """Suspects whose label may be right: only the pattern speaks against them."""
        return np.array([reason == LABEL_KEPT for reason in self.reasons], bool)

    @property
    def labels(self) -> NDArray[Any]:
        """Labels after recovery; those of suspects of unknown class stay as given."""
        codes = np.where(self.recovered == UNKNOWN, self.codes, self.recovered)
        return np.asarray(self.classes[codes])

    def cleared(self, decided: NDArray[np.bool_], relabelled: NDArray[np.bool_]) -> "Finding":
        """Return the finding without the series that a reviewer has decided about.

        Nor are the others of a label accused if more than half of its suspects were relabelled to
        it: these still have the trigger, so in their true class they form a group of their own.
        Series that the reviewer kept say nothing of others with the same pattern.
        """
        n_suspects, n_relabelled = (
            np.bincount(self.codes[mask], minlength=len(self.classes))
            for mask in (self.suspect, self.suspect & relabelled)
        )
        settled = 2 * n_relabelled > n_suspects
        done = decided | (self.suspect & settled[self.codes])
        return replace(
            self,
            suspicion=np.where(done, 0.0, self.suspicion),
            suspect=self.suspect & ~done,
            recovered=np.where(done, self.codes, self.recovered),
            withheld=self.withheld & ~done,
            reasons=["" if one else why for one, why in zip(done, self.reasons, strict=True)],
        )


def audit(panel: Panel, labels: NDArray[Any], seed: int) -> Finding:
    """Look for poison without training anything.

    No main head is there to ask, so the class that a suspect really looks like is the one that
    neighbours and regression find on average.

    Parameters
    ----------
    panel : ndarray of shape (n_samples, n_channels, n_timepoints)
    labels : ndarray of shape (n_samples,)
    seed : int

    Returns
    -------
    Finding
    """
    classes, codes = np.unique(labels, return_inverse=True)
    codes = codes.astype(np.int64)
    rng = numpy_stream(seed, "evidence")  # as in E2ABLClassifier
    with torch_threads_kept():  # for whoever trains in this process afterwards
        evidence = find_evidence(series_views(panel, rng), codes, len(classes), rng)
    # As a third witness, the mean is the middle one.
    verdict = decide(evidence, codes, evidence.classes.mean(axis=0))
    return Finding(
        classes,
        codes,
        verdict.suspicion,
        verdict.suspect,
        np.where(verdict.suspect & verdict.withheld, UNKNOWN, verdict.recovered),
        verdict.withheld & ~verdict.suspect,
        list(verdict.reasons),
    )


def finding_of(classifier: "E2ABLClassifier") -> Finding:
    """Return what a fitted classifier has found out about its training set.

    A recovered class counts as told where the evidence settled it (nothing was denied) and the main
    head, which never learned the given label of a suspect, answers it with a probability above
    ``SURE``.

    Parameters
    ----------
    classifier : E2ABLClassifier

    Returns
    -------
    Finding
    """
    report, classes = classifier.sample_report_, classifier.classes_
    codes = np.searchsorted(classes, report["given_label"].to_numpy()).astype(np.int64)
    recovered = np.searchsorted(classes, classifier.recovered_labels_).astype(np.int64)
    suspect = classifier.suspect_mask_
    answer = classifier.records_["main_prediction"][-1].astype(np.int64)
    sure = classifier.records_["main_confidence"][-1] > SURE
    settled = classifier.records_["denied"][-1] == 0
    told = settled & (recovered != codes) & (answer == recovered) & sure
    reasons = [str(why) for why in report["why"]]
    return Finding(
        classes,
        codes,
        classifier.suspicion_,
        suspect,
        np.where(suspect & ~told, UNKNOWN, recovered),
        ~suspect & np.array([bool(why) for why in reasons]),
        reasons,
    )
