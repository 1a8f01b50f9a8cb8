"""Candidate backdoors: the most suspicious group of each class, and how suspicious it is."""

from dataclasses import dataclass

import numpy as np

from tsguard.suspicion._signature import (
    MIN_MEMBERS,
    Signature,
    find_groups,
    member_quantile,
)
from tsguard.suspicion._votes import Codes, Floats, Mask, Votes

MIN_OUTSIDE = 8  # samples needed outside a class to say what is unusual in it
# Larger groups of the set, or of their class, are the class itself.
MAX_SHARE, MAX_CLASS_SHARE = 0.25, 0.95
WEAK_SIGNATURE = 3.5  # deviations that are enough for a sample of a class that has a candidate
HINT = 1.5  # deviations that make a sample of an accused class doubtful
FEW = 0.3  # content alone adds at most this share to a group, else it is ordinary confusion
MIN_LABELS = 1.5  # effective number of labels of a scattered group
SCATTERED_INTERCEPT = 1.1
SMALL_SET = 60  # samples; in smaller sets chance makes groups too

# Log-odds of "backdoor", by logistic regression on clean and poisoned versions of 20 data sets
# (docs/results/decision_fit.md), judged on sets left out.
INTERCEPT = 4.0
PRECAUTION = -1.0  # log-odds from which the members of a candidate are not learned on trust
MAX_DOUBTED_SHARE = 0.7  # ... unless they are more than this share of their class
SHARED_PATTERN = 2.0  # median deviations by which a group has the pattern of an accused one
WEIGHTS = {
    "strength": 0.9,  # log of the first quartile of the members' signature, in deviations
    "apart": 1.15,  # how far the weakest member is above the rest of the class, in that quartile
    "rival": -3.5,  # how close samples outside the class come to it, in that quartile
    "gap": 2.7,  # how much more often the third best view contradicts members than others
    "depth": 10.5,  # median margin by which the neighbours' other class wins, as far as they count
    "sources": 1.7,  # log of the effective number of classes the members look like
    "share": 2.9,  # log of the group's share of the set
    "class_share": -1.4,  # log of its share of the class
    "surplus": 1.7,  # how much better the class's size fits the other classes' without the group
    "small_set": -3.2,  # whether the set is small
}
USUAL_SPREAD = 0.1  # of the log sizes of classes, counted like two more classes
OWN_SIZE = 0.05  # chance that a class's size says nothing, relative to the likeliest size


@dataclass(frozen=True)
class Candidate:
    """A group of samples that may carry a trigger.

    Attributes
    ----------
    targets : tuple of int
        Codes of the labels that its members were given: one, or several (an attack that maps every
        class to another one).
    log_odds : float
        For a backdoor; above 0 = more likely than not.
    members : ndarray of bool of shape (n_samples,)
    nearby : ndarray of bool of shape (n_samples,)
        Others of these labels that may belong to them: a hint of the signature, or a label that the
        content contradicts.
    signature : ndarray of shape (n_samples,)
        How much each sample has of what the members share, in deviations; higher = more.
    statistics : dict of str to float
        What the log-odds were weighed from; see ``WEIGHTS``.
    """

    targets: tuple[int, ...]
    log_odds: float
    members: Mask
    nearby: Mask
    signature: Floats
    statistics: dict[str, float]


def find_candidates(
    signature: Signature, votes: Votes, codes: Codes, rng: np.random.Generator
) -> list[Candidate]:
    """Return the best candidate of every class that has one, and of all classes together.

    Parameters
    ----------
    signature : Signature
    votes : Votes
    codes : ndarray of shape (n_samples,)
        Given class codes.
    rng : numpy.random.Generator

    Returns
    -------
    list of Candidate
        Most likely first.
    """
    found = [_of_class(signature, votes, codes, code, rng) for code in np.unique(codes)]
    candidates = [candidate for candidate in found if candidate is not None]
    explained = accused_members(candidates, len(codes))
    scattered = _scattered(signature, votes, codes, explained, rng)
    if scattered is not None:
        candidates.append(scattered)
    return sorted(candidates, key=lambda candidate: -candidate.log_odds)


def accused_members(candidates: list[Candidate], n_samples: int) -> Mask:
    """Return the members of all candidates that are more likely poisoned than not, (n_samples,)."""
    return _members([one for one in candidates if one.log_odds > 0], n_samples)


