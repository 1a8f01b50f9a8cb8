"""Candidate backdoors: the most suspicious group of each class, and how suspicious it is."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from tsguard.suspicion._likelihood import (
    SCATTERED_INTERCEPT,
    SCATTERED_WEIGHTS,
    SMALL_SET,
    effective_number,
    group_statistics,
    log_odds,
    scattered_statistics,
)
from tsguard.suspicion._signature import (
    HELPED_SIGNATURE,
    MIN_MEMBERS,
    MIN_SIGNATURE,
    SIGNATURE_SHARE,
    Signature,
    find_groups,
    regrow,
    two_patterns,
)
from tsguard.suspicion._votes import (
    Codes,
    Floats,
    Mask,
    Votes,
    plain_contradiction,
    unusually_contradicted,
)

MIN_OUTSIDE = 8  # samples needed outside a class to say what is unusual in it
# Larger groups of the set, or of their class, are the class itself.
MAX_SHARE, MAX_CLASS_SHARE = 0.25, 0.95
N_SPREAD = 3  # groups of a class, the likeliest ones, that are looked for under other labels
CLEARLY = 4.0  # log-odds by which a natural part of a group is less likely than the rest
HELPED_SHARE = 0.3  # share of the members' median that does where the content contradicts the label
WEAK_SIGNATURE = 3.5  # deviations that are enough for a sample of a class that has a candidate
SOME_SIGNATURE = 2.0  # ... and that are if the content contradicts its label
HINT = 1.5  # ... and that make a sample of an accused class doubtful
HINT_SHARE = 0.05  # share of the members' median that all three must have
FAINT = 8.0  # median deviations of a group below which some of it may not stand out at all
SEVERAL_CLASSES = 9  # other classes from which content alone counts, however strong the signature
FEW = 0.3  # content alone adds at most this share to a group, else it is ordinary confusion
MIN_LABELS, MIN_SCATTERED = 1.5, 3  # effective number of labels, and size, of a scattered group
PRECAUTION = -1.0  # log-odds from which the members of a candidate are not learned on trust
MAX_DOUBTED_SHARE = 0.7  # ... unless they are more than this share of their class
SHARED_PATTERN = 2.0  # median deviations by which a group has the pattern of an accused one
UNRELATED = 0.5  # log-odds that a group without it is less likely

Weighed = tuple[float, dict[str, float], Mask, Floats]
"""Log-odds of a group, the statistics behind them, its members and everybody's signature."""
Weigh = Callable[..., Weighed]


@dataclass(frozen=True)
class Candidate:
    """A group of samples that may carry a trigger.

    Attributes
    ----------
    targets : tuple of int
        Codes of the labels that its members were given: one, or several (an attack on several
        classes, or one that maps every class to another).
    log_odds : float
        For a backdoor; above 0 = more likely than not.
    members : ndarray of bool of shape (n_samples,)
    nearby : ndarray of bool of shape (n_samples,)
        Others of these labels that may belong to them: a hint of the signature, or a label that the
        content contradicts.
    signature : ndarray of shape (n_samples,)
        How much each sample has of what the members share, in deviations; higher = more.
    statistics : dict of str to float
        What the log-odds were weighed from; see ``WEIGHTS`` in ``_likelihood.py``.
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
    return _likeliest_first(candidates)


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
    return _is_related(one, accused)


def _likeliest_first(candidates: list[Candidate]) -> list[Candidate]:
    """Return the candidates in order; one that lacks the pattern of those accused is less likely.

    An attack leaves one pattern, also in several classes; two attacks at once are rare.
    """
    ordered: list[Candidate] = []
    for one in sorted(candidates, key=lambda candidate: -candidate.log_odds):
        accused = [other for other in ordered if other.log_odds > 0]
        if not _is_related(one, accused):
            one = replace(one, log_odds=one.log_odds - UNRELATED)
        ordered.append(one)
    return sorted(ordered, key=lambda candidate: -candidate.log_odds)


def _is_related(one: Candidate, accused: list[Candidate]) -> bool:
    """Return whether a group has the pattern of one of the accused ones, if there are any."""
    medians = [np.median(other.signature[one.members]) for other in accused]
    return not medians or bool(max(medians) > SHARED_PATTERN)


def stand_out(scores: Floats, members: Mask, least: float, share: float) -> Mask:
    """Return who is above ``least`` deviations and above a share of the members' median."""
    above: Mask = scores > max(least, share * float(np.median(scores[members])))
    return above


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
    other_sizes = np.unique(codes[~in_class], return_counts=True)[1]

    def weigh(members: Mask, scores: Floats, was_pair: float = 0.0) -> Weighed:
        if members.sum() > largest:
            return -np.inf, {}, members, scores
        statistics = group_statistics(members, scores, in_class, votes, other_sizes)
        statistics["pair"] = max(statistics["pair"], was_pair)
        return log_odds(statistics), statistics, members, scores

    scores = signature.z_scores(groups, in_class)
    found = [weigh(*one) for one in zip(groups.T, scores.T, strict=True)]
    found = sorted(found, key=lambda one: -one[0])[:N_SPREAD]
    for _, statistics, members, score in found[:]:
        spread = _spread(signature, members, score, in_class, votes.margin > 0)
        if spread is not None:
            found.append(weigh(*spread, statistics["pair"]))
    odds, statistics, group, score = max(found, key=lambda one: one[0])
    members, score = _without_natural_part(signature, votes, weigh, in_class, group, score)
    # Where members stand out plainly, whoever lacks their signature is hardly one of them; and a
    # few other classes don't tell how often content contradicts a label by chance.
    content_counts = float(np.median(score[members])) < FAINT or len(other_sizes) >= SEVERAL_CLASSES
    members = _add_stragglers(members, score, in_class, votes.margin, content_counts)
    contradicted = unusually_contradicted(votes.margin, in_class)
    near = stand_out(score, members, HINT, HINT_SHARE) | (contradicted & content_counts)
    nearby = ~members & (group | (in_class & near))
    return Candidate((int(code),), odds, members, nearby, score, statistics)


