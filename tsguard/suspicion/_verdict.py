"""What is believed about every training sample."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

UNKNOWN = -1
"""Class code of a suspect whose true class can't be told."""


@dataclass(frozen=True)
class Verdict:
    """Which samples are suspect, how strongly, and which class they really look.

    Attributes
    ----------
    suspicion : ndarray of float64 of shape (n_samples,)
        From 0 to 1, higher = more suspicious.
    suspect : ndarray of bool of shape (n_samples,)
        The isolated samples.
    recovered : ndarray of int64 of shape (n_samples,)
        Class code: the given one where not suspect, or suspect for the pattern alone, the recovered
        one (or ``UNKNOWN``) where otherwise suspect.
    withheld : ndarray of bool of shape (n_samples,)
        Not to be learned, though they keep their label: not suspect, but members of a group that
        may be poisoned, with labels that nothing else confirms; or suspect for their pattern alone.
    targets : tuple of int
        Codes of the classes that look like targets of an attack; empty if none does.
    reasons : tuple of str
        One short sentence per sample on why it is suspect or withheld; empty where it is neither.
    """

    suspicion: NDArray[np.float64]
    suspect: NDArray[np.bool_]
    recovered: NDArray[np.int64]
    withheld: NDArray[np.bool_]
    targets: tuple[int, ...]
    reasons: tuple[str, ...]

    @classmethod
    def nothing(cls, codes: NDArray[np.int64]) -> "Verdict":
        """Nobody is suspect."""
        n_samples = len(codes)
        nobody = np.zeros(n_samples, bool)
        return cls(np.zeros(n_samples), nobody, codes.copy(), nobody, (), ("",) * n_samples)