def doubtful_members(candidates: list[Candidate], n_samples: int) -> Mask:
    """Return the samples that are not accused, yet too likely poisoned for trust.

    They are near an accused group, or members of a group that is almost accused. Once there is an
    accused group, others are doubted only if they share its pattern. Groups under many labels never
    are (ordinary confusion looks like an unlikely one of them), nor are those that are most of
    their class: without them the class could not be learned.
    """
    doubtful = _members([one for one in candidates if is_doubtful(one, candidates)], n_samples)
    accused = [one for one in candidates if one.log_odds > 0]
    for one in accused:
        doubtful |= one.nearby
    return doubtful & ~_members(accused, n_samples)


def is_doubtful(one: Candidate, candidates: list[Candidate]) -> bool:
    """Return whether a candidate's members are doubted; see :func:`doubtful_members`."""
    share = np.exp(one.statistics.get("class_share", 0.0))  # of many labels: no class_share
    if not PRECAUTION < one.log_odds <= 0 or share > MAX_DOUBTED_SHARE:
        return False
    accused = [other for other in candidates if other.log_odds > 0]
    patterns = [np.median(other.signature[one.members]) for other in accused]
    return not patterns or bool(max(patterns) > SHARED_PATTERN)


def _members(candidates: list[Candidate], n_samples: int) -> Mask:
    union: Mask = np.zeros(n_samples, bool)
    for candidate in candidates:
        union |= candidate.members
    return union


def _of_class(
    signature: Signature, votes: Votes, codes: Codes, code: int, rng: np.random.Generator
) -> Candidate | None:
    """Return the most suspicious group of one class."""
    in_class = codes == code
    if (~in_class).sum() < MIN_OUTSIDE:
        return None
    groups = find_groups(signature, votes, in_class, rng)
    largest = min(MAX_SHARE * len(codes), MAX_CLASS_SHARE * in_class.sum(), (~in_class).sum())
    groups = groups[:, groups.sum(axis=0) <= largest]
    if groups.shape[1] == 0:
        return None
    scores = signature.z_scores(groups, in_class)
    other_sizes = np.unique(codes[~in_class], return_counts=True)[1]
    statistics = [
        _statistics(group, score, in_class, votes, other_sizes)
        for group, score in zip(groups.T, scores.T, strict=True)
    ]
    weighed = [log_odds(one) for one in statistics]
    best = int(np.argmax(weighed))
    members = _add_stragglers(groups[:, best], scores[:, best], in_class, votes.margin)
    contradicted = votes.margin > max(np.quantile(votes.margin[~in_class], 0.9), 0)
    nearby = in_class & ~members & ((scores[:, best] > HINT) | contradicted)
    return Candidate(
        (int(code),), weighed[best], members, nearby, scores[:, best], statistics[best]
    )


def log_odds(statistics: dict[str, float]) -> float:
    """Return the log-odds of a backdoor, given the statistics of a group; see ``WEIGHTS``."""
    return INTERCEPT + sum(WEIGHTS[name] * statistics[name] for name in WEIGHTS)


def _statistics(
    group: Mask, scores: Floats, in_class: Mask, votes: Votes, other_sizes: Codes
) -> dict[str, float]:
    """Return what speaks for and against a backdoor; see ``WEIGHTS``.

    ``other_sizes`` are the sizes of the other classes.
    """
    core, n_members = in_class & ~group, group.sum()
    strength = float(np.quantile(scores[group], 0.25))
    contradicted = votes.contradiction > 0
    usual = np.maximum(
        (contradicted[:, ~group].sum(axis=1) + 1) / ((~group).sum() + 2),
        (contradicted[:, core].sum(axis=1) + 1) / (core.sum() + 2),
    )
    # The third best view: a chance hit of one view is not enough.
    gap = np.sort(contradicted[:, group].mean(axis=1) - np.clip(usual, 0.01, 0.99))[-3]
    unit = max(strength, 0.5)
    rest = scores[core].max() if core.any() else 0.0
    statistics = {
        "strength": np.log(np.clip(strength, 2, 200)),
        "apart": np.clip((scores[group].min() - rest) / unit, -2, 2),
        "rival": np.clip(np.quantile(scores[~in_class], 0.999) / unit, 0, 2),
        "gap": gap,
        # Where labels don't follow the content, neighbours of another class mean nothing.
        "depth": np.median(votes.margin[group]) * votes.weights.max(),
        "sources": np.log(_effective_number(votes.other[group])),
        "share": np.log(n_members / len(group)),
        "class_share": np.log(n_members / in_class.sum()),
        "surplus": size_surplus(n_members, in_class.sum(), other_sizes),
        "small_set": len(group) < SMALL_SET,
    }
    return {name: float(value) for name, value in statistics.items()}


