"""A picture of what a trigger does to a series."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tsguard._plots import CLEAN, POISONED, new_figure
from tsguard._validation import check_panel
from tsguard._values import is_integer
from tsguard.attacks._base import Series, Trigger, resolve_trigger

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_trigger(trigger: Trigger | str, X: Series, *, sample: int = 0) -> "Figure":
    """Draw one series before and after the trigger, the difference, and both spectra.

    Of a series of several channels the one is drawn that changes most, in units of its range.

    Parameters
    ----------
    trigger : Trigger or str
        A trigger, or the short name of one. A learned trigger must be fitted.
    X : array-like of shape (n_samples, n_channels, n_timepoints) or (n_samples, n_timepoints)
        Series to choose from. Never changed.
    sample : int
        Which of them is drawn, counted from 0.

    Returns
    -------
    matplotlib.figure.Figure
        Show it in a notebook, or write it to a file with ``figure.savefig(path)``.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If an input is invalid.
    sklearn.exceptions.NotFittedError
        If the trigger must be learned first, and was not.

    Examples
    --------
    >>> from tsguard import attacks, load_dataset, plot_trigger
    >>> figure = plot_trigger(attacks.HumTrigger(), load_dataset("GunPoint").X_test, sample=3)
    """
    figure: Figure = new_figure()
    trigger = resolve_trigger(trigger)
    panel = check_panel(X)
    if not is_integer(sample) or not 0 <= sample < len(panel):
        raise ValueError(
            f"sample must be an integer from 0 to {len(panel) - 1}, got {sample!r}; "
            "choose one of the series in X."
        )
    before = panel[sample : sample + 1].astype(np.float64)
    after = trigger.apply(panel[sample : sample + 1], random_state=0).astype(np.float64)
    span = np.ptp(before[0], axis=1)
    unit = np.where(span > 0, span, 1.0)
    change = (after[0] - before[0]) / unit[:, None]
    # Rounded, so that among channels that change alike the first is drawn.
    channel = int(np.abs(change).max(axis=1).round(4).argmax())
    where = f", channel {channel} (of 0 to {len(span) - 1})" if len(span) > 1 else ""
    figure.suptitle(f"{trigger.kind} trigger on series {sample}{where}")
    grid = figure.add_gridspec(2, 2, width_ratios=[1.7, 1], height_ratios=[1.7, 1])
    upper = figure.add_subplot(grid[0, 0])
    _draw_series(upper, before[0, channel], after[0, channel])
    lower = figure.add_subplot(grid[1, 0], sharex=upper)
    _draw_change(lower, 100 * change[channel])
    _draw_spectra(figure.add_subplot(grid[:, 1]), before[0, channel], after[0, channel])
    return figure


def _draw_series(axes: "Axes", before: NDArray[np.float64], after: NDArray[np.float64]) -> None:
    marker = "." if len(before) <= 32 else None
    axes.plot(before, color=CLEAN, linewidth=3.5, alpha=0.5, marker=marker, label="before")
    axes.plot(after, color=POISONED, linewidth=1.1, marker=marker, label="after")
    axes.set_ylabel("value (data's unit)")
    axes.tick_params(labelbottom=False)
    axes.legend(frameon=False, ncols=2, loc="lower right", bbox_to_anchor=(1.0, 0.98), borderpad=0)


def _draw_change(axes: "Axes", change: NDArray[np.float64]) -> None:
    axes.axhline(0, color="0.6", linewidth=0.8)
    axes.fill_between(np.arange(len(change)), change, color="0.3", alpha=0.25, linewidth=0)
    axes.plot(change, color="0.2", linewidth=1.0)
    axes.set(xlabel="time step", ylabel="change\n(% of range)")


def _draw_spectra(axes: "Axes", before: NDArray[np.float64], after: NDArray[np.float64]) -> None:
    """Draw amplitudes without the mean, which would dwarf the rest, on a logarithmic scale."""
    frequencies = np.fft.rfftfreq(len(before))[1:]
    spectra = np.array([2 / len(one) * np.abs(np.fft.rfft(one))[1:] for one in (before, after)])
    top = spectra.max(initial=0.0)
    if top > 0:
        marker = "." if len(frequencies) == 1 else None
        axes.plot(frequencies, spectra[0], color=CLEAN, linewidth=3.5, alpha=0.5, marker=marker)
        axes.plot(frequencies, spectra[1], color=POISONED, linewidth=1.1, marker=marker)
        # What lies further below the top is rounding noise.
        axes.set_ylim(max(spectra.min() / 2, top * 1e-4), top * 2)
        axes.set_yscale("log")
    axes.set_title("spectrum", fontsize="medium")
    axes.set(xlabel="frequency (cycles per time step)", ylabel="amplitude (data's unit)")
