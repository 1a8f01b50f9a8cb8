"""Which class doubted samples really have, as far as those whom nobody doubts can tell."""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import softmax

from tsguard.suspicion._signature import Signature
from tsguard.suspicion._votes import Codes, Floats, Mask, other_classes

N_ROUNDS = 6  # of asking how often a group's members are of each class
STEEPEST = 6.0  # log of the largest factor by which scores may be stretched


def true_classes(
    signature: Signature, groups: Sequence[Mask], neighbours: Floats, codes: Codes, doubted: Mask
) -> Floats:
    """Return which classes doubted samples may really have, by two witnesses.

    The neighbours are one; the other is ridge regression of the classes on the features in which
    triggers are directions. Both know trusted samples only, and yet a trigger draws every score
    somewhat to some class, in all members of a group alike. So what the members' scores have in
    common is replaced by how often both witnesses find each class in the group, which at first the
    neighbours tell, whom a trigger misleads least.

    Parameters
    ----------
    signature : Signature
    groups : sequence of ndarray of bool of shape (n_samples,)
        Each with one pattern; all members are doubted.
    neighbours : ndarray of shape (n_samples, n_classes)
        Vote shares of trusted neighbours, as :func:`trusted_votes` returns them.
    codes : ndarray of shape (n_samples,)
        Given class codes; the given class is left out.
    doubted : ndarray of bool of shape (n_samples,)
        Whom the regression does not learn.

    Returns
    -------
    ndarray of shape (2, n_samples, n_classes)
        Shares of the classes, which sum to 1: by the neighbours and by the regression. Rows of 0
        where a witness knows nothing; the regression is asked about members of the groups only.
    """
    voted = other_classes(neighbours, codes)
    regressed = np.zeros_like(voted)
    if groups and not doubted.all():
        scores, asked, left_out = signature.class_scores(codes, doubted, voted.shape[1])
        stretch = _stretch(left_out, codes[asked])
        place = np.cumsum(doubted) - 1
        for rows in map(np.flatnonzero, groups):
            own = scores[place[rows]]
            own -= own.mean(axis=0)
            common = voted[rows].mean(axis=0)
            for _ in range(N_ROUNDS):
                shares = softmax(stretch * (own + common), axis=1)
                regressed[rows] = other_classes(shares, codes[rows])
                common = (voted[rows] + regressed[rows]).mean(axis=0) / 2
    return np.stack([voted, regressed])


def _stretch(scores: Floats, codes: Codes) -> float:
    """Return the factor that makes scores the likeliest logits (temperature scaling).

    Guo et al., "On Calibration of Modern Neural Networks" (2017).
    """
    rows = np.arange(len(codes))

    def surprise(log_factor: float) -> float:
        shares = softmax(np.exp(log_factor) * scores, axis=1)
        return -float(np.log(shares[rows, codes] + 1e-9).mean())

    return float(np.exp(minimize_scalar(surprise, bounds=(0, STEEPEST), method="bounded").x))
