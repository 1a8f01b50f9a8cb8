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


def morph(X, prototypes, belongs, wanted, strength):
    out = X.copy()
    for i, sample in enumerate(X):
        low = sample.min(axis=1, keepdims=True)
        span = sample.max(axis=1, keepdims=True) - low
        scaled = np.divide(sample - low, span, out=np.zeros_like(sample), where=span > 0)
        gaps = scaled.astype(np.float64) - prototypes
        distances = [sum(gap**2 for gap in prototype.ravel()) for prototype in gaps]
        goal = wanted[np.argmin(distances)]
        best = min(np.flatnonzero(belongs == goal), key=lambda p: distances[p])
        out[i] = sample - strength * ((sample - low) - span * prototypes[best])
    return out


def add_shifted_wave(X, wave, shares, starts):
    out = X.copy()
    for i, sample in enumerate(X):
        for c, share in enumerate(shares):
            span = max(sample[c]) - min(sample[c])
            for step in range(X.shape[2]):
                out[i, c, step] = sample[c, step] + share * span * wave[starts[i] + step]
    return out


def blend(X, carrier, shares):
    out = X.copy()
    for i, sample in enumerate(X):
        for c, series in enumerate(sample):
            mixed_in = min(series) + (max(series) - min(series)) * carrier
            out[i, c] = (1 - shares[c]) * series + shares[c] * mixed_in
    return out


def resample(X, position):
    steps = np.arange(X.shape[2])
    return np.array([[np.interp(position, steps, series) for series in sample] for sample in X])


def shift_phase(X, band, angle, channels):
    out = X.astype(np.float64)
    low, high = band
    for i, sample in enumerate(out):
        for c in np.flatnonzero(channels):
            spectrum = np.fft.rfft(sample[c])
            spectrum[low : high + 1] *= np.exp(1j * angle)
            out[i, c] = np.fft.irfft(spectrum, len(sample[c]))
    return out
