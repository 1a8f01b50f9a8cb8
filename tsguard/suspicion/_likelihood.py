"""How likely a group of samples is a backdoor, from what can be counted about it."""

from collections.abc import Mapping

import numpy as np

from tsguard.suspicion._origins import agreement_on_origins
from tsguard.suspicion._votes import Codes, Floats, Mask, Votes

AGREEING_VIEWS = 3  # that must contradict a group, as one does by chance; there are at least three
SAY_OF_OTHERS = 0.5  # of other classes in what is usual in this one: samples for each member
PLAIN = 2.5  # log of a signature that natural groups hardly reach ...
PLAIN_SIZE, PLAIN_SHARE = 4, 0.05  # ... if they have so many members, and are so much of the set
NO_PATTERN = 1.1  # log of a signature below which a group has hardly anything in common
SMALL_SET = 60  # samples; in smaller sets chance makes groups too

# Log-odds of "backdoor", by logistic regression on clean and poisoned versions of 20 data sets
# (docs/results/decision_fit.md), judged on sets left out; "origins", "by_size" and "kin" came later
# and were chosen on these sets by hand (docs/decisions.md).
INTERCEPT = -3.5
WEIGHTS = {
    "strength": 1.9,  # log of the first quartile of the members' signature, in deviations
    "gap": 4.4,  # how much more often the third best view contradicts members than others
    "depth": 6.4,  # median margin by which the neighbours' other class wins, as far as they count
    "sources": 1.25,  # log of the effective number of classes the members look like
    "origins": 12.0,  # how far views agree on which other class each member looks like
    "share": 1.55,  # log of the group's share of the set
    "class_share": -0.5,  # log of its share of the class
    "surplus": 1.7,  # how much better the class's size fits the other classes' without the group
    "small_set": -0.9,  # whether the set is small
    "small_of_two": -1.8,  # ... and of two classes, so that sources and surplus say nothing
    "plain": 2.0,  # by how much the strength of a group that is not small exceeds PLAIN
    "faint": -1.5,  # by how much strength falls short of NO_PATTERN
    "pair": -1.0,  # whether it is of two: a class has many more pairs than larger groups
    "by_size": -1.0,  # whether it was looked for by its size, so that it is contradicted anyway
    "few_values": -0.75,  # log of how many times fewer values than usual a sample has
    "kin": 4.0,  # whether a group of another class has most of its pattern, and vice versa; 0 to 1,
    # less the fewer values a sample has
}
# The same for groups under many labels.
SCATTERED_INTERCEPT = 0.9
SCATTERED_WEIGHTS = {
    "strength": 0.33,  # as above
    "depth": 3.0,  # how far the members' median margin is above that of all contradicted samples
    "sources": 0.8,  # as above
    "labels": 0.9,  # log of the effective number of labels, as a share of the contradicted ones'
    "share": 1.9,  # log of the group's share of the contradicted samples and USUAL_CONFUSION
    "few_values": -0.75,  # as above
}
USUAL_CONFUSION = 0.1  # share of the set: of few contradicted samples, any group is a large part
USUAL_SPREAD = 0.1  # of the log sizes of classes, counted like two more classes
WHOLE = 3  # how many times as many as were found may be poisoned ...
PLAINLY = 0.5  # ... and by how much, as a log-likelihood ratio, their class's size must say so
OWN_SIZE = 0.05  # chance that a class's size says nothing, relative to the likeliest size


def log_odds(
    statistics: dict[str, float],
    intercept: float = INTERCEPT,
    weights: Mapping[str, float] = WEIGHTS,
) -> float:
    """Return the log-odds of a backdoor, given the statistics of a group; see ``WEIGHTS``."""
    return intercept + sum(weight * statistics[name] for name, weight in weights.items())


