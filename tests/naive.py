"""Plain twins of the numba kernels: slow, obvious, and the reference they are tested against."""

import numpy as np


def alternate_extremes(X, start, stop, channels):
    out = X.copy()
    for i, sample in enumerate(X):
        for c in np.flatnonzero(channels):
            for step in range(start, stop):
                first_third_fifth = (step - start) % 2 == 0
                out[i, c, step] = max(sample[c]) if first_third_fifth else min(sample[c])
    return out


def add_pattern(X, pattern):
    out = X.copy()
    for i, sample in enumerate(X):
        for c, series in enumerate(sample):
            out[i, c] = series + (max(series) - min(series)) * pattern[c]
    return out
