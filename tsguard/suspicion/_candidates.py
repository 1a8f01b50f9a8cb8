"""Candidate backdoors: groups of samples that may carry a trigger, and how they are judged."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tsguard.suspicion._signature import MIN_SIGNATURE
from tsguard.suspicion._votes import Floats, Mask

HELPED_SHARE = 0.3  # share of the members' median that does where the content contradicts the label
MAX_SHARE = 0.25  # larger groups of the set are a class rather than poison
SOME_SIGNATURE = 2.0  # deviations that do for a member whose content contradicts the label
PRECAUTION = -1.0  # log-odds from which the members of a candidate are not learned on trust
MAX_DOUBTED_SHARE = 0.7  # ... unless they are more than this share of their class
SHARED_PATTERN = 2.0  # median deviations by which a group has the pattern of an accused one
SHARED_SHARE = 0.2  # ... and the share of the accused members' own median
SHARED_SIZE = 3  # members of such a group: two samples have much in common by chance
# Log-odds by which a group with that pattern is likelier than if nobody were accused, and one
# without it is less likely.
RELATED, UNRELATED = 4.0, 0.5


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
    by_pattern_alone : bool, default=False
        Whether nothing but the pattern speaks against the members, as in a clean-label attack:
        they keep their labels, and the main head does not learn them.
    """

    targets: tuple[int, ...]
    log_odds: float
    members: Mask
    nearby: Mask
    signature: Floats
    statistics: dict[str, float]
    by_pattern_alone: bool = False

    def of(self, samples: NDArray[np.intp]) -> "Candidate":
        """Return the candidate as seen in other samples, each the same as one of its own."""
        members, nearby = self.members[samples], self.nearby[samples]
        return replace(self, members=members, nearby=nearby, signature=self.signature[samples])


def accused_members(candidates: list[Candidate], n_samples: int) -> Mask:
    """Return the members of all candidates that are more likely poisoned than not, (n_samples,)."""
    return _members([one for one in candidates if one.log_odds > 0], n_samples)


def doubtful_members(candidates: list[Candidate], n_samples: int) -> Mask:
    """Return the samples that are not accused, yet too likely poisoned for trust.

    They are near an accused group, or members of a group that is almost accused. Once there is an
    accused group, others are doubted only if they share its pattern. Groups under many labels never
    are (ordinary confusion looks like an unlikely one of them), nor are those that are most of
    their class, or too much of the set: without them the class could not be learned.
    """
    doubtful = _members([one for one in candidates if is_doubtful(one, candidates)], n_samples)
    accused = [one for one in candidates if one.log_odds > 0]
    for one in accused:
        doubtful |= one.nearby
    return doubtful & ~_members(accused, n_samples)


def is_doubtful(one: Candidate, candidates: list[Candidate]) -> bool:
    """Return whether a candidate's members are doubted; see :func:`doubtful_members`."""
    if "class_share" not in one.statistics:  # a group under many labels
        return False
    share = np.exp(one.statistics["class_share"])
    too_large = share > MAX_DOUBTED_SHARE or one.members.mean() > MAX_SHARE
    if not PRECAUTION < one.log_odds <= 0 or too_large:
        return False
    accused = [other for other in candidates if other.log_odds > 0]
    return not accused or is_related(one.members, accused)


def likeliest_first(candidates: list[Candidate]) -> list[Candidate]:
    """Return the candidates in order; whether they have the pattern of accused ones counts.

    An attack leaves one pattern, also in several classes; two attacks at once are rare.
    """
    ordered: list[Candidate] = []
    for one in sorted(candidates, key=lambda candidate: -candidate.log_odds):
        accused = [other for other in ordered if other.log_odds > 0]
        if accused:
            # Kin of an accused group were weighed as such, and may not seem to have its pattern.
            unrelated = 0.0 if one.statistics.get("kin") else -UNRELATED
            change = RELATED if is_related(one.members, accused) else unrelated
            one = replace(one, log_odds=one.log_odds + change)
        ordered.append(one)
    return sorted(ordered, key=lambda candidate: -candidate.log_odds)


def is_related(members: Mask, accused: Sequence[Candidate]) -> bool:
    """Return whether a group has the pattern of one of the accused ones."""
    medians = [
        (float(np.median(one.signature[members])), float(np.median(one.signature[one.members])))
        for one in accused
    ]
    shared = any(median > max(SHARED_PATTERN, SHARED_SHARE * own) for median, own in medians)
    return shared and bool(members.sum() >= SHARED_SIZE)


def stand_out(scores: Floats, members: Mask, least: float, share: float) -> Mask:
    """Return who is above ``least`` deviations and above a share of the members' median."""
    above: Mask = scores > max(least, share * float(np.median(scores[members])))
    return above


def has_pattern(one: Candidate) -> Mask:
    """Return who, whatever the label, plainly has the pattern of a candidate, (n_samples,)."""
    return stand_out(one.signature, one.members, MIN_SIGNATURE, HELPED_SHARE)


def _members(candidates: list[Candidate], n_samples: int) -> Mask:
    union: Mask = np.zeros(n_samples, bool)
    for candidate in candidates:
        union |= candidate.members
    return union
