"""The search for candidates: the most suspicious group of each class, and of all together."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from tsguard.suspicion._candidates import (
    MAX_DOUBTED_SHARE,
    MAX_SHARE,
    PRECAUTION,
    RELATED,
    SOME_SIGNATURE,
    Candidate,
    accused_members,
    has_pattern,
    is_related,
    likeliest_first,
    stand_out,
)
from tsguard.suspicion._grow import HINT_SHARE, MIN_OUTSIDE, add_stragglers, spread
from tsguard.suspicion._kin import distinct_groups, kin_groups
from tsguard.suspicion._likelihood import (
    PLAIN_SHARE,
    PLAIN_SIZE,
    group_statistics,
    log_odds,
    size_surplus,
    too_many,
    whole_of_part,
)
from tsguard.suspicion._origins import agreement_on_origins, usual_agreement
from tsguard.suspicion._scattered import scattered_candidate
from tsguard.suspicion._signature import (
    MIN_MEMBERS,
    Signature,
    find_groups,
    regrow,
)
from tsguard.suspicion._sized_groups import most_alike
from tsguard.suspicion._two_patterns import two_patterns
from tsguard.suspicion._votes import (
    Codes,
    Floats,
    Mask,
    Votes,
    unusually_contradicted,
)

MAX_SHARE_OF_FEW = 0.95  # of a small class: the few samples of a rare one are always contradicted
# A class must be larger than the others by so many samples, and so plainly (log-likelihood ratio),
# for a group to be looked for by its size.
MIN_SURPLUS_SIZE, MIN_SURPLUS = 3, 1.0
N_SPREAD = 3  # groups of a class, the likeliest ones, that are looked for under other labels
LIKELY_IF_KIN = -6.0  # log-odds from which a group may be one that is kin to another class's
MIN_KIN_SIZE = 5  # members of such a group: as few as four have much in common by chance
CLEARLY = 4.0  # log-odds by which a natural part of a group is less likely than the rest
HINT = 1.5  # deviations that make a sample of an accused class doubtful
ALL_STAND_OUT = 8.0  # median deviations of a group below which some of it may not
SEVERAL_CLASSES = 9  # other classes from which content alone counts, however strong the signature
# Deviations between a group and the rest of its class that make it suspect whatever the content
# says (17 were the most seen without an attack), log-odds for each power of e above, and the share
# of the set that it must be: a few odd series stand apart further.
ALONE, ALONE_WEIGHT, ALONE_SHARE = 20.0, 3.0, 0.04


class Weighed(NamedTuple):
    """A group: its log-odds, the statistics behind them, its members, everybody's signature."""

    odds: float
    statistics: dict[str, float]
    members: Mask
    scores: Floats


Found = tuple["_Search", list[Weighed]]  # the search in a class, and its groups


