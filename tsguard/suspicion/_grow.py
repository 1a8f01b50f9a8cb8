"""Who else belongs to a group: under other labels, or with less of its pattern."""

import numpy as np

from tsguard.suspicion._candidates import HELPED_SHARE, SOME_SIGNATURE, stand_out
from tsguard.suspicion._signature import (
    HELPED_SIGNATURE,
    MIN_MEMBERS,
    MIN_SIGNATURE,
    SIGNATURE_SHARE,
    Signature,
)
from tsguard.suspicion._votes import Floats, Mask, plain_contradiction, unusually_contradicted

MIN_OUTSIDE = 8  # samples needed outside a class to say what is unusual in it
WEAK_SIGNATURE = 3.5  # deviations that are enough for a sample of a class that has a candidate
HINT_SHARE = 0.05  # ... and share of the members' median
FEW = 0.3  # content alone adds at most this share to a group, else it is ordinary confusion


def spread(
    signature: Signature,
    members: Mask,
    scores: Floats,
    in_class: Mask,
    contradicted: Mask,
    kin: Mask | bool,
) -> tuple[Mask, Floats] | None:
    """Ask again for a group and its scores, with those who carry its pattern under other labels.

    An attack on several classes leaves one trigger in all of them. When only the group of one class
    is asked for, the others' poison counts as honest samples that happen to have the same feature.
    Whoever has it although the content denies the label, or is ``kin``, is therefore asked for too.
    None if there is nobody.
    """
    result = None
    for _ in range(3):
        plainly = stand_out(scores, members, MIN_SIGNATURE, SIGNATURE_SHARE)
        elsewhere = (~in_class & contradicted & plainly) | kin
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


def add_stragglers(
    group: Mask, scores: Floats, in_class: Mask, margin: Floats, content_counts: bool
) -> Mask:
    """Add members of the class with a weaker signature or, if few, plainly contradicted content."""
    contradicted = unusually_contradicted(margin, in_class)
    weak = stand_out(scores, group, WEAK_SIGNATURE, HINT_SHARE)
    weak |= contradicted & stand_out(scores, group, SOME_SIGNATURE, HINT_SHARE)
    wider: Mask = group | (in_class & weak)
    plain = in_class & ~wider & (margin > plain_contradiction(margin[~in_class]))
    return wider | plain if content_counts and plain.sum() <= FEW * wider.sum() else wider