def _spread(
    signature: Signature, members: Mask, scores: Floats, in_class: Mask, contradicted: Mask
) -> tuple[Mask, Floats] | None:
    """Ask again for a group and its scores, with those who carry its pattern under other labels.

    An attack on several classes leaves one trigger in all of them. When only the group of one class
    is asked for, the others' poison counts as honest samples that happen to have the same feature.
    Whoever has it although the content denies the label is therefore asked for too. None if there
    is nobody.
    """
    result = None
    for _ in range(3):
        plainly = stand_out(scores, members, MIN_SIGNATURE, SIGNATURE_SHARE)
        elsewhere = ~in_class & contradicted & plainly
        if not elsewhere.any() or (~in_class & ~elsewhere).sum() < MIN_OUTSIDE:
            break
        everybody = (members | elsewhere)[:, np.newaxis]
        scores = signature.z_scores(everybody, in_class | elsewhere)[:, 0]
        plainly = stand_out(scores, members, MIN_SIGNATURE, SIGNATURE_SHARE)
        helped = contradicted & stand_out(scores, members, HELPED_SIGNATURE, HELPED_SHARE)
        members = in_class & (plainly | helped)
        if members.sum() < MIN_MEMBERS:
            break
        result = members, scores
    return result


def _without_natural_part(
    signature: Signature, votes: Votes, weigh: Weigh, in_class: Mask, group: Mask, scores: Floats
) -> tuple[Mask, Floats]:
    """Return who is left of a group, with their scores, without a part that is no backdoor.

    Poison and a natural subgroup of the class are sometimes found as one group, likely as a whole.
    Rid of the other pattern, the poison may grow.
    """
    parts = two_patterns(signature, group)
    if parts is None:
        return group, scores
    of_parts = signature.z_scores(np.array(parts).T, in_class)
    weighed = [weigh(*part) for part in zip(parts, of_parts.T, strict=True)]
    unlikely, likely = sorted(weighed, key=lambda one: one[0])
    if unlikely[0] >= min(PRECAUTION, likely[0] - CLEARLY):
        return group, scores
    grown = regrow(signature, votes, in_class, likely[2])
    regrown = weigh(grown, signature.z_scores(grown[:, np.newaxis], in_class)[:, 0])
    return max(likely, regrown, key=lambda one: one[0])[2:]


def _add_stragglers(
    group: Mask, scores: Floats, in_class: Mask, margin: Floats, content_counts: bool
) -> Mask:
    """Add members of the class with a weaker signature or, if few, plainly contradicted content."""
    contradicted = unusually_contradicted(margin, in_class)
    weak = stand_out(scores, group, WEAK_SIGNATURE, HINT_SHARE)
    weak |= contradicted & stand_out(scores, group, SOME_SIGNATURE, HINT_SHARE)
    wider: Mask = group | (in_class & weak)
    plain = in_class & ~wider & (margin > plain_contradiction(margin[~in_class]))
    return wider | plain if content_counts and plain.sum() <= FEW * wider.sum() else wider


def _scattered(
    signature: Signature, votes: Votes, codes: Codes, explained: Mask, rng: np.random.Generator
) -> Candidate | None:
    """Return the best group with one signature under many labels (an all-to-all attack).

    The contradicted samples of all classes take the place of one class, the others that of the
    rest. Suspects that another candidate explains are left aside.
    """
    contradicted = (votes.margin > 0) & ~explained
    if len(codes) < SMALL_SET or not MIN_SCATTERED <= contradicted.sum() <= 0.7 * len(codes):
        return None
    groups = find_groups(signature, votes, contradicted, rng, content_helps=False)
    scattered = [
        effective_number(codes[group]) >= MIN_LABELS
        and MIN_SCATTERED <= group.sum() <= MAX_SHARE * len(codes)
        for group in groups.T
    ]
    groups = groups[:, np.array(scattered, bool)]
    if groups.shape[1] == 0:
        return None
    scores = signature.z_scores(groups, contradicted)
    statistics = [
        scattered_statistics(group, score, contradicted, votes, codes)
        for group, score in zip(groups.T, scores.T, strict=True)
    ]
    weighed = [log_odds(one, SCATTERED_INTERCEPT, SCATTERED_WEIGHTS) for one in statistics]
    best = int(np.argmax(weighed))
    score = scores[:, best]
    members = contradicted & stand_out(score, groups[:, best], SOME_SIGNATURE, SIGNATURE_SHARE)
    counts = np.bincount(codes[members])
    targets = tuple(int(code) for code in np.flatnonzero(counts >= 2))
    if not targets:
        return None
    nobody = np.zeros_like(members)
    return Candidate(targets, weighed[best], members, nobody, score, statistics[best])
