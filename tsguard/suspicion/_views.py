"""What a series looks like without its label: several views, in each of which some triggers vanish.

A trigger hides in one aspect of a series (a few time steps, a frequency, everywhere a little).
Seen through another aspect, the series looks like what it really is. This is the one module here
that knows that the data are series; the others work on the embeddings it returns.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct, idct
from scipy.linalg import eigh

from tsguard._random import global_generators_kept
from tsguard._validation import Panel

Embedding = NDArray[np.float32]

SPECTRUM = 2  # place of the spectrum among the plain blocks

VIEW_DIM = 64
"""Principal components kept of each view: distances need no more, and memory stays O(n)."""

PRINCIPAL_LIMIT = 2000
"""Samples, at most, that tell the components of samples with as many features or more."""


@dataclass(frozen=True)
class Views:
    """Embeddings of a training set.

    Attributes
    ----------
    content : list of ndarray of shape (n_samples, <= VIEW_DIM)
        One embedding per view, for nearest neighbours.
    signature : list of ndarray of shape (n_samples, n_features)
        Blocks of standardised features in which a trigger can be a direction.
    n_values : int
        Number of values of one sample.
    """

    content: list[Embedding]
    signature: list[Embedding]
    n_values: int

    def of(self, samples: NDArray[np.intp]) -> "Views":
        """Return the views of some of the samples."""
        content = [view[samples] for view in self.content]
        return Views(content, [block[samples] for block in self.signature], self.n_values)


def series_views(panel: Panel, rng: np.random.Generator) -> Views:
    """Embed a panel of series.

    Content views: the series itself, its low (5, 10, 20 %) and high frequencies (discrete cosine
    transform), its first, middle and last third, its amplitude spectrum, and the convolutional
    features of MiniRocket (Dempster et al., 2021) of the whole series, smoothed, and of its halves.

    Parameters
    ----------
    panel : ndarray of shape (n_samples, n_channels, n_timepoints)
    rng : numpy.random.Generator
        Draws the seeds of MiniRocket's biases.

    Returns
    -------
    Views
    """
    # Sums in double precision: float32 drifts by whole deviations on channels far from 0.
    mean = panel.mean((0, 2), dtype=np.float64, keepdims=True)
    deviation = panel.std((0, 2), dtype=np.float64, keepdims=True)
    # What keeps constant channels from a division by 0 must be small beside any unit.
    least = 1e-8 * min(1.0, 1e3 * float(deviation.max())) or 1.0
    series: Panel = ((panel - mean) / (deviation + least)).astype(np.float32)
    n_timepoints = series.shape[2]
    cosines = dct(series, axis=2, norm="ortho")
    cuts = [max(3, int(share * n_timepoints)) for share in (0.05, 0.1, 0.2)]
    low, high = cosines.copy(), cosines.copy()
    low[:, :, cuts[1] :] = 0
    high[:, :, : cuts[1]] = 0
    first, second, half = n_timepoints // 3, 2 * n_timepoints // 3, max(1, n_timepoints // 2)
    blocks = plain_blocks(series)
    plain = [
        series,
        high,
        series[:, :, : first + 1],
        series[:, :, first : second + 1],
        series[:, :, second:],
        blocks[SPECTRUM],
        *(cosines[:, :, :cut] for cut in cuts),
    ]
    content = [_principal(view.reshape(len(view), -1)) for view in plain]
    rocket = _standardise(_minirocket(series, 2000, rng))
    content.append(_principal(rocket))
    for part in (idct(low, axis=2, norm="ortho"), series[:, :, :half], series[:, :, half:]):
        if part.shape[2]:  # one at a time: these features are most of the memory
            content.append(_principal(_standardise(_minirocket(part, 1000, rng))))
    signature = [rocket, *(_standardise(block) for block in blocks)]
    return Views(content, signature, series[0].size)


def plain_blocks(series: Panel) -> list[Panel]:
    """Return plain features in which a trigger is a direction.

    Parameters
    ----------
    series : ndarray of float32 of shape (n_samples, n_channels, n_timepoints)
        Scaled.

    Returns
    -------
    list of ndarray of shape (n_samples, n_channels, n_features of the block)
        The values, the steps between them, the log amplitude spectrum, and the largest steps
        wherever they are.
    """
    steps = np.diff(series, axis=2) if series.shape[2] > 1 else series
    largest_steps = np.sort(np.abs(steps), axis=2)[:, :, -5:]
    return [series, steps, _log_spectrum(series), largest_steps]


def _log_spectrum(series: Panel) -> Panel:
    """Return the log amplitude spectrum of each channel; the offset keeps empty bins quiet."""
    amplitudes = np.abs(np.fft.rfft(series, axis=2))
    return np.log(amplitudes + 0.1).astype(np.float32)


def _minirocket(series: Panel, n_kernels: int, rng: np.random.Generator) -> Embedding:
    """Return MiniRocket's features; series are stretched out to the 9 timepoints it needs."""
    from aeon.transformations.collection.convolution_based import MiniRocket

    missing = max(0, 9 - series.shape[2])
    padded = np.pad(series, ((0, 0), (0, 0), (0, missing)), mode="edge").astype(np.float32)
    rocket = MiniRocket(n_kernels=n_kernels, random_state=int(rng.integers(2**31)))
    with global_generators_kept():  # it seeds NumPy's, and draws from it
        return np.asarray(rocket.fit_transform(padded), dtype=np.float32)


def _standardise(features: NDArray[np.float32]) -> Embedding:
    """Scale columns to mean 0 and deviation 1, clipped at 8; constant columns become 0."""
    scaled: Embedding = features.reshape(len(features), -1).astype(np.float32)
    deviation = scaled.std(axis=0)
    constant = deviation <= 1e-6 * (np.abs(scaled).max() + 1e-12)
    scaled -= scaled.mean(axis=0)
    scaled /= np.where(constant, np.float32(1), deviation)
    np.clip(scaled, -8, 8, out=scaled)
    return scaled


def _principal(features: Embedding) -> Embedding:
    """Return the scores of the first principal components."""
    centred: Embedding = features - features.mean(axis=0)
    n_samples, n_features = centred.shape
    if n_features <= VIEW_DIM:
        return centred
    # The smaller of two equal problems.
    if n_features < n_samples and n_features <= PRINCIPAL_LIMIT:
        reduced: Embedding = centred @ _leading(centred.T @ centred)[1]
        return reduced
    n_asked = min(n_samples, PRINCIPAL_LIMIT)
    some = centred[np.linspace(0, n_samples - 1, n_asked).astype(int)]
    values, vectors = _leading(some @ some.T)
    deviations = np.sqrt(np.maximum(values, 0))
    if n_asked == n_samples:
        scores: Embedding = vectors * deviations
        return scores
    directions = some.T @ (vectors / np.maximum(deviations, 1e-12))
    reduced = centred @ directions
    return reduced


def _leading(symmetric: Embedding) -> tuple[Embedding, Embedding]:
    """Return the ``VIEW_DIM`` largest eigenvalues, if there are as many, and their vectors."""
    size = len(symmetric)
    values, vectors = eigh(symmetric, subset_by_index=(max(0, size - VIEW_DIM), size - 1))
    return values, vectors
