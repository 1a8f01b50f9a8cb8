"""Groups that hold two patterns, the trigger's and that of a natural part of the class."""

import numpy as np

from tsguard.suspicion._signature import MIN_MEMBERS, Signature
from tsguard.suspicion._votes import Floats, Mask

APART = 0.05  # support across two parts of a group, relative to that within, that is none
MAX_STARTS, MAX_MOVES = 32, 20  # of the search for a split into two groups
MAX_SPLIT = 2000  # members of a group that is split: every one is compared with every other


def two_patterns(signature: Signature, group: Mask) -> tuple[Mask, Mask] | None:
    """Return the two parts of a group that have nothing in common, or None if there are none.

    Groups grow by what their members share with each other, so poison and a natural subgroup can
    end up in one: each half keeps its own members in. With one trigger, any part of the poison
    speaks for any other; here the members of one part say nothing of the other's, on average, or
    speak against them.

    Parameters
    ----------
    signature : Signature
    group : ndarray of bool of shape (n_samples,)

    Returns
    -------
    tuple of ndarray of bool of shape (n_samples,), or None
        Each of at least ``MIN_MEMBERS`` samples.
    """
    rows = np.flatnonzero(group)
    if len(rows) > MAX_SPLIT:
        return None
    support = signature.affinity(rows, np.arange(len(rows)))
    np.fill_diagonal(support, 0)
    # Every start is a member with the half of the group that is nearest to it.
    starts = np.linspace(0, len(rows) - 1, min(MAX_STARTS, len(rows))).round().astype(int)
    splits = [_settle(support, support[start] > np.median(support[start])) for start in starts]
    apart, part = min(splits, key=lambda split: split[0])
    if apart >= APART:
        return None
    one, other = (np.zeros_like(group) for _ in range(2))
    one[rows[part]] = other[rows[~part]] = True
    return one, other


def _settle(support: Floats, part: Mask) -> tuple[float, Mask]:
    """Move members to the part that speaks for them more, until nobody moves.

    Also returns the mean support across the parts, relative to that within them; infinite if that
    leads nowhere.
    """
    of_all = support.sum(axis=1)
    for _ in range(MAX_MOVES):
        n_part, n_rest = part.sum(), (~part).sum()
        if min(n_part, n_rest) < MIN_MEMBERS:
            break
        together = support @ part
        of_part, of_rest = together / (n_part - part), (of_all - together) / (n_rest - ~part)
        nearer = of_part > of_rest
        if (nearer == part).all():
            within = float(of_part[part].mean()), float(of_rest[~part].mean())
            across = float(of_rest[part].mean())
            return (across / np.sqrt(np.prod(within)) if min(within) > 0 else np.inf), part
        part = nearer
    return np.inf, part
