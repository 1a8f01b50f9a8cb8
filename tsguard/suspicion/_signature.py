"""Which samples share something that all others lack.

A trigger is common to the poisoned samples and to nobody else, not even to the rest of the class
they claim to be. Natural groups inside a class share its features with the class's core. So the
question put to every sample is: "does it have what this group has, and all others lack?", answered
by ridge regression of the group's indicator on rich features, leaving the sample itself out.
"""

import numpy as np
from numpy.typing import NDArray

from tsguard.suspicion._views import Embedding
from tsguard.suspicion._votes import Codes, Floats, Mask, Votes, unusually_contradicted

DUAL_LIMIT = 1500  # up to here the ridge is solved by samples, above by features
PROJECTION = 256  # size to which a block of features is projected above DUAL_LIMIT
RIDGE = 0.1  # penalty, as a share of the mean eigenvalue
MAX_SEEDS = 200  # samples of a class that start a group with their closest partners
MIN_SIGNATURE = 3.0  # deviations that a member of a group must stand out
SIGNATURE_SHARE = 0.5  # ... and the share of the members' median
# The same while a group grows, step by step. A few members leave most of the poison among those who
# lack what they share, so at first the others stand out little ...
GROWTH_SHARES = (0.15, 0.15, 0.2, 0.2, 0.3, 0.3, 0.3, 0.3)
# ... and in a large class many honest samples stand out by chance: of all, only the first may join.
GROWTH, FREE_GROWTH = 3, 10  # size after a step: at most three times that before, and ten
HELPED_SIGNATURE = 1.0  # deviations that do where the content contradicts the label as well
MIN_MEMBERS = 2  # what one sample alone has is no pattern
YARDSTICK = 1000  # samples outside a class, at most, that say what is usual there
ONE_DEVIATION = (0.16, 0.5, 0.84)  # quantiles one deviation below, at and above the middle

Places = NDArray[np.intp] | slice  # of samples; a slice for all of them, whom nobody need copy


