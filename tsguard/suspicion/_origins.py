"""Where the members of a group come from, if not from the class that they claim to be of."""

import numpy as np

from tsguard.suspicion._votes import Floats, Mask, Votes

USUAL_AGREEMENT = 0.08  # in natural groups, of what chance leaves to 1
SURELY = 15  # contradicted samples of a class that say as much of what is usual in this set
MOST = 0.2  # that is said for or against a group
ENOUGH = 300  # members that are asked, of larger groups


def agreement_on_origins(group: Mask, votes: Votes, usual: float = USUAL_AGREEMENT) -> float:
    """Return how far views agree on which other class each member of a group looks like.

    A poisoned sample still has the content of the class that it was taken from, so views that see
    different things name the same class, and for the next member another one. The members of a
    natural group look like whatever class lies near, all of them alike, or like the rest of their
    own class, or each view names another. The group itself has no vote, so this holds where most of
    a class is poison, too; views that see nothing but the trigger, and so find only other members,
    abstain.

    Parameters
    ----------
    group : ndarray of bool of shape (n_samples,)
        Of one class.
    votes : Votes
    usual : float, default=0.08
        The agreement in natural groups, see :func:`usual_agreement`.

    Returns
    -------
    float
        Chance that two views name the same other class for a member, less that chance for two
        different members, less ``usual`` of what is left to 1: so about 0 where all members look
        like one other class, below where they look like the rest of their own. From -0.2 to 0.2,
        in series of few values less, higher = more like poison.
    """
    alike, by_chance = _alike(group, votes)
    agreement = alike - by_chance - usual * (1 - by_chance)
    # Of few values all views see about the same, so that they agree anyway.
    return float(np.clip(agreement, -MOST, MOST) * votes.differ)


def usual_agreement(votes: Votes, accused: Mask) -> Floats:
    """Return how far views agree on where the contradicted samples of each class come from.

    Where classes overlap in earnest they agree on that without an attack. So what the other
    classes reach is no sign of poison in one.

    Parameters
    ----------
    votes : Votes
    accused : ndarray of bool of shape (n_samples,)
        Whom not to ask.

    Returns
    -------
    ndarray of shape (n_classes,)
        Of what chance leaves to 1; at least ``USUAL_AGREEMENT``, and near it in classes with few
        contradicted samples.
    """
    usual = np.full(int(votes.codes.max()) + 1, USUAL_AGREEMENT)
    for code in np.unique(votes.codes):
        contradicted = (votes.codes == code) & (votes.margin > 0) & ~accused
        if (n_contradicted := contradicted.sum()) == 0:
            continue
        alike, by_chance = _alike(contradicted, votes)
        found = (alike - by_chance) / max(1 - by_chance, 1e-9)
        known = n_contradicted / (n_contradicted + SURELY)
        usual[code] = max(USUAL_AGREEMENT, known * found + (1 - known) * USUAL_AGREEMENT)
    return usual


def _alike(group: Mask, votes: Votes) -> tuple[float, float]:
    """Return the chances that two views name the same other class: for a member, for any two."""
    members = np.flatnonzero(group)
    members = members[:: -(-len(members) // ENOUGH)]
    neighbours = votes.neighbours[:, members]
    named = votes.named[:, members]
    named[..., votes.codes[members[0]]] = 0
    n_asked = neighbours.shape[2] - group[neighbours].sum(axis=2, keepdims=True)
    # What all other views say of the same member, as far as they say anything.
    weights = votes.weights[:, np.newaxis, np.newaxis] * (n_asked > 0)
    said = named * (weights / np.maximum(n_asked, 1))
    weight_of_others = weights.sum(axis=0) - weights
    others = said.sum(axis=0) - said
    others /= np.maximum(weight_of_others, 1e-9)
    weights *= weight_of_others > 1e-9
    said *= weights > 0
    by_view = weights.sum(axis=1)
    if not by_view.any():
        return 1.0, 1.0  # nobody to ask, and so nothing that chance leaves
    of_view, of_others = said.sum(axis=1), (weights * others).sum(axis=1)
    by_chance = (of_view * of_others / np.maximum(by_view, 1e-9)).sum()
    alike = (said * others).sum()
    return float(alike / by_view.sum()), float(by_chance / by_view.sum())
