"""Groups of a known size: what makes a class larger than the others, if it is poison."""

import numpy as np

from tsguard.suspicion._loss_drop import top_share
from tsguard.suspicion._signature import Signature
from tsguard.suspicion._votes import Floats, Mask, Votes

N_ROUNDS = 8  # of replacing a group by those who have most of what it shares


def most_alike(signature: Signature, votes: Votes, in_class: Mask, n_members: int) -> Mask:
    """Return the groups of a given size inside a class that come closest to a backdoor.

    They start from the most contradicted members of the class; again and again those with most of
    what the group shares take their place, or those with most of that and of contradiction
    together. Poison that stands out too little for a group to grow from a few is found so, if one
    knows how much there is.

    Parameters
    ----------
    signature : Signature
    votes : Votes
    in_class : ndarray of bool of shape (n_samples,)
    n_members : int
        At least two.

    Returns
    -------
    ndarray of bool of shape (n_samples, n_groups)
        Two groups, or one if both ways lead to the same.
    """
    contradiction = _standardised(votes.margin[in_class])
    share = n_members / len(contradiction)
    found = np.zeros((len(in_class), 2), bool)
    for column, say_of_content in enumerate((0.0, 1.0)):
        group = top_share(contradiction, share)
        for _ in range(N_ROUNDS):
            scores = signature.inner_scores(group[:, np.newaxis], in_class)[:, 0]
            group = top_share(_standardised(scores) + say_of_content * contradiction, share)
        found[in_class, column] = group
    return np.unique(found, axis=1)


def _standardised(values: Floats) -> Floats:
    centred: Floats = (values - values.mean()) / (values.std() + 1e-9)
    return centred
