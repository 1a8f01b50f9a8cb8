"""The figures of a report, as SVG."""

import io
import warnings
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tsguard._report._frame import attacked, complete, defenses_of, where_it_takes
from tsguard._report._tables import SCORES, score_matrix

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Distinct for all kinds of colour vision, together with the markers.
_COLOURS = ("#4477aa", "#cc3311", "#228833", "#ee9911", "#aa3377", "#33bbcc", "#777777")
_MARKERS = "osD^vP*"

#: Fewer data sets or defenses have no critical difference worth a diagram.
_FEWEST = 3

#: Size in points of letters in the diagram of ranks.
_LETTERS = 13


def draw_figures(cells: pd.DataFrame) -> dict[str, str]:
    """Return the figures of one setup: purpose → SVG.

    There is none where no attack takes, and no diagram of ranks with fewer than three data sets or
    three defenses.
    """
    compared = where_it_takes(complete(attacked(cells)))
    if compared.empty:
        return {}
    figures = {"scatter": to_svg(scatter(compared))}
    for score, name in (("clean_accuracy", "CA"), ("attack_success_rate", "ASR")):
        matrix = score_matrix(compared, score)
        if min(matrix.shape) >= _FEWEST:
            figures[f"ranks {name}"] = to_svg(critical_difference(matrix, score))
    return figures


def scatter(cells: pd.DataFrame) -> "Figure":
    """Draw clean accuracy against attack success, one mark per defense."""
    from matplotlib.figure import Figure

    # No wider than a phone shows at full size, or its letters would shrink there.
    figure = Figure(figsize=(4.4, 4.8), layout="constrained")
    axes = figure.subplots()
    for place, defense in enumerate(defenses_of(cells)):
        part = cells[cells["defense"] == defense]
        x, y = (100 * part[score].astype(float) for score in list(SCORES)[:2])
        axes.errorbar(
            x.mean(),
            y.mean(),
            xerr=_standard_error(x),
            yerr=_standard_error(y),
            color=_COLOURS[place % len(_COLOURS)],
            marker=_MARKERS[(place // len(_COLOURS) + place) % len(_MARKERS)],
            markersize=9,
            linewidth=1,
            linestyle="none",
            label=defense,
        )
    axes.set(xlabel="clean accuracy, % (right is good)", ylabel="attack success, % (low is good)")
    axes.set_ylim(-3, 103)
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return figure


def _standard_error(values: pd.Series) -> float:
    return float(values.std() / np.sqrt(len(values))) if len(values) > 1 else 0.0


def critical_difference(matrix: pd.DataFrame, score: str) -> "Figure":
    """Draw the mean ranks, with bars over defenses that do not differ significantly."""
    from aeon.visualisation import plot_critical_difference
    from matplotlib import pyplot

    with warnings.catch_warnings():
        # Equal scores, which are common here (an ASR of 0), make SciPy and aeon warn; aeon then
        # takes them for not different, as they are.
        warnings.simplefilter("ignore")
        figure: Figure
        figure, axes = plot_critical_difference(
            matrix.to_numpy(),
            list(matrix.columns),
            lower_better=score == "attack_success_rate",
            width=3.6,
            textspace=1.0,
        )
    for text in axes.texts:
        text.set_fontsize(min(text.get_fontsize(), _LETTERS))
    pyplot.close(figure)  # aeon draws with pyplot, which would keep it
    return figure


def to_svg(figure: "Figure") -> str:
    """Return a figure as SVG, the same text for the same figure."""
    import matplotlib

    text = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "tsguard"}):
        figure.savefig(text, format="svg", metadata={"Date": None}, bbox_inches="tight")
    return text.getvalue()
