"""Groups of two classes that carry one pattern: what an attack on several classes leaves."""

from collections import Counter

import numpy as np

from tsguard.suspicion._signature import Signature
from tsguard.suspicion._votes import Codes, Mask

MIN_SUPPORT = 0.1  # of one group for another, relative to that within them, to look closer
KIN = 8.0  # deviations that each group must have of the other's pattern ...
KIN_SHARE = 0.75  # ... and share of what the other group itself has of it
SAME = 0.8  # members that two groups have in common, of all members of either, to be the same
MAX_TRIED = 100  # pairs of groups of the same two classes that are looked at closely


def distinct_groups(groups: list[Mask]) -> list[int]:
    """Return the places of groups that are not much the same as one before them."""
    if not groups:
        return []
    members = np.array(groups, np.float32)
    shared, sizes = members @ members.T, members.sum(axis=1)
    same = shared > SAME * (sizes[:, np.newaxis] + sizes - shared)
    distinct: list[int] = []
    for place in range(len(groups)):
        if not same[place, distinct].any():
            distinct.append(place)
    return distinct


def kin_groups(signature: Signature, groups: Mask, codes: Codes) -> list[tuple[int, int]]:
    """Return pairs of groups of different classes that plainly have each other's pattern.

    Where two groups carry one trigger under two labels, each is the other's strongest
    counterexample, so by the regression of all samples neither has the other's pattern. So each is
    asked for by a regression that has not learned the other. Natural groups of two classes hardly
    ever have a pattern in common that the rest of both classes lacks.

    Parameters
    ----------
    signature : Signature
    groups : ndarray of bool of shape (n_samples, n_groups)
        The likeliest first.
    codes : ndarray of shape (n_groups,)
        Codes of their classes.

    Returns
    -------
    list of (int, int)
        Columns of ``groups``: of each two classes the pair that has most of it, if any.
    """
    support = signature.support(groups)
    within = np.sqrt(np.maximum(np.diag(support), 1e-12))
    near = support > MIN_SUPPORT * np.outer(within, within)
    pairs = np.argwhere(near & (codes[:, np.newaxis] < codes))
    likeliest_first = np.argsort(pairs.sum(axis=1), kind="stable")
    tried: Counter[tuple[int, int]] = Counter()
    best: dict[tuple[int, int], tuple[float, int, int]] = {}
    for one, other in pairs[likeliest_first].tolist():
        classes = int(codes[one]), int(codes[other])
        tried[classes] += 1
        if tried[classes] <= MAX_TRIED:
            kinship = _kinship(signature, groups[:, one], groups[:, other])
            if kinship > best.get(classes, (0.0,))[0]:
                best[classes] = kinship, one, other
    return [(one, other) for _, one, other in best.values()]


def _kinship(signature: Signature, one: Mask, other: Mask) -> float:
    """Return how many deviations each of two groups has of the other's pattern, at least.

    0 if that is little of what the other has of it.
    """
    least = np.inf
    for group, out in ((one, other), (other, one)):
        own, theirs = signature.left_out(group, out)
        if theirs < max(KIN, KIN_SHARE * own):
            return 0.0
        least = min(least, theirs)
    return least
