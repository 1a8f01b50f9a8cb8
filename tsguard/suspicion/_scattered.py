"""Groups under many labels: what an attack that gives every class another label leaves."""

import numpy as np

from tsguard.suspicion._candidates import MAX_SHARE, SOME_SIGNATURE, Candidate, stand_out
from tsguard.suspicion._likelihood import (
    SCATTERED_INTERCEPT,
    SCATTERED_WEIGHTS,
    SMALL_SET,
    effective_number,
    log_odds,
    scattered_statistics,
)
from tsguard.suspicion._signature import SIGNATURE_SHARE, Signature, find_groups
from tsguard.suspicion._votes import Codes, Mask, Votes

MIN_LABELS, MIN_SCATTERED = 1.5, 3  # effective number of labels, and size, of a scattered group


def scattered_candidate(
    signature: Signature, votes: Votes, codes: Codes, explained: Mask, rng: np.random.Generator
) -> Candidate | None:
    """Return the best group with one signature under many labels (an all-to-all attack).

    The contradicted samples of all classes take the place of one class, the others that of the
    rest.

    Parameters
    ----------
    signature : Signature
    votes : Votes
    codes : ndarray of shape (n_samples,)
        Given class codes.
    explained : ndarray of bool of shape (n_samples,)
        Members of other candidates that are accused, which are left aside.
    rng : numpy.random.Generator

    Returns
    -------
    Candidate or None
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