class Signature:
    """Leave-one-out ridge regression of groups on features: one solve serves every group.

    Parameters
    ----------
    blocks : list of ndarray of shape (n_samples, n_features)
        Standardised features; every block gets the same say.
    rng : numpy.random.Generator
        Draws the random projection of large sets, and the samples that serve as a yardstick.
    """

    def __init__(self, blocks: list[Embedding], rng: np.random.Generator) -> None:
        n_samples = len(blocks[0])
        self._features: Floats | None = None
        self._order = rng.permutation(n_samples)
        if n_samples <= DUAL_LIMIT:
            kernel = sum(block @ block.T / block.shape[1] for block in blocks).astype(np.float64)
            kernel -= kernel.mean(axis=0)
            kernel -= kernel.mean(axis=1)[:, None]
            penalty = RIDGE * np.trace(kernel) / n_samples + 1e-9
            self._inverse = np.linalg.inv(kernel + penalty * np.eye(n_samples) + 1 / n_samples)
            self._leverage = np.diag(self._inverse).copy()
            return
        features = np.hstack([_project(block, rng) for block in blocks]).astype(np.float64)
        self._features = features - features.mean(axis=0)
        covariance = self._features.T @ self._features
        penalty = RIDGE * np.trace(covariance) / n_samples + 1e-9
        self._ridge = covariance + penalty * np.eye(len(covariance))
        self._solution = np.linalg.solve(self._ridge, self._features.T)
        hat = np.einsum("ij,ji->i", self._features, self._solution)
        self._leverage = np.maximum(1 - 1 / n_samples - hat, 1e-6)

    def z_scores(self, groups: Mask, in_class: Mask) -> Floats:
        """Say how much every sample has of what each group has in common.

        Parameters
        ----------
        groups : ndarray of bool of shape (n_samples, n_groups)
        in_class : ndarray of bool of shape (n_samples,)
            The class that the groups are part of; the samples outside it are the yardstick, by
            quantiles, so that a few of them may carry the same trigger.

        Returns
        -------
        ndarray of shape (n_samples, n_groups)
            In standard deviations of the samples outside the class; higher = more of it.
        """
        own = (groups & in_class[:, None]).astype(np.float64)
        return self._scores(groups[in_class], in_class, slice(None), own)

    def inner_scores(self, groups: Mask, in_class: Mask) -> Floats:
        """Return the same for the members of the class alone, at a fraction of the cost.

        Parameters
        ----------
        groups : ndarray of bool of shape (n_members, n_groups)
        in_class : ndarray of bool of shape (n_samples,)

        Returns
        -------
        ndarray of shape (n_members, n_groups)
        """
        own = groups.astype(np.float64)
        return self._scores(groups, in_class, np.flatnonzero(in_class), own)

    def _scores(self, groups: Mask, in_class: Mask, asked: Places, own: Floats) -> Floats:
        """Return the scores of the samples asked about, whose indicator is ``own``.

        ``groups`` has the members' rows only.
        """
        members = np.flatnonzero(in_class)
        indicator = groups.astype(np.float64)
        solved = self._inverse if self._features is None else self._solution
        weights = solved[:, members] @ indicator
        share = indicator.sum(axis=0) / len(in_class)
        yardstick = self._order[~in_class[self._order]][:YARDSTICK]
        usual = self._predict(weights, share, yardstick, np.zeros((1, groups.shape[1])))
        low, middle, high = np.quantile(usual, ONE_DEVIATION, axis=0)
        scores = self._predict(weights, share, asked, own)
        scores -= middle
        scores /= (high - low) / 2 + 1e-9
        return scores

    def _predict(self, weights: Floats, share: Floats, asked: Places, own: Floats) -> Floats:
        """Return what all other samples say of those asked about, whose indicator is ``own``."""
        if self._features is None:
            residual = weights[asked]
        else:
            residual = own - share - self._features[asked] @ weights
        predicted: Floats = own - residual / self._leverage[asked, None]
        return predicted

    def support(self, groups: Mask) -> Floats:
        """Return how much groups speak for each other, all other samples given.

        Parameters
        ----------
        groups : ndarray of bool of shape (n_samples, n_groups)
            Each of at least two samples.

        Returns
        -------
        ndarray of shape (n_groups, n_groups)
            Means over the pairs of two different samples; on the diagonal those within a group.
        """
        indicator = groups.astype(np.float64)
        shared = indicator.T @ indicator
        size = np.diag(shared)
        if self._features is None:
            together = -indicator.T @ (self._inverse @ indicator)
        else:
            features, solved = self._features.T @ indicator, self._solution @ indicator
            together = features.T @ solved + np.outer(size, size) / len(groups) - shared
        together += indicator.T @ (self._leverage[:, None] * indicator)
        support: Floats = together / (np.outer(size, size) - shared)
        return support

    def left_out(self, group: Mask, out: Mask) -> tuple[float, float]:
        """Say how much of a group's pattern samples have that the regression has not learned.

        Parameters
        ----------
        group, out : ndarray of bool of shape (n_samples,)
            Without common members.

        Returns
        -------
        own, theirs : float
            Medians of the members, each left out as well, and of ``out``, in standard deviations
            of the other samples.
        """
        others = self._order[~(group | out)[self._order]][:YARDSTICK]
        asked, held = np.append(np.flatnonzero(group), others), np.flatnonzero(out)
        indicator = group.astype(np.float64)
        if self._features is None:
            residual = self._inverse @ indicator
            within, across = self._inverse[held][:, held], self._inverse[asked][:, held]
        else:
            mean = 1 / len(group)
            residual = indicator - indicator.mean()
            residual -= self._features @ (self._solution @ indicator)
            within = np.eye(len(held)) - mean - self._features[held] @ self._solution[:, held]
            across = -mean - self._features[asked] @ self._solution[:, held]
        # Leaving samples out of a ridge regression is a small solve in what is left of them.
        solved = np.linalg.solve(within, np.column_stack([residual[held], across.T]))
        theirs, spread = -solved[:, 0], solved[:, 1:]
        leverage = self._leverage[asked] - np.einsum("ij,ji->i", across, spread)
        scores = indicator[asked] - (residual[asked] + across @ theirs) / leverage
        n_members = len(asked) - len(others)
        low, middle, high = np.quantile(scores[n_members:], ONE_DEVIATION)
        deviation = (high - low) / 2 + 1e-9
        own, of_out = np.median(scores[:n_members]), np.median(theirs)
        return float((own - middle) / deviation), float((of_out - middle) / deviation)

    def class_scores(
        self, codes: Codes, doubted: Mask, n_classes: int
    ) -> tuple[Floats, NDArray[np.intp], Floats]:
        """Regress classes on the features of the samples that nobody doubts.

        Parameters
        ----------
        codes : ndarray of shape (n_samples,)
            Given class codes.
        doubted : ndarray of bool of shape (n_samples,)
            Whom the regression does not learn.
        n_classes : int

        Returns
        -------
        scores : ndarray of shape (n_doubted, n_classes)
            Of the doubted: about 1 for the class they have, 0 for the others.
        asked : ndarray of int of shape (n_asked,)
            Trusted samples, at most ``YARDSTICK``, that tell how far such scores can be believed.
        left_out : ndarray of shape (n_asked, n_classes)
            Their scores, each by a regression that has not learned it.
        """
        trusted = np.flatnonzero(~doubted)
        asked = self._order[~doubted[self._order]][:YARDSTICK]
        indicator, given = np.eye(n_classes)[codes[trusted]], np.eye(n_classes)[codes[asked]]
        mean = indicator.mean(axis=0)
        indicator -= mean
        if self._features is None:
            own, across = self._inverse[doubted][:, doubted], self._inverse[doubted][:, trusted]
            between = np.linalg.solve(own, across)
            scores = -between @ indicator
            # What is left of the inverse once rows and columns are taken out of the matrix.
            place = np.searchsorted(trusted, asked)
            reduced = self._inverse[asked][:, trusted] - across[:, place].T @ between
            residual = reduced @ indicator / reduced[np.arange(len(asked)), place][:, None]
        else:
            out, some = self._features[doubted], self._features[asked]
            ridge = self._ridge - out.T @ out
            solution = np.linalg.solve(ridge, self._features[trusted].T @ indicator)
            scores = out @ solution
            hat = np.einsum("ij,ji->i", some, np.linalg.solve(ridge, some.T))
            residual = given - mean - some @ solution
            residual /= np.maximum(1 - hat, 1e-6)[:, None]
        return scores + mean, asked, given - residual

    def affinity(self, members: NDArray[np.intp], picked: NDArray[np.intp]) -> Floats:
        """Return the partial correlation of members with picked ones, all other samples given.

        Shape (n_members, n_picked); a sample's affinity to itself is minus infinity.
        """
        others = members[picked]
        if self._features is None:
            block = self._inverse[np.ix_(members, others)]
        else:
            block = -self._features[members] @ self._solution[:, others]
        scale = np.sqrt(np.outer(self._leverage[members], self._leverage[others]))
        affinity: Floats = -block / scale
        affinity[picked, np.arange(len(picked))] = -np.inf
        return affinity


