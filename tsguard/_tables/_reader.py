"""What every format gives: its series one after the other, and itself again with other labels."""

import csv
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tsguard._values import is_integer

Values = NDArray[np.float64]

MISSING = frozenset({"", "?", "na", "n/a", "nan", "null", "none"})
"""How files spell a missing value, in lower case."""


class Mark(Enum):
    """What happens to a series or row of a file that is written anew."""

    KEEP = "keep"
    DROP = "drop"


Decide = Callable[[Hashable], Any]
"""From the number or id of a series to ``Mark.KEEP``, ``Mark.DROP`` or its new label."""


@dataclass(frozen=True)
class Options:
    """What the user says about a file; None and () are for what is to be detected.

    Attributes
    ----------
    labels : Path or None
        File beside the data that holds the labels.
    label_column, id_column, time_column : str or None
        Columns of a table, by name or by number (1 = first, -1 = last).
    ignore : tuple of str
        Columns of a table that are neither.
    n_values : int or None
        Values of a series, where a model says how many it takes: a wide table without a header
        that has as many columns holds no label.
    """

    labels: Path | None = None
    label_column: str | None = None
    id_column: str | None = None
    time_column: str | None = None
    ignore: tuple[str, ...] = ()
    n_values: int | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that are named."""
        named = (self.label_column, self.id_column, self.time_column, *self.ignore)
        return tuple(one for one in named if one is not None)

    def as_arguments(self) -> list[tuple[str, str]]:
        """Return the options as the command line takes them."""
        given = [
            ("--labels", None if self.labels is None else str(self.labels)),
            ("--label-column", self.label_column),
            ("--id-column", self.id_column),
            ("--time-column", self.time_column),
            *(("--ignore", one) for one in self.ignore),
        ]
        return [(option, value) for option, value in given if value is not None]


def named_columns(
    ignore: str | int | Sequence[str | int] = (), **columns: str | int | None
) -> dict[str, Any]:
    """Return columns that a caller named, by name or number, as :class:`Options` takes them."""
    alone = isinstance(ignore, str) or is_integer(ignore)
    several = (ignore,) if alone else tuple(ignore)  # type: ignore[arg-type]
    given: dict[str, Any] = {
        name: None if value is None else _column_name(value, name)
        for name, value in columns.items()
    }
    return given | {"ignore": tuple(_column_name(one, "ignore") for one in several)}


def _column_name(value: object, name: str) -> str:
    if not (isinstance(value, str) or is_integer(value)):
        raise TypeError(
            f"{name} must be a column's name or number, got {type(value).__name__}; give a text "
            "or an integer."
        )
    return str(value)


@dataclass(frozen=True)
class Row:
    """One series of a file.

    Attributes
    ----------
    values : ndarray of float64 of shape (n_channels, n_timepoints)
        As in the file; NaN where missing.
    label : object
        Text or value as in the file; None where there is none.
    place : str
        Where it stands, for messages.
    id : str or None
        Its name, if it has one.
    """

    values: Values
    label: Any
    place: str
    id: str | None = None


class Reader(ABC):
    """A data file.

    Attributes
    ----------
    path : Path
    layout : str
        What was detected, in words.
    has_labels : bool
    typed_labels : bool
        Whether labels that are whole numbers are integers (in archives' formats they stay text).
    """

    path: Path
    layout: str
    has_labels: bool
    typed_labels: bool = True

    @abstractmethod
    def rows(self) -> Iterator[Row]:
        """Yield the series in order, with little memory."""

    @abstractmethod
    def rewrite(self, target: Path, decide: Decide) -> None:
        """Write the file again, every value as it stands, with other labels and fewer series.

        ``decide`` is asked with the number of the series, counted from 0.
        """

    def all_rows(self) -> Iterator[Row]:
        """Yield the series in order for a reader who has room for all of them."""
        return self.rows()


def numbers(cells: Sequence[Any], where: Callable[[int], str], path: Path) -> Values:
    """Return cells as numbers, missing ones as NaN.

    Parameters
    ----------
    cells : sequence
        Texts or values.
    where : callable
        From the number of the cell to where it stands.
    path : Path
        For the message.

    Raises
    ------
    ValueError
        If a cell is no finite number.
    """
    try:
        values = np.fromiter(map(float, cells), np.float64, len(cells))
    except (TypeError, ValueError):
        values = np.array([_number(one, where, i, path) for i, one in enumerate(cells)])
    if np.isinf(values).any():
        worst = int(np.isinf(values).argmax())
        raise ValueError(
            f"{path} must hold finite numbers, got {cells[worst]} in {where(worst)}; correct the "
            "cell or leave it empty."
        )
    return values


def _number(cell: Any, where: Callable[[int], str], place: int, path: Path) -> float:
    if cell is None or (isinstance(cell, str) and cell.strip().lower() in MISSING):
        return float("nan")
    try:
        return float(cell)
    except (TypeError, ValueError):
        raise ValueError(
            f"{path} must hold numbers, got {shorten(cell)} in {where(place)}; correct the cell, "
            "or leave it empty if the value is missing."
        ) from None


def shorten(cell: object) -> str:
    """Return a cell as a message shows it."""
    text = repr(cell)
    return text if len(text) <= 40 else f"{text[:37]}...'"


def check_filled(values: Values, place: str, path: Path) -> Values:
    """Refuse a series without any value."""
    if values.size == 0 or np.isnan(values).all():
        raise ValueError(
            f"{path} must hold values for every series, got none in {place}; remove that series."
        )
    return values


@contextmanager
def text_errors(path: Path) -> Iterator[None]:
    """Turn bytes that are no text, and text that is no table, into one sentence."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} must be text in UTF-8, got a byte {error.object[error.start]:#x} that is "
            "none; check the format or the encoding."
        ) from error
    except csv.Error as error:
        raise ValueError(
            f"{path} must be a text table, got a file that can't be read ({error}); check the "
            "format."
        ) from error
