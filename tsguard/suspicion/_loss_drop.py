"""Loss drop: what a network learns unusually fast is suspect.

A trigger is a strong, simple pattern, so on many data sets the loss of poisoned samples drops
before that of clean ones (Li et al., "Anti-Backdoor Learning", NeurIPS 2021). On time series the
opposite is as common: easy content is learned first and poison stays behind like label noise.
"""

import numpy as np
from numpy.typing import NDArray

from tsguard.suspicion._verdict import UNKNOWN, Verdict


def loss_drop_suspicion(losses: NDArray[np.float32], n_recent: int = 3) -> NDArray[np.float64]:
    """Turn the losses of training into suspicion: the lower the loss, the higher.

    Parameters
    ----------
    losses : ndarray of shape (n_epochs, n_samples)
        Loss of each sample against its given label, nats, one row per epoch so far.
    n_recent : int, default=3
        Epochs that are averaged, the last ones; a single epoch is noisy.

    Returns
    -------
    ndarray of shape (n_samples,)
        From 0 (highest loss) to 1 (lowest), evenly spaced ranks; higher = more suspicious.
    """
    recent = losses[-n_recent:].mean(axis=0)
    ranks = np.empty(len(recent))
    ranks[np.argsort(-recent, kind="stable")] = np.arange(len(recent))
    return ranks / max(1, len(recent) - 1)


def split_rate(losses: NDArray[np.float32], n_recent: int = 3, highest: float = 0.2) -> float:
    """Estimate which share of the samples has unusually low loss.

    The logarithms of the losses are cut in two where the variance between the parts is largest
    (Otsu, 1979).

    Parameters
    ----------
    losses : ndarray of shape (n_epochs, n_samples)
    n_recent : int, default=3
        Epochs that are averaged.
    highest : float, default=0.2
        Largest rate returned: past a fifth of the data, "unusual" has lost its meaning.

    Returns
    -------
    float
        Between 0 and ``highest``.
    """
    values = np.sort(np.log(losses[-n_recent:].mean(axis=0).astype(np.float64) + 1e-12))
    n_samples = len(values)
    below = np.arange(1, n_samples)
    sums = np.cumsum(values)[:-1]
    means_below, means_above = sums / below, (values.sum() - sums) / (n_samples - below)
    between = below * (n_samples - below) * (means_above - means_below) ** 2
    return float(min(highest, below[between.argmax()] / n_samples))


def loss_drop_verdict(
    losses: NDArray[np.float32],
    codes: NDArray[np.int64],
    believed: NDArray[np.int64],
    *,
    isolation_rate: float | None,
    recovery_rate: float,
) -> Verdict:
    """Isolate the samples of lowest loss and give them the class that the main head believes in.

    Parameters
    ----------
    losses : ndarray of shape (n_epochs, n_samples)
        Loss of the trap head against the given label, nats.
    codes : ndarray of shape (n_samples,)
        Given class codes.
    believed : ndarray of shape (n_samples,)
        Class codes that the main head predicts.
    isolation_rate : float or None
        Share of samples to isolate; ``None`` estimates it.
    recovery_rate : float
        Share of the isolated samples, most suspicious first, that get a recovered class; the
        others stay out of the main head's training.

    Returns
    -------
    Verdict
    """
    rate = split_rate(losses) if isolation_rate is None else isolation_rate
    suspicion = loss_drop_suspicion(losses)
    suspect = top_share(suspicion, rate)
    recovered = codes.copy()
    recovered[suspect] = UNKNOWN
    rescued = top_share(np.where(suspect, suspicion, -1.0), rate * recovery_rate)
    recovered[rescued] = believed[rescued]
    counts = np.bincount(codes[suspect], minlength=1)
    majority = 2 * counts.max() > suspect.sum() > 0
    reasons = tuple("its loss fell unusually fast" if flag else "" for flag in suspect)
    targets = tuple(map(int, [counts.argmax()] if majority else np.flatnonzero(counts)))
    return Verdict(suspicion, suspect, recovered, np.zeros_like(suspect), targets, reasons)


def top_share(scores: NDArray[np.float64], share: float) -> NDArray[np.bool_]:
    """Return who has the highest scores.

    Parameters
    ----------
    scores : ndarray of shape (n_samples,)
    share : float
        Of the samples to take, 0 to 1, rounded to a whole number of them.

    Returns
    -------
    ndarray of bool of shape (n_samples,)
        Of equal scores the first are taken.
    """
    mask = np.zeros(len(scores), bool)
    mask[np.argsort(-scores, kind="stable")[: round(share * len(scores))]] = True
    return mask