def find_groups(
    signature: Signature,
    votes: Votes,
    in_class: Mask,
    rng: np.random.Generator,
    *,
    content_helps: bool = True,
) -> Mask:
    """Return the groups inside a class that share something all other samples lack.

    Many impure seeds (samples that a view contradicts; samples with their closest partners) are
    each replaced by the members of the class that have what the seed has in common, again and
    again. Seeds that hold a few poisoned samples end at the poison.

    Parameters
    ----------
    signature : Signature
    votes : Votes
    in_class : ndarray of bool of shape (n_samples,)
    rng : numpy.random.Generator
        Draws the samples that start a group, in large classes.
    content_helps : bool, default=True
        Also look for groups in which a weak signature does where the content contradicts the label.

    Returns
    -------
    ndarray of bool of shape (n_samples, n_groups)
        Distinct groups of at least ``MIN_MEMBERS`` samples.
    """
    seeds = _seeds(signature, votes, in_class, rng)
    members = np.flatnonzero(in_class)
    groups = _converge(signature, seeds, in_class, np.zeros(len(members), bool))
    if content_helps:
        contradicted = unusually_contradicted(votes.margin, in_class)[members]
        helped = _converge(signature, seeds, in_class, contradicted)
        groups = _distinct(np.hstack([groups, helped]))
    groups = groups[:, groups.sum(axis=0) >= MIN_MEMBERS]
    found = np.zeros((len(in_class), groups.shape[1]), bool)
    found[members] = groups
    return found


