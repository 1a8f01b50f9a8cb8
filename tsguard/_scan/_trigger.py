"""What the suspects have and series like them have not: an estimate of the trigger."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tsguard._validation import Panel
from tsguard.suspicion import UNKNOWN, nearest

N_NEIGHBOURS = 3


@dataclass(frozen=True, eq=False)
class TriggerEstimate:
    """A picture of the trigger.

    Attributes
    ----------
    shape : ndarray of float64 of shape (n_channels, n_timepoints)
        What is added to a series, in the data's unit.
    channel : int
        The channel that it changes most, relative to that channel's spread.
    host : int
        Number of a typical series that does not carry it.
    n_suspects : int
        Suspects that it was averaged over.
    """

    shape: NDArray[np.float64]
    channel: int
    host: int
    n_suspects: int


def nearest_unsuspected(
    panel: Panel,
    suspect: NDArray[np.bool_],
    codes: NDArray[np.int64],
    recovered: NDArray[np.int64],
    n_neighbours: int = N_NEIGHBOURS,
) -> dict[int, NDArray[np.intp]]:
    """Find the series that each suspect most looks like, among the unsuspected of its true class.

    Parameters
    ----------
    panel : ndarray of shape (n_samples, n_channels, n_timepoints)
    suspect : ndarray of bool of shape (n_samples,)
    codes : ndarray of int64 of shape (n_samples,)
        Given class codes.
    recovered : ndarray of int64 of shape (n_samples,)
        Recovered class codes; for ``UNKNOWN`` neighbours of any other class than the given one
        are taken.
    n_neighbours : int, default=3

    Returns
    -------
    dict of int to ndarray of int
        Per suspect, nearest first (Euclidean distance, channels scaled alike); fewer where there
        are not so many.
    """
    # Centred, in double precision: far from 0 single-precision distances are noise.
    mean = panel.mean(axis=(0, 2), dtype=np.float64, keepdims=True)
    spread = panel.std(axis=(0, 2), dtype=np.float64, keepdims=True)
    scaled = (panel - mean) / np.where(spread > 0, spread, 1)
    flat = scaled.reshape(len(panel), -1).astype(np.float32)
    found: dict[int, NDArray[np.intp]] = {}
    keys = np.where(recovered == UNKNOWN, -1 - codes, recovered)
    for key in np.unique(keys[suspect]):
        allowed = codes == key if key >= 0 else codes != -1 - key
        pool = np.flatnonzero(allowed & ~suspect)
        asking = np.flatnonzero(suspect & (keys == key))
        near = pool[nearest(flat[asking], flat[pool], min(n_neighbours, len(pool)))]
        found |= {int(one): row for one, row in zip(asking, near, strict=True)}
    return found


def estimate_trigger(
    panel: Panel,
    suspects: NDArray[np.intp],
    codes: NDArray[np.int64],
    neighbours: dict[int, NDArray[np.intp]],
) -> TriggerEstimate | None:
    """Average what distinguishes suspects from the series that they most look like.

    The mean over the suspects of (suspect - mean of its neighbours). Where the trigger is at a
    place of its own in every series, or shifts or warps them, the mean blurs it.

    Parameters
    ----------
    panel : ndarray of shape (n_samples, n_channels, n_timepoints)
    suspects : ndarray of int of shape (n_suspects,)
        Numbers of the suspects of one accused class.
    codes : ndarray of int64 of shape (n_samples,)
        Given class codes.
    neighbours : dict of int to ndarray of int
        From :func:`nearest_unsuspected`.

    Returns
    -------
    TriggerEstimate or None
        None if no suspect has neighbours.
    """
    used = [int(one) for one in suspects if len(neighbours.get(int(one), ()))]
    if not used:
        return None
    shape = np.zeros(panel.shape[1:])
    for one in used:
        shape += panel[one] - panel[neighbours[one]].mean(axis=0, dtype=np.float64)
    shape /= len(used)
    spread = panel.std(axis=(0, 2))
    channel = int((np.abs(shape).max(axis=1) / np.where(spread > 0, spread, 1)).argmax())
    return TriggerEstimate(shape, channel, _typical(panel, codes, neighbours, used), len(used))


def _typical(
    panel: Panel,
    codes: NDArray[np.int64],
    neighbours: dict[int, NDArray[np.intp]],
    used: list[int],
) -> int:
    """Return the neighbour that is closest to the mean of its class, of the commonest class."""
    hosts = np.unique(np.concatenate([neighbours[one] for one in used]))
    values, counts = np.unique(codes[hosts], return_counts=True)
    hosts = hosts[codes[hosts] == values[counts.argmax()]]
    distance = ((panel[hosts] - panel[hosts].mean(axis=0)) ** 2).sum(axis=(1, 2))
    return int(hosts[distance.argmin()])
