"""Which class the neighbours of a sample belong to, view by view."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tsguard.suspicion._views import Embedding

NEIGHBOURS = 7  # that vote ...
KNOWN_NEIGHBOURS = 10  # ... of so many that are looked up
POOL_LIMIT = 4000  # neighbours are searched among at most so many samples
SOME_MARGIN = 0.1  # of votes against a label, below which they mean little
FEW_VALUES = 64  # values of a sample; of fewer the views see the same, and natural groups too
CHUNK = 1024  # rows of one block of distances

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Votes:
    """What the neighbours of every sample say, its own label left aside.

    Attributes
    ----------
    weights : ndarray of shape (n_views,)
        How far the labels follow the view: its squared accuracy above chance, 0 to 1.
    contradiction : ndarray of shape (n_views, n_samples)
        Vote share of the strongest other class minus that of the given one, -1 to 1; above 0 the
        view contradicts the label.
    margin : ndarray of shape (n_samples,)
        The same for the weighted mean of all views.
    other : ndarray of shape (n_samples,)
        The strongest other class there.
    n_values : int
        Number of values of one sample: of few, all views see about the same.
    codes : ndarray of shape (n_samples,)
        Given class codes.
    neighbours : ndarray of shape (n_views, n_samples, n_neighbours)
        The nearest ones in each view, nearest first; a few more than vote.
    """

    weights: Floats
    contradiction: Floats
    margin: Floats
    other: Codes
    n_values: int
    codes: Codes
    neighbours: NDArray[np.int32]

    @cached_property
    def contradicted(self) -> Mask:
        """Whether each view contradicts each label, (n_views, n_samples)."""
        mask: Mask = self.contradiction > 0
        return mask

    @cached_property
    def named(self) -> NDArray[np.uint8]:
        """How many neighbours of each class a sample has, (n_views, n_samples, n_classes)."""
        shape = (*self.neighbours.shape[:2], int(self.codes.max()) + 1)
        named = np.zeros(shape, np.uint8)
        rows = np.ix_(np.arange(shape[0]), np.arange(shape[1]))
        for place in range(self.neighbours.shape[2]):
            named[(*rows, self.codes[self.neighbours[..., place]])] += 1
        return named

    @property
    def differ(self) -> float:
        """How far views differ, 0 to 1: of fewer than ``FEW_VALUES`` values, they hardly do."""
        return min(1.0, self.n_values / FEW_VALUES)

    @property
    def few_values(self) -> float:
        """The log of how many times fewer values than ``FEW_VALUES`` a sample has, 0 if more."""
        return float(np.log(1 / self.differ))


def collect_votes(
    views: list[Embedding], codes: Codes, n_classes: int, n_values: int, rng: np.random.Generator
) -> Votes:
    """Let the nearest neighbours of every sample vote in every view, the sample itself left out.

    Parameters
    ----------
    views : list of ndarray of shape (n_samples, n_features)
    codes : ndarray of shape (n_samples,)
        Given class codes.
    n_classes, n_values : int
        Values: of one sample.
    rng : numpy.random.Generator
        Draws the neighbours' pool where there are more than ``POOL_LIMIT`` samples.

    Returns
    -------
    Votes
    """
    n_samples = len(codes)
    pool = np.sort(rng.permutation(n_samples)[:POOL_LIMIT])
    place = np.full(n_samples, -1)
    place[pool] = np.arange(len(pool))
    n_neighbours = min(KNOWN_NEIGHBOURS, len(pool) - 1)
    weights = np.zeros(len(views))
    contradiction = np.zeros((len(views), n_samples))
    consensus = np.zeros((n_samples, n_classes))
    neighbours = np.empty((len(views), n_samples, n_neighbours), np.int32)
    for number, view in enumerate(views):
        neighbours[number] = pool[nearest(view, view[pool], n_neighbours, place)]
        voters = neighbours[number, :, :NEIGHBOURS]
        shares = _shares(codes[voters], n_classes, np.ones(voters.shape[1]))
        weights[number] = _weight(shares, codes, n_classes)
        contradiction[number], _ = against(shares, codes)
        consensus += weights[number] * shares
    consensus /= weights.sum() + 1e-9
    margin, other = against(consensus, codes)
    return Votes(weights, contradiction, margin, other, n_values, codes, neighbours)


def trusted_votes(
    views: list[Embedding],
    weights: Floats,
    codes: Codes,
    ask: Mask,
    n_classes: int,
    rng: np.random.Generator,
) -> Floats:
    """Let the samples that nobody doubts vote on the class of the others.

    Nearer neighbours count more (1, 1/2, 1/3, ...).

    Parameters
    ----------
    views : list of ndarray of shape (n_samples, n_features)
    weights : ndarray of shape (n_views,)
    codes : ndarray of shape (n_samples,)
        Given class codes.
    ask : ndarray of bool of shape (n_samples,)
        The doubted samples; they have no vote.
    n_classes : int
    rng : numpy.random.Generator
        Draws the neighbours' pool where more than ``POOL_LIMIT`` samples are trusted.

    Returns
    -------
    ndarray of shape (n_samples, n_classes)
        Vote shares that sum to 1, or rows of 0 (for samples not asked about, or without voters).
    """
    votes = np.zeros((len(codes), n_classes))
    doubted = np.flatnonzero(ask)
    pool = np.sort(rng.permutation(np.flatnonzero(~ask))[:POOL_LIMIT])
    if not len(doubted) or len(pool) < 2:
        return votes
    n_neighbours = min(NEIGHBOURS, len(pool))
    fading = 1 / np.arange(1, n_neighbours + 1)
    for weight, view in zip(weights, views, strict=True):
        neighbours = pool[nearest(view[doubted], view[pool], n_neighbours)]
        votes[doubted] += (weight + 1e-6) * _shares(codes[neighbours], n_classes, fading)
    votes /= np.maximum(votes.sum(axis=1, keepdims=True), 1e-12)
    return votes


def other_classes(votes: Floats, codes: Codes) -> Floats:
    """Return the vote shares of the classes other than the given one, again with a sum of 1.

    For samples whose given label is known to be wrong. Rows without other votes are 0.
    """
    others = votes.copy()
    others[np.arange(len(codes)), codes] = 0
    others /= np.maximum(others.sum(axis=1, keepdims=True), 1e-12)
    return others


def against(shares: Floats, codes: Codes) -> tuple[Floats, Codes]:
    """Say how far vote shares contradict the given labels, and for which class they are.

    Parameters
    ----------
    shares : ndarray of shape (n_samples, n_classes)
    codes : ndarray of shape (n_samples,)
        Given class codes.

    Returns
    -------
    margin : ndarray of shape (n_samples,)
        Share of the strongest other class minus the given one's, -1 to 1.
    other : ndarray of int64 of shape (n_samples,)
        That class.
    """
    rows = np.arange(len(codes))
    others = shares.copy()
    others[rows, codes] = -1
    return others.max(axis=1) - shares[rows, codes], others.argmax(axis=1)


def nearest(
    queries: Embedding, points: Embedding, n_neighbours: int, own: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """Return the nearest points of each query, nearest first.

    Parameters
    ----------
    queries : ndarray of float32 of shape (n_queries, n_features)
        Centred features: distances are taken in single precision.
    points : ndarray of float32 of shape (n_points, n_features)
    n_neighbours : int
        At most the number of points (less one if a query may be a point itself).
    own : ndarray of int64 of shape (n_queries,), optional
        The point that each query is itself, and that is left out (-1: there is none).

    Returns
    -------
    ndarray of int64 of shape (n_queries, n_neighbours)
    """
    squares = (points**2).sum(axis=1)
    found = np.empty((len(queries), n_neighbours), np.int64)
    for start in range(0, len(queries), CHUNK):
        distances = squares - 2 * queries[start : start + CHUNK] @ points.T
        if own is not None:
            rows = np.flatnonzero(own[start : start + CHUNK] >= 0)
            distances[rows, own[start + rows]] = np.inf
        _smallest(distances, found[start : start + CHUNK])
    return found


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _smallest(values: Embedding, places: NDArray[np.int64]) -> None:
    """Write where each row's smallest values are, smallest first, into ``places`` (n_rows, k).

    The k are few: keeping them sorted costs a seventh of a partition of the row.
    """
    n_wanted = places.shape[1]
    for row in range(len(values)):
        n_kept = 0
        for column in range(values.shape[1]):
            value = values[row, column]
            if n_kept == n_wanted and not value < values[row, places[row, n_wanted - 1]]:
                continue
            n_kept = min(n_kept + 1, n_wanted)
            place = n_kept - 1
            while place > 0 and value < values[row, places[row, place - 1]]:
                places[row, place] = places[row, place - 1]
                place -= 1
            places[row, place] = column


def unusually_contradicted(margin: Floats, in_class: Mask) -> Mask:
    """Return whose content contradicts the label more than that of nine in ten outside the class.

    Parameters
    ----------
    margin : ndarray of shape (n_samples,)
        As in :class:`Votes`; above 0 = contradicted.
    in_class : ndarray of bool of shape (n_samples,)

    Returns
    -------
    ndarray of bool of shape (n_samples,)
    """
    contradicted: Mask = margin > max(0.0, float(np.quantile(margin[~in_class], 0.9)))
    return contradicted


def plain_contradiction(margin: Floats) -> float:
    """Return the margin above which a label is plainly contradicted, at least a tenth.

    Parameters
    ----------
    margin : ndarray of shape (n_others,)
        Of samples that are not in question: one in a hundred of them has more by chance.

    Returns
    -------
    float
    """
    return max(float(np.quantile(margin, 0.99)), SOME_MARGIN)


def _shares(labels: Codes, n_classes: int, counts: Floats) -> Floats:
    """Return the weighted share of each class among the neighbours' labels (n, k) as (n, K)."""
    shares = np.zeros((len(labels), n_classes))
    for column, count in zip(labels.T, counts / counts.sum(), strict=True):
        shares[np.arange(len(labels)), column] += count
    return shares


def _weight(shares: Floats, codes: Codes, n_classes: int) -> float:
    """Return the squared balanced accuracy of the votes, corrected for chance."""
    hit = shares.argmax(axis=1) == codes
    sizes = np.bincount(codes, minlength=n_classes)
    recalls = (np.bincount(codes, hit, minlength=n_classes) / np.maximum(sizes, 1))[sizes > 1]
    accuracy = recalls.mean() if len(recalls) else 0.0
    return float(max(0.0, (accuracy - 1 / n_classes) / (1 - 1 / n_classes)) ** 2)