def size_surplus(n_members: int, n_in_class: int, other_sizes: Codes) -> float:
    """Return how much better a class without a group fits the sizes of the other classes.

    An attacker who gives samples of all classes the label of one makes that class larger than it
    was, and the others smaller: without the group they are taken to be as much larger together. A
    log-likelihood ratio: the log of a class's size follows Student's distribution around those of
    the others, or (``OWN_SIZE``) is what it is for reasons of its own. That bounds the ratio to 3,
    and a class that is larger even without the group means little. 0 for two classes.
    """
    if len(other_sizes) < 2:
        return 0.0
    usual = np.median(np.log(other_sizes))
    deviations = np.log(other_sizes) - usual
    spread = (deviations @ deviations + 2 * USUAL_SPREAD**2) / (len(other_sizes) + 1)
    freedom = min(len(other_sizes) - 1, 6)
    returned = 1 + n_members / other_sizes.sum()
    distance = np.log([n_in_class, (n_in_class - n_members) / returned]) - usual
    tails = 1 + distance**2 / (freedom * spread * (1 + 1 / len(other_sizes)))
    whole, without = tails ** (-(freedom + 1) / 2) + OWN_SIZE
    return float(np.log(without / whole))


def _add_stragglers(group: Mask, scores: Floats, in_class: Mask, margin: Floats) -> Mask:
    """Add members of the class with a weaker signature or, if few, plainly contradicted content."""
    contradicted, plainly = np.quantile(margin[~in_class], (0.9, 0.99))
    weak = (scores > WEAK_SIGNATURE) | ((scores > 2) & (margin > max(contradicted, 0)))
    wider: Mask = group | (in_class & weak)
    plain = in_class & ~wider & (margin > max(plainly, 0.1))
    return wider | plain if plain.sum() <= FEW * wider.sum() else wider


def _scattered(
    signature: Signature, votes: Votes, codes: Codes, explained: Mask, rng: np.random.Generator
) -> Candidate | None:
    """Return the best group with one signature under many labels (an all-to-all attack).

    The contradicted samples of all classes take the place of one class, the others that of the
    rest. Suspects that another candidate explains are left aside.
    """
    contradicted = (votes.margin > 0) & ~explained
    if len(codes) < SMALL_SET or not MIN_MEMBERS <= contradicted.sum() <= 0.7 * len(codes):
        return None
    groups = find_groups(signature, votes, contradicted, rng, content_helps=False)
    scattered = [
        _effective_number(codes[group]) >= MIN_LABELS and group.mean() <= MAX_SHARE
        for group in groups.T
    ]
    groups = groups[:, np.array(scattered, bool)]
    if groups.shape[1] == 0:
        return None
    scores = signature.z_scores(groups, contradicted)
    strength = np.log(np.maximum(member_quantile(scores, groups, 0.25), 1))
    share = np.log(groups.mean(axis=0))
    weighed = strength + share + SCATTERED_INTERCEPT
    best = int(np.argmax(weighed))
    statistics = {"strength": float(strength[best]), "share": float(share[best])}
    members = groups[:, best] | (contradicted & (scores[:, best] > 2))
    counts = np.bincount(codes[members])
    targets = tuple(int(code) for code in np.flatnonzero(counts >= 2))
    nobody = np.zeros_like(members)
    return Candidate(targets, float(weighed[best]), members, nobody, scores[:, best], statistics)


def _effective_number(labels: Codes) -> float:
    """Return the exponential of the entropy of the labels: 1 = one label only."""
    shares = np.unique(labels, return_counts=True)[1] / len(labels)
    return float(np.exp(-np.sum(shares * np.log(shares))))
