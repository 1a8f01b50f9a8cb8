"""Who else belongs to an accused group, now that its members have no say in what others look like.

Poison is the nearest neighbour of poison, so the first votes on a sample's content are spoilt where
it matters. Once most of the poison is known, those whom nobody doubts vote again, and whoever has
some of a group's pattern and is denied the label joins it:

- samples with the whole pattern under other labels. An attack on several classes leaves one
  trigger in all of them, and a class with few poisoned samples may have no group that is likely by
  itself. The pattern alone proves nothing: samples with the trigger and their true label are
  harmless (cover samples even help);
- samples of the group's own label with a weak pattern, if they are plainly denied.
"""

from dataclasses import replace

import numpy as np

from tsguard.suspicion._candidates import (
    SOME_SIGNATURE,
    Candidate,
    accused_members,
    has_pattern,
)
from tsguard.suspicion._votes import SOME_MARGIN, Codes, Floats, Mask, against, plain_contradiction


def carriers(candidates: list[Candidate], codes: Codes) -> Mask:
    """Return who plainly has the pattern of an accused group under another label, (n_samples,)."""
    found: Mask = np.zeros(len(codes), bool)
    for one in candidates:
        if one.log_odds > 0:
            found |= _carry(one, codes)
    return found & ~accused_members(candidates, len(codes))


def accuse_denied(
    candidates: list[Candidate], codes: Codes, usual: Floats, votes: Floats
) -> list[Candidate]:
    """Add to the accused groups who has their pattern and is denied the given label.

    Parameters
    ----------
    candidates : list of Candidate
    codes : ndarray of shape (n_samples,)
        Given class codes.
    usual : ndarray of shape (n_samples,)
        Margin by which the content contradicts the labels, where everybody votes; those who are
        not concerned tell how often it does so by chance.
    votes : ndarray of shape (n_samples, n_classes)
        Vote shares of trusted neighbours, at least for the carriers and those near a group.

    Returns
    -------
    list of Candidate
        In the same order; accused ones may have more members, and more targets.
    """
    margin, _ = against(votes, codes)
    elsewhere = carriers(candidates, codes)
    ordinary = usual[~elsewhere & ~accused_members(candidates, len(codes))]
    plainly = margin > plain_contradiction(ordinary)
    # One carrier of a label may be denied it by chance, several hardly.
    elsewhere &= margin > SOME_MARGIN
    several = np.bincount(codes[elsewhere], minlength=votes.shape[1])[codes] > 1
    elsewhere &= several | plainly
    return [
        _joined(one, elsewhere & _carry(one, codes), plainly, codes)
        if one.log_odds > 0 and not one.by_pattern_alone  # whose members keep their labels
        else one
        for one in candidates
    ]


def _carry(one: Candidate, codes: Codes) -> Mask:
    """Return who has the pattern of a group under labels other than its own."""
    return has_pattern(one) & ~np.isin(codes, one.targets)


def _joined(one: Candidate, elsewhere: Mask, plainly: Mask, codes: Codes) -> Candidate:
    """Return a group with carriers under other labels, and with those near it that are denied."""
    targets = one.targets + tuple(int(code) for code in np.unique(codes[elsewhere]))
    near = one.nearby & plainly & (one.signature > SOME_SIGNATURE)
    members = one.members | elsewhere | near
    return replace(one, targets=targets, members=members, nearby=one.nearby & ~near)
