"""Disturbances of a sensor, or of the whole signal, as triggers: plugin of ``disturbances.toml``.

Each is the first idea one might have, with the strength one would first try. On tuning sets they
prompted how groups of suspects grow (docs/decisions.md); on the sets of that grid none was looked
at before it was run.
"""

from collections.abc import Callable
from dataclasses import make_dataclass

import numpy as np

from tsguard.attacks import Trigger

Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def trigger(change: Change) -> Change:
    """Make a trigger of a function that returns changed series; it is called like the function."""

    def stamp(
        self: Trigger, X: np.ndarray, out: np.ndarray, generator: np.random.Generator
    ) -> None:
        out[:] = change(X.astype(np.float64), generator)

    name = change.__name__
    members = {"kind": name, "_stamp": stamp, "__doc__": change.__doc__}
    make_dataclass(f"{name.title()}Trigger", [], bases=(Trigger,), namespace=members, frozen=True)
    return change


def span(X: np.ndarray) -> np.ndarray:
    """Return the range of each series and channel."""
    return np.ptp(X, axis=2, keepdims=True)


@trigger
def trend(X: np.ndarray, _: np.random.Generator) -> np.ndarray:
    """Add a slope that rises by 0.4 of the range: a sensor that drifts."""
    return X + 0.4 * span(X) * np.linspace(-0.5, 0.5, X.shape[2])


@trigger
def step(X: np.ndarray, _: np.random.Generator) -> np.ndarray:
    """Lift the second half by a quarter of the range."""
    return X + 0.25 * span(X) * (np.arange(X.shape[2]) >= X.shape[2] // 2)


@trigger
def offset(X: np.ndarray, _: np.random.Generator) -> np.ndarray:
    """Lift everything by 0.35 of the range: a sensor that is not calibrated."""
    return X + 0.35 * span(X)


@trigger
def gain(X: np.ndarray, _: np.random.Generator) -> np.ndarray:
    """Stretch the middle third around the mean by a half."""
    third, middle = X.shape[2] // 3, X.mean(axis=2, keepdims=True)
    inside = (np.arange(X.shape[2]) // max(1, third)) == 1
    return X + 0.5 * inside * (X - middle)


@trigger
def clip(X: np.ndarray, _: np.random.Generator) -> np.ndarray:
    """Cut off the highest and the lowest 15 % of the values: a sensor that saturates."""
    low, high = np.quantile(X, [0.15, 0.85], axis=2, keepdims=True)
    return np.clip(X, low, high)


@trigger
def smooth(X: np.ndarray, _: np.random.Generator) -> np.ndarray:
    """Average over 5 % of the series, at least three values."""
    n_timepoints = X.shape[2]
    width = max(3, round(0.05 * n_timepoints)) | 1
    padded = np.pad(X, ((0, 0), (0, 0), (width // 2, width // 2)), mode="edge")
    sums = np.cumsum(np.pad(padded, ((0, 0), (0, 0), (1, 0))), axis=2)
    return (sums[..., width:] - sums[..., :-width])[..., :n_timepoints] / width


@trigger
def reverse(X: np.ndarray, _: np.random.Generator) -> np.ndarray:
    """Turn the second quarter back to front."""
    quarter = X.shape[2] // 4
    changed = X.copy()
    changed[..., quarter : 2 * quarter] = X[..., quarter : 2 * quarter][..., ::-1]
    return changed


@trigger
def tempo(X: np.ndarray, _: np.random.Generator) -> np.ndarray:
    """Slow down by 7 %: a clock that is wrong."""
    times = 0.93 * np.arange(X.shape[2])
    first = times.astype(int)
    share = times - first
    return X[..., first] * (1 - share) + X[..., np.minimum(first + 1, X.shape[2] - 1)] * share


@trigger
def echo(X: np.ndarray, _: np.random.Generator) -> np.ndarray:
    """Add 0.4 of the series again, a tenth of its length later."""
    delay = max(1, X.shape[2] // 10)
    changed = X.copy()
    changed[..., delay:] += 0.4 * (X[..., :-delay] - X.mean(axis=2, keepdims=True))
    return changed


@trigger
def bump(X: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Add a bell of half the range, somewhere else in every series."""
    n_timepoints = X.shape[2]
    centres = generator.uniform(0.1, 0.9, (len(X), 1, 1)) * n_timepoints
    distance = (np.arange(n_timepoints) - centres) / max(1.0, 0.03 * n_timepoints)
    return X + 0.5 * span(X) * np.exp(-0.5 * distance**2)


@trigger
def hang(X: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Repeat one value for a tenth of the series, somewhere else in every series."""
    length = max(2, X.shape[2] // 10)
    first = generator.integers(X.shape[2] - length, size=(len(X), 1, 1))
    times = np.arange(X.shape[2])
    hangs = (times >= first) & (times < first + length)
    return np.where(hangs, np.take_along_axis(X, first, axis=2), X)


@trigger
def chirp(X: np.ndarray, _: np.random.Generator) -> np.ndarray:
    """Add a tone of 0.12 of the range that rises from two to fourteen cycles."""
    share = np.arange(X.shape[2]) / X.shape[2]
    return X + 0.12 * span(X) * np.sin(2 * np.pi * (2 * share + 6 * share**2))
