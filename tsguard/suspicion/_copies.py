"""Which samples are copies of each other, so that none counts twice as a witness."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tsguard.suspicion._views import Embedding
from tsguard.suspicion._votes import NEIGHBOURS, Codes, nearest

COPY = 0.1  # distance of a copy, as a share of the usual one to the last of a few neighbours
SAME = 1e-4  # ... and as a share of a sample's size, whatever is usual: far above rounding errors


def distinct_samples(view: Embedding, codes: Codes) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Find samples that are the same but for a little noise, and have the same label.

    Records entered twice, oversampled classes: a copy votes for its own twin's label and has all in
    common with it, so that any few copies look like a group with a trigger.

    Parameters
    ----------
    view : ndarray of float32 of shape (n_samples, n_features)
    codes : ndarray of shape (n_samples,)
        Given class codes.

    Returns
    -------
    kept : ndarray of shape (n_distinct,)
        Places of the distinct samples: of copies, the first.
    place : ndarray of shape (n_samples,)
        Where among ``kept`` each sample, or the one that it is a copy of, is.
    """
    n_samples = len(codes)
    everybody = np.arange(n_samples)
    neighbours = nearest(view, view, min(NEIGHBOURS, n_samples - 1), everybody)
    distances = np.stack([np.linalg.norm(view - view[own], axis=1) for own in neighbours.T], axis=1)
    # A few series with one trigger are near each other beside all others, yet no copies.
    usual = np.minimum(distances[:, -1:], np.median(distances[:, -1]))
    # Of more copies than neighbours are looked at, the last is as near as the first.
    rounding = SAME * np.median(np.linalg.norm(view, axis=1))
    same = codes[neighbours] == codes[:, np.newaxis]
    rows, columns = np.nonzero(same & (distances <= np.maximum(COPY * usual, rounding)))
    pairs = coo_array((np.ones(len(rows)), (rows, neighbours[rows, columns])), (n_samples,) * 2)
    copies = connected_components(pairs, directed=False)[1]
    _, kept, place = np.unique(copies, return_index=True, return_inverse=True)
    return kept, place
