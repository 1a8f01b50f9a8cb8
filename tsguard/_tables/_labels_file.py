"""Labels beside the data: one per line, or a table with the column ``label``."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tsguard._tables._layout import IDS, LABELS
from tsguard._tables._reader import Decide, Mark, shorten, text_errors

SUFFIXES = (".csv", ".txt", ".tsv")


class LabelsFile:
    """A file of labels for the series of another file.

    Either one label a line, with or without a headline such as ``label``, in the order of the
    series; or a table with a header in which one column is the label and, where the series have
    ids, another one the id. In a .txt file every line is a label as it stands.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with text_errors(path), path.open(encoding="utf-8-sig", newline="") as stream:
            text = stream.read()
        self._is_plain = path.suffix.lower() == ".txt"
        self._separator = next((one for one in "\t;," if one in text.split("\n")[0]), ",")
        lines = [line for line in text.splitlines() if line.strip()]
        if self._is_plain:
            self._rows = [[line.strip()] for line in lines]
        else:
            with text_errors(path):
                self._rows = list(csv.reader(lines, delimiter=self._separator))
        if not self._rows:
            raise ValueError(f"{path} must hold labels, got an empty file; write one per line.")
        names = [cell.strip().lower() for cell in self._rows[0]]
        named = next((names.index(one) for one in LABELS if one in names), None)
        self._has_header = named is not None
        self._label = named or 0
        self._id = next((names.index(one) for one in IDS if one in names), None)
        self._id = self._id if self._has_header else None
        if len(names) > 1 and not self._has_header:
            raise ValueError(
                f"{path} must hold one label per line or name its column 'label' in a header, got "
                f"{len(names)} columns without; add a header."
            )
        for number, row in enumerate(self._rows, start=1):
            if len(row) != len(names):
                raise ValueError(
                    f"{path} must hold rows of one length, got {len(row)} cells in row {number} "
                    f"where there should be {len(names)}; correct that row."
                )

    def labels(self, ids: list[str] | None, n_samples: int) -> list[str]:
        """Return the label of every series, in the order of the series."""
        rows = self._rows[self._has_header :]
        labels = [row[self._label].strip() for row in rows]
        if self._id is None or ids is None:
            if len(labels) != n_samples:
                raise ValueError(
                    f"{self.path} must hold one label per series, got {len(labels)} labels for "
                    f"{n_samples} series; use a labels file of the same series."
                )
            return labels
        by_id = {row[self._id].strip(): label for row, label in zip(rows, labels, strict=True)}
        missing = [one for one in ids if one not in by_id]
        if missing or len(by_id) < len(rows):
            got = f"none for series {shorten(missing[0])}" if missing else "an id twice"
            raise ValueError(f"{self.path} must hold one label per series, got {got}; correct it.")
        return [by_id[one] for one in ids]

    def rewrite(self, target: Path, ids: list[str] | None, decide: Decide) -> None:
        """Write the file again with other labels and fewer rows."""
        index_of = None
        if self._id is not None and ids is not None:
            index_of = {one: index for index, one in enumerate(ids)}
        with target.open("w", encoding="utf-8", newline="") as out:
            write: Callable[[list[Any]], object] = csv.writer(
                out, delimiter=self._separator, lineterminator="\n"
            ).writerow
            if self._is_plain:
                write = lambda row: out.write(f"{row[0]}\n")  # noqa: E731
            for row in self._rows[: self._has_header]:
                write(row)
            for number, row in enumerate(self._rows[self._has_header :]):
                index = self._index(row, number, index_of)
                mark: Any = Mark.KEEP if index is None else decide(index)
                if mark is not Mark.DROP:
                    cells = list(row)
                    if mark is not Mark.KEEP:
                        cells[self._label] = mark
                    write(cells)

    def _index(self, row: list[str], number: int, index_of: dict[str, int] | None) -> int | None:
        if index_of is None or self._id is None:
            return number
        return index_of.get(row[self._id].strip())  # None: a label of a series that is not there


def find_labels_beside(path: Path) -> Path | None:
    """Return ``<name>_labels.csv`` (or .txt, .tsv) beside a data file."""
    places = (path.with_name(f"{path.stem}_labels{suffix}") for suffix in SUFFIXES)
    return next((place for place in places if place.is_file()), None)
