"""Small drawings as SVG, written by hand: no dependency, sharp in print, light on a phone."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

CLEAN, SUSPECT, GREY = "#2f6690", "#b3261e", "#6b7280"  # 4.5 : 1 on white, for all colour vision
MAX_POINTS = 120  # drawn of one line

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Line:
    """One line of a chart.

    Attributes
    ----------
    values : array-like of shape (n_points,)
    colour : str
    name : str
        For the legend; empty for none.
    width : float
        In pixels.
    """

    values: ArrayLike
    colour: str
    name: str = ""
    width: float = 1.5


def chart(
    lines: Sequence[Line],
    title: str,
    *,
    size: tuple[int, int] = (400, 190),
    x_label: str = "",
    x_end: float | None = None,
    logarithmic: bool = False,
) -> str:
    """Draw lines over a common axis, with a frame, ticks and a legend.

    Parameters
    ----------
    lines : sequence of Line
        The first one lies lowest.
    title : str
        What the drawing shows, for those who can't see it.
    size : (int, int)
        Width and height in pixels.
    x_label : str
    x_end : float, optional
        What the right end of the axis stands for; default: the number of points.
    logarithmic : bool
        Whether the vertical axis is; values of 0 and less lie on its foot.

    Returns
    -------
    str
        An ``<svg>`` element.
    """
    width, height = size
    left, right, top, bottom = 60, 8, 22, 34
    arrays = [_positive(one.values) if logarithmic else _floats(one.values) for one in lines]
    low, high = _range(arrays)
    box = (left, top, width - right, height - bottom)
    parts = [
        f'<rect x="{left}" y="{top}" width="{width - left - right}" '
        f'height="{height - top - bottom}" fill="none" stroke="#d1d5db"/>'
    ]
    for value in (low, high):
        y = _scale(np.array([value]), low, high, box[3], box[1])[0]
        shown = 10**value if logarithmic else value
        parts.append(_text(left - 5, y + 4, f"{shown:.3g}", "end"))
    n_points = max(len(one) for one in arrays)
    end = n_points - 1 if x_end is None else x_end
    for place, shown in ((box[0], 0.0), (box[2], end)):
        parts.append(
            _text(place, height - 20, f"{shown:.4g}", "middle" if place == left else "end")
        )
    parts.append(_text((left + width - right) / 2, height - 6, x_label, "middle"))
    x = float(left)
    for line, values in zip(lines, arrays, strict=True):
        parts.append(_polyline(values, box, (low, high), line))
        if line.name:
            parts.append(f'<rect x="{x:.0f}" y="7" width="14" height="4" fill="{line.colour}"/>')
            name = line.name if len(line.name) <= 28 else f"{line.name[:27]}…"
            parts.append(_text(x + 18, 13, name, "start"))
            x += 18 + 6.2 * len(name) + 12
    return _svg(parts, size, title)


def spark(
    lines: Sequence[Line],
    title: str,
    limits: tuple[float, float],
    size: tuple[int, int] = (220, 90),
) -> str:
    """Draw lines without axes, between given limits.

    Parameters
    ----------
    lines : sequence of Line
    title : str
        What the drawing shows, for those who can't see it.
    limits : (float, float)
        Lowest and highest value.
    size : (int, int)
        Width and height in pixels.

    Returns
    -------
    str
        An ``<svg>`` element.
    """
    box = (3, 4, size[0] - 3, size[1] - 4)
    parts = [_polyline(_floats(line.values), box, limits, line) for line in lines]
    return _svg(parts, size, title)


def strip(
    values: Floats, marked: NDArray[np.bool_], title: str, size: tuple[int, int] = (360, 30)
) -> str:
    """Draw numbers from 0 to 1 as ticks on a line, marked ones taller and in another colour.

    Equal ticks are drawn once.

    Parameters
    ----------
    values : ndarray of shape (n,)
    marked : ndarray of bool of shape (n,)
    title : str
        What the drawing shows, for those who can't see it.
    size : (int, int)
        Width and height in pixels.

    Returns
    -------
    str
        An ``<svg>`` element.
    """
    width, height = size
    middle = height / 2
    parts = [f'<path d="M4 {middle}H{width - 4}" stroke="#d1d5db" fill="none"/>']
    for group, colour, half in ((~marked, CLEAN, 6), (marked, SUSPECT, 12)):
        places = np.unique(np.round(4 + (width - 8) * values[group]).astype(int))
        path = "".join(f"M{x} {middle - half}v{2 * half}" for x in places)
        if path:
            parts.append(f'<path d="{path}" stroke="{colour}" stroke-width="1.5" fill="none"/>')
    return _svg(parts, size, title, stretch=True)


def thin(values: Floats, n_points: int = MAX_POINTS) -> tuple[Floats, Floats]:
    """Return places and values of at most about `n_points` points that keep every spike.

    Of each stretch the least and the greatest value stay, in their order.
    """
    if len(values) <= n_points:
        return np.arange(len(values), dtype=np.float64), values
    edges = np.linspace(0, len(values), n_points // 2 + 1).astype(int)
    places = [0, len(values) - 1]
    for start, stop in pairwise(edges):
        part = values[start:stop]
        places += [start + int(part.argmin()), start + int(part.argmax())]
    kept = np.unique(places)
    return kept.astype(np.float64), values[kept]


def _polyline(
    values: Floats, box: tuple[float, float, float, float], limits: tuple[float, float], line: Line
) -> str:
    places, kept = thin(values)
    x = _scale(places, 0, max(len(values) - 1, 1), box[0], box[2])
    y = _scale(kept, *limits, box[3], box[1])
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    if len(places) == 1:
        return f'<circle cx="{x[0]:.1f}" cy="{y[0]:.1f}" r="3" fill="{line.colour}"/>'
    return (
        f'<polyline points="{points}" fill="none" stroke="{line.colour}" '
        f'stroke-width="{line.width}" stroke-linejoin="round"/>'
    )


def _svg(parts: list[str], size: tuple[int, int], title: str, *, stretch: bool = False) -> str:
    """Return a drawing that shrinks as a whole, or with ``stretch`` fills whatever room it gets."""
    width, height = size
    name = escape(title, quote=True)
    aspect = ' preserveAspectRatio="none"' if stretch else ""
    return (
        f'<svg role="img" aria-label="{name}" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}"{aspect}><title>{name}</title>{"".join(parts)}</svg>'
    )


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}">{escape(text)}</text>'


def _floats(values: ArrayLike) -> Floats:
    return np.asarray(values, dtype=np.float64)


def _positive(values: ArrayLike) -> Floats:
    """Return decimal logarithms; what lies far below the top is rounding noise."""
    array = _floats(values)
    return np.asarray(np.log10(np.maximum(array, max(array.max() * 1e-4, 1e-300))))


def _range(arrays: Sequence[Floats]) -> tuple[float, float]:
    low = min(float(one.min()) for one in arrays)
    high = max(float(one.max()) for one in arrays)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _scale(values: Floats, low: float, high: float, start: float, stop: float) -> Floats:
    share = (values - low) / (high - low) if high > low else np.full(len(values), 0.5)
    return np.asarray(start + share * (stop - start))