def find_candidates(
    signature: Signature, votes: Votes, codes: Codes, rng: np.random.Generator
) -> list[Candidate]:
    """Return the best candidate of every class that has one, and of all classes together.

    An attack on several classes leaves one pattern in all of them. So groups of two classes that
    have each other's pattern are likelier, and once somebody is accused, the other classes are
    searched again, from those who have that pattern. If nobody is accused, groups whose pattern is
    too plain for a natural one are: with right labels poison has no other sign.

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
    searches = [_Search(signature, votes, codes, code) for code in np.unique(codes)]
    found = [(one, groups) for one in searches if (groups := one.groups(rng))]
    found = _less_what_is_usual(votes, _with_kin(signature, found))
    accused = [one.candidate(groups) for one, groups in found if groups[0].odds > 0]
    candidates = accused + [
        one.candidate(groups + one.groups_like(accused), accused)
        for one, groups in found
        if groups[0].odds <= 0
    ]
    explained = accused_members(candidates, len(codes))
    scattered = scattered_candidate(signature, votes, codes, explained, rng)
    if scattered is not None:
        candidates.append(scattered)
    if not any(one.log_odds > 0 for one in candidates):
        alone = [one for search, _ in found for one in search.by_pattern_alone()]
        known = {one.targets for one in alone}
        candidates = alone + [one for one in candidates if one.targets not in known]
    return likeliest_first(candidates)


def _with_kin(signature: Signature, found: list[Found]) -> list[Found]:
    """Return the groups of each class, and those that are kin to one of another class."""
    likely = [(search, one) for search, _ in found for one in search.likely_if_kin()]
    if not likely:
        return found
    likely.sort(key=lambda item: -item[1].odds)
    members = [one.members for _, one in likely]
    codes = np.array([search.code for search, _ in likely])
    kin: defaultdict[int, list[Weighed]] = defaultdict(list)
    for pair in kin_groups(signature, np.array(members).T, codes):
        for mine, theirs in (pair, pair[::-1]):
            search, one = likely[mine]
            kin[search.code].append(search.kin_to(one, members[theirs]))
    return [
        (search, sorted(groups + kin[search.code], key=lambda one: -one.odds))
        for search, groups in found
    ]


def _less_what_is_usual(votes: Votes, found: list[Found]) -> list[Found]:
    """Return the groups of each class, accused ones only for what they have beyond the others.

    Whoever may have an accused group's pattern is not asked: it may be poison of another class.
    """
    accused = [one for _, groups in found for one in groups if one.odds > 0]
    if not accused:
        return found
    usual = usual_agreement(
        votes,
        np.logical_or.reduce([one.members | (one.scores > SOME_SIGNATURE) for one in accused]),
    )
    return [(search, search.beyond(groups, usual)) for search, groups in found]


class _Search:
    """The search for suspicious groups in one class."""

    def __init__(self, signature: Signature, votes: Votes, codes: Codes, code: int) -> None:
        self.code = int(code)
        self._signature, self._votes = signature, votes
        self._in_class = in_class = codes == code
        self._other_sizes = np.unique(codes[~in_class], return_counts=True)[1]
        n_outside = (~in_class).sum()
        n_inside = in_class.sum()
        if n_inside < max(PLAIN_SIZE, PLAIN_SHARE * len(codes)):
            n_inside = MAX_SHARE_OF_FEW * n_inside
        self._largest = min(MAX_SHARE * len(codes), n_inside, n_outside)
        self._weighed: list[Weighed] = []

    def groups(self, rng: np.random.Generator) -> list[Weighed]:
        """Return the likeliest groups, likeliest first; none if too few samples are outside."""
        if (~self._in_class).sum() < MIN_OUTSIDE:
            return []
        groups = find_groups(self._signature, self._votes, self._in_class, rng)
        groups = groups[:, groups.sum(axis=0) <= self._largest]
        self._weighed = self._weigh(groups)
        found = self._likeliest()
        if not any(one.odds > 0 for one in found) and (by_size := self._by_size()):
            self._weighed += by_size
            found = self._likeliest()
        return found

    def _likeliest(self) -> list[Weighed]:
        """Return the likeliest groups, as they are and spread to other labels, likeliest first."""
        found = sorted(self._weighed, key=lambda one: -one.odds)[:N_SPREAD]
        found = sorted(found + self._spread(found), key=lambda one: -one.odds)
        return [self._as_a_part(one) for one in found[:1]] + found[1:]

    def _by_size(self) -> list[Weighed]:
        """Return groups of as many samples as the class has too many.

        Where classes are about equally large, an attack that adds to one of them shows how much it
        added, however little its poison stands out.
        """
        n_in_class = int(self._in_class.sum())
        n_members = round(too_many(n_in_class, self._other_sizes))
        if not MIN_SURPLUS_SIZE <= n_members <= self._largest:
            return []
        if size_surplus(n_members, n_in_class, self._other_sizes) < MIN_SURPLUS:
            return []
        groups = most_alike(self._signature, self._votes, self._in_class, n_members)
        return [_known(one, by_size=1.0) for one in self._weigh(groups)]

    def likely_if_kin(self) -> list[Weighed]:
        """Return the groups that are likely if a group of another class has their pattern."""
        likely = [
            one
            for one in self._weighed
            if one.odds > LIKELY_IF_KIN and one.members.sum() >= MIN_KIN_SIZE
        ]
        likely.sort(key=lambda one: -one.odds)
        return [likely[place] for place in distinct_groups([one.members for one in likely])]

    def kin_to(self, one: Weighed, other: Mask) -> Weighed:
        """Return a group, asked for together with one of another class that has its pattern."""
        groups = [one, *self._spread([one], other)]
        # Of few values all views see about the same, so natural groups have patterns in common too.
        known = [_known(group, kin=self._votes.differ) for group in groups]
        return max(known, key=lambda group: group.odds)

    def beyond(self, groups: list[Weighed], usual: Floats) -> list[Weighed]:
        """Return groups with views' agreement on them beyond what is usual in other classes."""
        elsewhere = float(np.delete(usual, self.code).max())
        found = [
            _known(one, origins=agreement_on_origins(one.members, self._votes, elsewhere))
            if one.odds > 0
            else one
            for one in groups
        ]
        return sorted(found, key=lambda one: -one.odds)

    def groups_like(self, accused: list[Candidate]) -> list[Weighed]:
        """Return those who have the pattern of an accused group, and what they grow into."""
        seeds = [self._in_class & has_pattern(one) for one in accused]
        seeds = [seed for seed in seeds if seed.sum() >= MIN_MEMBERS]
        if not seeds:
            return []
        grown = [regrow(self._signature, self._votes, self._in_class, seed) for seed in seeds]
        found = self._weigh(np.array(seeds + grown).T)
        return found + self._spread(found)

    def _as_a_part(self, one: Weighed) -> Weighed:
        """Return a group as what may be only a part of the poison; see :func:`whole_of_part`.

        Only the likeliest group is seen so: small parts of the poison would win over all of it.
        """
        return _known(one, surplus=self._whole(one.members)[0])

    def _whole(self, members: Mask) -> tuple[float, int]:
        return whole_of_part(int(members.sum()), int(self._in_class.sum()), self._other_sizes)

    def candidate(self, groups: list[Weighed], accused: Sequence[Candidate] = ()) -> Candidate:
        """Return the likeliest group, rid of its natural part and joined by those it missed."""
        odds, statistics, group, score = max(
            groups, key=lambda one: one.odds + RELATED * is_related(one.members, accused)
        )
        in_class, margin = self._in_class, self._votes.margin
        members, score = self._without_natural_part(group, score)
        # Where members stand out plainly, whoever lacks their signature is hardly one of them; and
        # a few other classes don't tell how often content contradicts a label by chance.
        some_may_not = float(np.median(score[members])) < ALL_STAND_OUT
        content_counts = some_may_not or len(self._other_sizes) >= SEVERAL_CLASSES
        members = add_stragglers(members, score, in_class, margin, content_counts)
        contradicted = unusually_contradicted(margin, in_class)
        near = stand_out(score, members, HINT, HINT_SHARE) | (contradicted & content_counts)
        nearby = group | (in_class & near)
        if odds > 0 and some_may_not:
            members, nearby, score = self._fill_up(members, nearby, score)
        return Candidate((self.code,), odds, members, nearby & ~members, score, statistics)

    def _fill_up(self, members: Mask, nearby: Mask, scores: Floats) -> tuple[Mask, Mask, Floats]:
        """Return an accused group, who is near it, and the scores, with as many as there must be.

        If the class is too large even without the group, that says how many are still to be found.
        The most contradicted of those nearby join, and everybody is asked again with them.
        """
        members = members.copy()
        while len(others := np.flatnonzero(self._in_class & nearby & ~members)):
            n_unseen = self._whole(members)[1] - int(members.sum())
            if n_unseen == 0:
                break
            most_contradicted_first = np.argsort(-self._votes.margin[others], kind="stable")
            members[others[most_contradicted_first][:n_unseen]] = True
            scores = self._signature.z_scores(members[:, np.newaxis], self._in_class)[:, 0]
            nearby = nearby | (self._in_class & stand_out(scores, members, HINT, HINT_SHARE))
        return members, nearby, scores

    def by_pattern_alone(self) -> list[Candidate]:
        """Return the group that stands apart most from its class, if by enough.

        It is one of those that :meth:`groups` has looked at. Not a few odd series, nor most of the
        class, as what a whole class shares is its content.
        """
        apart = [self._apart(one.members, one.scores) for one in self._weighed]
        if max(apart, default=0.0) <= ALONE:
            return []
        group = self._weighed[int(np.argmax(apart))]
        odds = ALONE_WEIGHT * float(np.log(max(apart) / ALONE))
        return [replace(self.candidate([group]), log_odds=odds, by_pattern_alone=True)]

    def _apart(self, members: Mask, scores: Floats) -> float:
        """Return by how much nearly all members stand out more than nearly all of their class."""
        rest, n_members = self._in_class & ~members, members.sum()
        few = n_members < max(PLAIN_SIZE, ALONE_SHARE * len(members))
        if few or n_members > MAX_DOUBTED_SHARE * self._in_class.sum():
            return 0.0
        return float(np.quantile(scores[members], 0.1) - np.quantile(scores[rest], 0.95))

    def _weigh(self, groups: Mask) -> list[Weighed]:
        """Return groups (n_samples, n_groups) with their log-odds."""
        if groups.shape[1] == 0:
            return []
        scores = self._signature.z_scores(groups, self._in_class)
        return [self._weigh_one(*one) for one in zip(groups.T, scores.T, strict=True)]

    def _weigh_one(self, members: Mask, scores: Floats) -> Weighed:
        if members.sum() > self._largest:
            return Weighed(-np.inf, {}, members, scores)
        statistics = group_statistics(
            members, scores, self._in_class, self._votes, self._other_sizes
        )
        return Weighed(log_odds(statistics), statistics, members, scores)

    def _spread(self, groups: list[Weighed], kin: Mask | bool = False) -> list[Weighed]:
        """Return the groups anew, asked for with those who carry the pattern under other labels."""
        contradicted = self._votes.margin > 0
        found = []
        for one in groups:
            wider = spread(
                self._signature, one.members, one.scores, self._in_class, contradicted, kin
            )
            if wider is not None:
                grown = self._weigh_one(*wider)
                # Whatever it grows into, it was found among many pairs, or by its size.
                was = {
                    name: max(group.statistics.get(name, 0.0) for group in (one, grown))
                    for name in ("pair", "by_size")
                }
                found.append(_known(grown, **was))
        return found

    def _without_natural_part(self, group: Mask, scores: Floats) -> tuple[Mask, Floats]:
        """Return who is left of a group, with their scores, without a part that is no backdoor.

        Poison and a natural subgroup of the class are sometimes found as one group, likely as a
        whole. Rid of the other pattern, the poison may grow.
        """
        parts = two_patterns(self._signature, group)
        if parts is None:
            return group, scores
        unlikely, likely = sorted(self._weigh(np.array(parts).T), key=lambda one: one.odds)
        if unlikely.odds >= min(PRECAUTION, likely.odds - CLEARLY):
            return group, scores
        grown = regrow(self._signature, self._votes, self._in_class, likely.members)
        best = max(likely, *self._weigh(grown[:, np.newaxis]), key=lambda one: one.odds)
        return best.members, best.scores


def _known(one: Weighed, **statistics: float) -> Weighed:
    """Return a group with some statistics that are known otherwise, and the log-odds they make."""
    if not one.statistics:  # too large to be one
        return one
    known = one.statistics | statistics
    return one._replace(odds=log_odds(known), statistics=known)
