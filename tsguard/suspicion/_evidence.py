"""From the training set alone to candidate backdoors, and from candidates to a verdict."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit

from tsguard.suspicion._candidates import (
    Candidate,
    accused_members,
    doubtful_members,
    is_doubtful,
)
from tsguard.suspicion._carriers import accuse_denied, carriers
from tsguard.suspicion._copies import distinct_samples
from tsguard.suspicion._grow import WEAK_SIGNATURE
from tsguard.suspicion._loss_drop import top_share
from tsguard.suspicion._search import find_candidates
from tsguard.suspicion._signature import Signature
from tsguard.suspicion._true_classes import true_classes
from tsguard.suspicion._verdict import UNKNOWN, Verdict
from tsguard.suspicion._views import Views
from tsguard.suspicion._votes import (
    Codes,
    Floats,
    Mask,
    collect_votes,
    other_classes,
    trusted_votes,
)

# Below these nothing is ever suspected: poison can't be told from chance, and in samples of a few
# values every view sees the same, so that half a class looks like a group of its own.
MIN_SAMPLES, MIN_VALUES = 20, 10
# Share of the votes that a recovered class needs. On the tuning sets the class was right for 93 %
# of the suspects above it and for 38 % of the others, which are better not taught a class.
SETTLED = 0.7
AGREED = 0.3  # ... and share that two of the three witnesses must give it
JURY = 20  # members count as one witness: they resemble each other, and the head errs on all alike
CONFIRMED = 0.5  # share of the main head's beliefs that lets a withheld sample back in
ACCUSED = "looks like another class and shares a pattern with other suspects"
LABEL_KEPT = "shares a plain pattern with other suspects that no other has; the label may be right"
WITHHELD = "left out as a precaution: may be of a suspicious group, and nothing confirms its label"


@dataclass(frozen=True)
class Evidence:
    """What the training set says about itself.

    Attributes
    ----------
    candidates : list of Candidate
        Groups that may be poisoned, most likely first.
    classes : ndarray of shape (2, n_samples, n_classes)
        Which classes samples may have, the given one left out: by their trusted neighbours (of all
        doubted samples) and by regression (of members of accused and doubtful candidates); else
        rows of 0.
    """

    candidates: list[Candidate]
    classes: Floats


def find_evidence(views: Views, codes: Codes, n_classes: int, rng: np.random.Generator) -> Evidence:
    """Look for groups of samples that may be poisoned, without training anything.

    A poisoned sample contradicts itself: its content belongs to one class, its label says another,
    and it shares a signature with the other poisoned samples that nobody else has. Copies of a
    sample are looked at once, and share its fate.

    Parameters
    ----------
    views : Views
        Label-free embeddings of the training set, at least three.
    codes : ndarray of shape (n_samples,)
        Given class codes, 0 to n_classes - 1.
    n_classes : int
    rng : numpy.random.Generator

    Returns
    -------
    Evidence
        Without candidates if there are fewer than ``MIN_SAMPLES`` distinct samples, ``MIN_VALUES``
        values in a sample, or two classes.
    """
    nothing = Evidence([], np.zeros((2, len(codes), n_classes)))
    if len(codes) < MIN_SAMPLES or views.n_values < MIN_VALUES or len(np.unique(codes)) < 2:
        return nothing
    kept, place = distinct_samples(views.content[0], codes)
    if len(kept) < MIN_SAMPLES:
        return nothing
    if len(kept) < len(codes):
        views, codes = views.of(kept), codes[kept]
    votes = collect_votes(views.content, codes, n_classes, views.n_values, rng)
    signature = Signature(views.signature, rng)
    candidates = find_candidates(signature, votes, codes, rng)
    doubted = accused_members(candidates, len(codes)) | doubtful_members(candidates, len(codes))
    doubted |= carriers(candidates, codes)
    trusted = trusted_votes(views.content, votes.weights, codes, doubted, n_classes, rng)
    candidates = accuse_denied(candidates, codes, votes.margin, trusted)
    groups = [one.members for one in candidates if one.log_odds > 0 or is_doubtful(one, candidates)]
    doubted = np.logical_or.reduce([doubted, *groups])
    classes = true_classes(signature, groups, trusted, codes, doubted)
    return Evidence([one.of(place) for one in candidates], classes[:, place])


def decide(
    evidence: Evidence,
    codes: Codes,
    beliefs: Floats | None = None,
    *,
    isolation_rate: float | None = None,
    recovery_rate: float = 1.0,
) -> Verdict:
    """Turn evidence into suspects and say which class they really have.

    Members of candidates that are likelier poisoned than not are suspect. Those of somewhat less
    likely ones are not accused, but nor are they learned on trust: they are withheld until the
    main head, which has not learned them, comes to their label by itself. If it denies them their
    label while it gives it to the rest of the class, the group may become accused after all.
    Suspects against whom nothing speaks but their pattern keep their label and stay out. The class
    of the others is told by three witnesses, their neighbours, a regression and the main head: of
    their shares of each class the middle one counts, so two must agree.

    Parameters
    ----------
    evidence : Evidence
    codes : ndarray of shape (n_samples,)
        Given class codes.
    beliefs : ndarray of shape (n_samples, n_classes), optional
        Share of the recent epochs in which the main head, which has not learned the suspects, gave
        the sample each class. Without it no class is recovered yet.
    isolation_rate : float, optional
        Share of the samples to isolate, most suspicious first (fewer if fewer are suspicious at
        all), and none to withhold; by default the members of the accused candidates.
    recovery_rate : float, default=1.0
        Share of the suspects, most suspicious first, that get a recovered class.

    Returns
    -------
    Verdict
    """
    candidates = evidence.candidates
    if beliefs is not None and isolation_rate is None:  # else nobody was kept from the main head
        candidates = [
            weigh_denials(one, codes, beliefs) if is_doubtful(one, candidates) else one
            for one in candidates
        ]
    suspicion = _suspicion(candidates, codes)
    if isolation_rate is None:
        suspect = accused_members(candidates, len(codes))
        withheld = doubtful_members(candidates, len(codes))
        accused = (c.targets for c in candidates if c.log_odds > 0)
        targets = tuple(dict.fromkeys(code for codes_of in accused for code in codes_of))
    else:
        suspect = top_share(suspicion, isolation_rate) & (suspicion > 0)
        withheld = np.zeros(len(codes), bool)
        targets = tuple(int(code) for code in np.unique(codes[suspect]))
    recovered = np.where(suspect, UNKNOWN, codes)
    if beliefs is not None:
        withheld &= beliefs[np.arange(len(codes)), codes] < CONFIRMED
        classes, is_settled = _told_classes(evidence, codes, beliefs)
        first = top_share(np.where(suspect, suspicion, -1), suspect.mean() * recovery_rate)
        settled = suspect & first & is_settled
        recovered[settled] = classes[settled]
    alone = [one for one in candidates if one.by_pattern_alone]
    label_kept = suspect & accused_members(alone, len(codes))
    recovered[label_kept] = codes[label_kept]
    withheld |= label_kept
    why = [LABEL_KEPT, ACCUSED, WITHHELD]
    reasons = tuple(np.select([label_kept, suspect, withheld], why, "").tolist())
    return Verdict(suspicion, suspect, recovered, withheld, targets, reasons)


def weigh_denials(candidate: Candidate, codes: Codes, beliefs: Floats) -> Candidate:
    """Raise the log-odds of a doubtful candidate by what the main head says of its members.

    The head has not learned them. It is taken to deny a poisoned sample its label as often as it
    does samples of other classes, and a clean one as often as the rest of the class. A natural
    subgroup is denied more often than that, so ``JURY`` members weigh as much as one independent
    witness, and what they say only ever accuses: on the tuning sets it acquitted nobody rightly.

    Parameters
    ----------
    candidate : Candidate
        A doubtful one, of one class.
    codes : ndarray of shape (n_samples,)
        Given class codes.
    beliefs : ndarray of shape (n_samples, n_classes)
        As in :func:`decide`.

    Returns
    -------
    Candidate
    """
    target, members = candidate.targets[0], candidate.members
    denied = beliefs[:, target] < CONFIRMED
    rest = (codes == target) & ~members & ~candidate.nearby
    if not rest.any() or not beliefs.any():  # nothing to compare with, or a head that never spoke
        return candidate
    in_rest = np.clip(denied[rest].mean(), 0.05, 0.95)
    elsewhere = np.clip(denied[codes != target].mean(), 0.05, 0.95)
    n_denied, n_granted = denied[members].sum(), (~denied[members]).sum()
    evidence = n_denied * np.log(elsewhere / in_rest)
    evidence += n_granted * np.log((1 - elsewhere) / (1 - in_rest))
    return replace(candidate, log_odds=candidate.log_odds + max(0.0, float(evidence) / JURY))


def _told_classes(evidence: Evidence, codes: Codes, beliefs: Floats) -> tuple[Codes, Mask]:
    """Return the likeliest class of every sample but the given one, and whether it is settled.

    Of the three witnesses' shares of each class the middle one counts. They are made to sum to 1
    again, which is no reason to believe a class that two hardly think of.
    """
    believed = other_classes(beliefs, codes)
    middle = np.median([*evidence.classes, believed], axis=0)
    # Whom the evidence knows nothing of (isolated at a fixed rate) the main head alone judges.
    known = evidence.classes.sum(axis=(0, 2), keepdims=True)[0] > 0
    middle = np.where(known, middle, believed)
    shares = other_classes(middle, codes)
    settled: Mask = (shares.max(axis=1) > SETTLED) & (middle.max(axis=1) > AGREED)
    return shares.argmax(axis=1), settled


def _suspicion(candidates: list[Candidate], codes: Codes) -> Floats:
    """Return the probability of the sample's candidate, graded by how well the sample fits it.

    Members have at least half of their candidate's probability, the others of its class less.
    """
    suspicion = np.zeros(len(codes))
    for candidate in candidates:
        concerned = candidate.members | np.isin(codes, candidate.targets)
        fit = (candidate.members + expit(candidate.signature - WEAK_SIGNATURE)) / 2
        graded = np.where(concerned, expit(candidate.log_odds) * fit, 0)
        suspicion = np.maximum(suspicion, graded)
    return suspicion
