"""A matched filter for the trigger: who has what the suspects have in common."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.linear_model import Ridge
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from tsguard.suspicion._signature import MIN_MEMBERS, RIDGE
from tsguard.suspicion._votes import Floats, Mask

LIMIT = 2000  # samples from which the filter is learned, at most
N_FOLDS = 5

Block = NDArray[np.float32]


def draw_for_filter(members: Mask, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return the samples from which a filter is learned: at most ``LIMIT``, suspects and others.

    Parameters
    ----------
    members : ndarray of bool of shape (n_samples,)
        The suspects.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of int
        Sorted rows.
    """
    others = rng.permutation(np.flatnonzero(~members))[: max(LIMIT - members.sum(), LIMIT // 2)]
    suspects = rng.permutation(np.flatnonzero(members))[: LIMIT // 2]
    return np.sort(np.concatenate([others, suspects]))


def fit_trigger_filter(blocks: list[Block], members: Mask) -> Floats | None:
    """Learn what the suspects have and all other samples lack.

    Ridge regression of the suspects' indicator on all blocks, each with the same say; its zero is
    put halfway between the suspects and the others, and its unit is one deviation of the others,
    both on held-out folds.

    Parameters
    ----------
    blocks : list of ndarray of shape (n_samples, n_features of the block)
        Features of the samples; see :func:`draw_for_filter`.
    members : ndarray of bool of shape (n_samples,)
        The suspects.

    Returns
    -------
    ndarray of shape (n_features + 1,) or None
        Weights of all features and, last, the constant; None if there are fewer than
        ``MIN_MEMBERS`` suspects, or others.
    """
    if min(members.sum(), (~members).sum()) < MIN_MEMBERS:
        return None
    features = np.hstack([block.reshape(len(block), -1) for block in blocks]).astype(float)
    sizes = [block[0].size for block in blocks]
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    varies = deviation > 1e-6 * (np.abs(features).max(axis=0) + 1e-12)
    unit = np.where(varies, deviation, np.inf) * np.sqrt(np.repeat(sizes, sizes))
    features = (features - mean) / unit

    ridge = Ridge(alpha=RIDGE * float((features**2).sum()) / len(members) + 1e-9)
    folds = StratifiedKFold(min(N_FOLDS, int(members.sum()), int((~members).sum())))
    held_out = cross_val_predict(ridge, features, members.astype(float), cv=folds)
    spread = held_out[~members].std() + 1e-9
    halfway = (held_out[~members].mean() + np.median(held_out[members])) / 2
    ridge.fit(features, members.astype(float))
    weights = ridge.coef_ / unit / spread
    constant = (ridge.intercept_ - halfway) / spread - weights @ mean
    trigger_filter: Floats = np.append(weights, constant)
    return trigger_filter


def trigger_probability(blocks: list[Block], trigger_filter: Floats) -> Floats:
    """Return from 0 to 1 how surely each sample has what the suspects had.

    Parameters
    ----------
    blocks : list of ndarray of shape (n_samples, n_features of the block)
        The same features that the filter was learned from.
    trigger_filter : ndarray of shape (n_features + 1,)
        As :func:`fit_trigger_filter` returned it.

    Returns
    -------
    ndarray of shape (n_samples,)

    Raises
    ------
    ValueError
        If the filter is of other features.
    """
    features = np.hstack([block.reshape(len(block), -1) for block in blocks])
    if trigger_filter.shape != (features.shape[1] + 1,):
        raise ValueError(
            f"trigger_filter_ must have shape ({features.shape[1] + 1},) for this network and "
            f"these series, got {trigger_filter.shape}; fit again, or load another copy."
        )
    probability: Floats = expit(features @ trigger_filter[:-1] + trigger_filter[-1])
    return probability