def regrow(signature: Signature, votes: Votes, in_class: Mask, group: Mask) -> Mask:
    """Return the group that a part of one, or any other seed, grows into; content helps.

    Parameters
    ----------
    signature : Signature
    votes : Votes
    in_class : ndarray of bool of shape (n_samples,)
    group : ndarray of bool of shape (n_samples,)
        Members of the class.

    Returns
    -------
    ndarray of bool of shape (n_samples,)
        The group itself if it grows into nothing.
    """
    contradicted = unusually_contradicted(votes.margin, in_class)[in_class]
    grown = _converge(signature, group[in_class, np.newaxis], in_class, contradicted)
    found = group.copy()
    if grown.shape[1]:
        found[in_class] = grown[:, 0]
    return found


def _converge(signature: Signature, groups: Mask, in_class: Mask, contradicted: Mask) -> Mask:
    """Replace groups by the members of the class that have what the group shares, repeatedly.

    A member stands out by its signature, or less so if its content contradicts its label too. A
    group grows by and by: its first few members say little of who else belongs to it.
    ``groups`` (n_members, n_groups) and ``contradicted`` (n_members,) have the members' rows only.
    """
    least = np.where(contradicted, HELPED_SIGNATURE, MIN_SIGNATURE)[:, None]
    for step, share in enumerate(GROWTH_SHARES):
        if groups.shape[1] == 0:
            break
        scores = signature.inner_scores(groups, in_class)
        middle = member_quantile(scores, groups, 0.5)
        needed = np.maximum(least, np.where(contradicted[:, None], 0, share * middle))
        joined = scores > needed
        if step == 0:  # a seed that nobody joins may be too impure: go on with its better half
            lonely = joined.sum(axis=0) < 4
            joined[:, lonely] = (groups & (scores >= middle))[:, lonely]
        most = np.minimum(GROWTH * groups.sum(axis=0) + FREE_GROWTH, len(groups))
        joined &= scores >= np.sort(scores, axis=0)[-most, np.arange(len(most))]
        groups = _distinct(joined[:, joined.sum(axis=0) >= 2])
    return groups


def _distinct(groups: Mask) -> Mask:
    """Return distinct columns in the order of ``np.unique(groups, axis=1)``, for less time."""
    if groups.shape[1] == 0:
        return groups
    packed = np.packbits(groups, axis=0).T.copy()  # (n_groups, n_bytes): order of bits is order of
    rows = packed.view(f"V{packed.shape[1]}")[:, 0]  # columns, so bytes sort as columns would
    return groups[:, np.unique(rows, return_index=True)[1]]


def member_quantile(scores: Floats, groups: Mask, quantile: float) -> Floats:
    """Return a quantile of the scores (n, groups) over the members of each group, (groups,)."""
    ordered = np.sort(np.where(groups, scores, np.inf), axis=0)
    place = np.round(quantile * (groups.sum(axis=0) - 1)).astype(int)
    picked: Floats = ordered[place, np.arange(groups.shape[1])]
    return picked


def _seeds(signature: Signature, votes: Votes, in_class: Mask, rng: np.random.Generator) -> Mask:
    """Return starting groups: samples each view contradicts, samples with their partners.

    One row per member of the class.
    """
    members = np.flatnonzero(in_class)
    margins = [*votes.contradiction, votes.margin]
    groups = [margin[members] > level for margin in margins for level in (0.0, 0.4)]
    if len(members) >= 6:
        picked = np.sort(rng.permutation(len(members))[:MAX_SEEDS])
        affinity = signature.affinity(members, picked)
        columns = np.arange(len(picked))
        for n_partners in (2, 5):
            started = np.zeros((len(members), len(picked)), bool)
            started[picked, columns] = True
            for row in np.argpartition(-affinity, n_partners, axis=0)[:n_partners]:
                started[row, columns] = True
            groups += list(started.T)
    groups = [group for group in groups if group.sum() >= 2]
    if not groups:
        return np.zeros((len(members), 0), bool)
    return _distinct(np.array(groups).T)


def _project(block: Embedding, rng: np.random.Generator) -> Embedding:
    """Shrink a wide block by a random projection, which keeps distances about as they are."""
    scaled = block / np.float32(np.sqrt(block.shape[1]))
    if block.shape[1] <= PROJECTION:
        return scaled
    directions = rng.standard_normal((block.shape[1], PROJECTION), np.float32)
    projected: Embedding = scaled @ (directions / np.float32(np.sqrt(PROJECTION)))
    return projected
