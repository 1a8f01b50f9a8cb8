"""Tables: rows of cells, wide (one row a series) or long (one row a time step)."""

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from tsguard._tables._layout import find_layout
from tsguard._tables._reader import (
    Decide,
    Mark,
    Options,
    Reader,
    Row,
    Values,
    check_filled,
    numbers,
    shorten,
)

Record = tuple[int, Sequence[Any]]

N_SAMPLE = 200  # rows looked at to tell the columns apart


class Table(ABC):
    """Where the cells come from, and where they go.

    Attributes
    ----------
    path : Path
    header : list of str or None
    kind : str
        The format's name.
    label_first : bool
        Whether the format has the label in the first column of a table without a header.
    """

    path: Path
    header: list[str] | None
    kind: str
    label_first: bool = False

    @abstractmethod
    def records(self) -> Iterator[Record]:
        """Yield the rows without the header, each with its number in the file."""

    @abstractmethod
    def write(self, target: Path, label: int | None, key: int | None, decide: Decide) -> None:
        """Write the table again.

        ``decide`` is asked for every row with the cell in column ``key`` (None: the number of the
        row, from 0); a new label goes into column ``label``.
        """


class TableReader(Reader):
    """A table as series."""

    def __init__(self, table: Table, options: Options) -> None:
        self.path = table.path
        self._table = table
        records = table.records()
        sample = [cells for _, (_, cells) in zip(range(N_SAMPLE), records, strict=False)]
        if not sample:
            raise ValueError(f"{self.path} must hold at least one series, got none; add rows.")
        self._layout = find_layout(
            self.path, table.header, sample, options, label_first=table.label_first
        )
        self.has_labels = self._layout.label is not None
        self.layout = f"{table.kind}, {self._in_words()}"

    def _in_words(self) -> str:
        layout, name = self._layout, self._name
        label = "no label" if layout.label is None else f"label in column {name(layout.label)}"
        if layout.time is not None and layout.id is not None:
            channels = ", ".join(name(one[0]) for one in layout.channels[:6])
            return (
                f"long (a row per time step): series in column {name(layout.id)}, time in column "
                f"{name(layout.time)}, channels {channels}, {label}"
            )
        return f"wide (a row per series): {len(layout.channels)} channel(s), {label}"

    def _name(self, column: int) -> str:
        header = self._table.header
        return f"{column + 1}" if header is None else repr(header[column])

    def _where(self, row: int, column: int) -> str:
        header = self._table.header
        name = "" if header is None else f" ({header[column]!r})"
        return f"row {row}, column {column + 1}{name}"

    def rows(self) -> Iterator[Row]:
        """Yield the series in order; those of a long table must stand together."""
        if not self._layout.is_long:
            yield from self._wide_rows()
            return
        seen: set[Hashable] = set()
        for row in self._grouped(self._table.records()):
            if row.id in seen:
                raise ValueError(
                    f"{self.path} must hold the rows of a series together to be read piece by "
                    f"piece, got more of series {row.id!r} in {row.place}; sort the file by "
                    f"{self._name(self._layout.id or 0)}."
                )
            seen.add(row.id)
            yield row

    def all_rows(self) -> Iterator[Row]:
        """Yield the series in order of their first rows, wherever the others stand."""
        if not self._layout.is_long:
            yield from self._wide_rows()
            return
        together: dict[Hashable, list[Record]] = {}
        for record in self._table.records():
            together.setdefault(_cell(record[1], self._layout.id), []).append(record)
        for records in together.values():
            yield from self._grouped(iter(records))

    def _wide_rows(self) -> Iterator[Row]:
        layout, path = self._layout, self.path
        for number, cells in self._table.records():
            channels = [
                numbers([cells[i] for i in columns], self._row_cell(number, columns), path)
                for columns in layout.channels
            ]
            values = check_filled(np.array(channels), f"row {number}", path)
            yield Row(
                values, _cell(cells, layout.label), f"row {number}", _text(_cell(cells, layout.id))
            )

    def _grouped(self, records: Iterator[Record]) -> Iterator[Row]:
        """Yield one series for every run of rows with the same id."""
        for _, group in itertools.groupby(records, lambda one: _cell(one[1], self._layout.id)):
            yield self._long_row(list(group))

    def _long_row(self, records: list[Record]) -> Row:
        layout, path = self._layout, self.path
        first, cells = records[0]
        name = _text(_cell(cells, layout.id))
        if name is None:
            raise ValueError(
                f"{path} must name the series of every row, got none in row {first}; fill the cell."
            )
        labels = {_cell(one, layout.label) for _, one in records}
        if len(labels) > 1:
            got = shorten(", ".join(sorted(map(str, labels))))
            raise ValueError(
                f"{path} must hold one label for every series, got {got} for series {name!r} "
                f"(row {first} on); correct them."
            )
        values = np.array(
            [
                numbers([one[i] for _, one in records], self._cell_of(records, i), path)
                for (i,) in layout.channels
            ]
        )
        times = [self._time(number, one[layout.time or 0]) for number, one in records]
        values = self._in_order(values, times, name)
        check_filled(values, f"series {name!r} (row {first} on)", path)
        return Row(values, labels.pop(), f"row {first}", name)

    def _row_cell(self, row: int, columns: list[int]) -> Callable[[int], str]:
        return lambda place: self._where(row, columns[place])

    def _cell_of(self, records: list[Record], column: int) -> Callable[[int], str]:
        return lambda place: self._where(records[place][0], column)

    def _time(self, row: int, cell: Any) -> float:
        """Return a time for sorting."""
        with suppress(TypeError, ValueError):
            return float(cell)
        with suppress(TypeError, ValueError):
            time = cell if isinstance(cell, datetime) else datetime.fromisoformat(str(cell).strip())
            return time.timestamp()
        raise ValueError(
            f"{self.path} must hold times as numbers or ISO dates (2024-05-31T12:00:00), got "
            f"{shorten(cell)} in {self._where(row, self._layout.time or 0)}; correct the cell."
        )

    def _in_order(self, values: Values, times: list[float], name: str) -> Values:
        order = np.argsort(times, kind="stable")
        steps = np.diff(np.array(times)[order])
        if not (steps > 0).all():
            raise ValueError(
                f"{self.path} must hold every time step of a series once, got series {name!r} with "
                "a time twice (or none); correct the times or the ids."
            )
        return values[:, order]

    def rewrite(self, target: Path, decide: Decide) -> None:
        """Write the table again with other labels and fewer series."""
        layout = self._layout
        places: dict[Hashable, int] = {}

        def decide_by_id(key: Hashable) -> Any:
            key = key.strip() if isinstance(key, str) else key
            return decide(places.setdefault(key, len(places)))

        key = layout.id if layout.is_long else None
        self._table.write(target, layout.label, key, decide_by_id if layout.is_long else decide)


def _cell(cells: Sequence[Any], column: int | None) -> Any:
    if column is None:
        return None
    cell = cells[column]
    return cell.strip() if isinstance(cell, str) else cell


def _text(cell: Any) -> str | None:
    return None if cell is None or cell == "" else str(cell)


def apply_mark(mark: Any, cells: list[Any], label: int | None) -> list[Any] | None:
    """Return a row after what was decided about it; None if it goes."""
    if mark is Mark.DROP:
        return None
    if mark is not Mark.KEEP and label is not None:
        cells[label] = mark
    return cells