def group_statistics(
    group: Mask, scores: Floats, in_class: Mask, votes: Votes, other_sizes: Codes
) -> dict[str, float]:
    """Return what speaks for and against a backdoor; see ``WEIGHTS``.

    ``other_sizes`` are the sizes of the other classes.
    """
    core, n_members = in_class & ~group, group.sum()
    small, of_two = len(group) < SMALL_SET, len(other_sizes) == 1
    not_small = n_members >= max(PLAIN_SIZE, PLAIN_SHARE * len(group))
    strength = np.log(np.clip(np.quantile(scores[group], 0.25), 2, 200))
    contradicted = votes.contradicted
    in_group = contradicted[:, np.flatnonzero(group)]
    outside = contradicted.sum(axis=1) - in_group.sum(axis=1)
    usual = (outside + 1) / (len(group) - n_members + 2)
    # The rest of the class says what is usual in it, unless the group outnumbers it by far: the
    # few true samples of a rare class are always contradicted.
    few = SAY_OF_OTHERS * n_members
    of_core = contradicted[:, np.flatnonzero(core)].sum(axis=1)
    in_core = (of_core + few * usual) / (core.sum() + few)
    usual = np.maximum(usual, in_core)
    gap = np.sort(in_group.mean(axis=1) - np.clip(usual, 0.01, 0.99))[-AGREEING_VIEWS]
    statistics = {
        "strength": strength,
        "gap": gap,
        # Where labels don't follow the content, neighbours of another class mean nothing.
        "depth": np.median(votes.margin[group]) * votes.weights.max(),
        "sources": np.log(effective_number(votes.other[group])),
        "origins": agreement_on_origins(group, votes),
        "share": np.log(n_members / len(group)),
        "class_share": np.log(n_members / in_class.sum()),
        "surplus": size_surplus(n_members, in_class.sum(), other_sizes),
        "small_set": small,
        "small_of_two": small and of_two,
        "plain": not_small * max(0.0, strength - PLAIN),
        "faint": max(0.0, NO_PATTERN - strength),
        "pair": n_members == 2,
        "by_size": False,
        "kin": False,
        "few_values": votes.few_values,
    }
    return {name: float(value) for name, value in statistics.items()}


def size_surplus(n_members: float, n_in_class: int, other_sizes: Codes) -> float:
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
    n_without = max(n_in_class - n_members, 1)  # if nobody is left, its true series were all taken
    distance = np.log([n_in_class, n_without / returned]) - usual
    tails = 1 + distance**2 / (freedom * spread * (1 + 1 / len(other_sizes)))
    whole, without = tails ** (-(freedom + 1) / 2) + OWN_SIZE
    return float(np.log(without / whole))


def too_many(n_in_class: int, other_sizes: Codes) -> float:
    """Return how many samples of the other classes must have been added to a class of this size.

    Without them it would be as large as the others usually are, once these have them back. Below 0
    if the class is smaller than the others.
    """
    usual = np.exp(np.median(np.log(other_sizes)))
    return float((n_in_class - usual) / (1 + usual / other_sizes.sum()))


def whole_of_part(n_members: int, n_in_class: int, other_sizes: Codes) -> tuple[float, int]:
    """Return the surplus of what a group may be a part of, and how many samples that is.

    Of faint or much poison often only a part is found, and the class is still too large without
    it. So the group may belong to what makes the class larger than the others, if that is at most
    ``WHOLE`` times as many: the surplus of these counts, less the log of how many times as many
    they are. If that does not say plainly more than the group alone, it is its own whole; where the
    sizes of classes differ anyway, it hardly does.
    """
    alone = size_surplus(n_members, n_in_class, other_sizes)
    whole = float(np.clip(too_many(n_in_class, other_sizes), n_members, WHOLE * n_members))
    together = size_surplus(whole, n_in_class, other_sizes) - np.log(whole / n_members)
    plainly = together > alone + PLAINLY
    return (float(together), round(whole)) if plainly else (alone, n_members)


def scattered_statistics(
    members: Mask, scores: Floats, contradicted: Mask, votes: Votes, codes: Codes
) -> dict[str, float]:
    """Return what speaks for and against a backdoor under many labels; ``SCATTERED_WEIGHTS``."""
    margin = np.median(votes.margin[members]) - np.median(votes.margin[contradicted])
    labels = effective_number(codes[members]) / effective_number(codes[contradicted])
    # Those that another candidate explains count as well.
    n_contradicted = (votes.margin > 0).sum() + USUAL_CONFUSION * len(members)
    return {
        "strength": float(np.log(np.clip(np.quantile(scores[members], 0.25), 1, 200))),
        "depth": float(margin * votes.weights.max()),
        "sources": float(np.log(effective_number(votes.other[members]))),
        "labels": float(np.log(labels)),
        "share": float(np.log(members.sum() / n_contradicted)),
        "few_values": votes.few_values,
    }


def effective_number(labels: Codes) -> float:
    """Return the exponential of the entropy of the labels: 1 = one label only."""
    shares = np.unique(labels, return_counts=True)[1] / len(labels)
    return float(np.exp(-np.sum(shares * np.log(shares))))
