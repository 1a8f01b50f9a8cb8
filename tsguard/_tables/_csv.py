"""Tables as text: .csv, and the UCR archive's .tsv and .txt."""

import csv
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any, TextIO

from tsguard._tables._layout import has_header
from tsguard._tables._reader import Decide, text_errors
from tsguard._tables._table import Record, Table, apply_mark

SEPARATORS = ",;\t"


class CsvTable(Table):
    """A text table; cells stay text, so they are written anew to the last digit."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.label_first = path.suffix.lower() in (".tsv", ".txt")
        with path.open(encoding="utf-8-sig", newline="") as stream:
            first = next((line for line in stream if line.strip()), "")
        if "\0" in first:
            raise ValueError(f"{path} must be text, got a binary file; check the format.")
        self._newline = "\r\n" if first.endswith("\r\n") else "\n"
        self._separator = self._find_separator(first)
        self.header = None
        sample = [cells for _, (_, cells) in zip(range(2), self._all(), strict=False)]
        if sample and has_header(sample):
            self.header = [str(cell).strip() for cell in sample[0]]
        separator = {"\t": "tab", " ": "space"}.get(self._separator, repr(self._separator))
        header = "with" if self.header is not None else "without"
        self.kind = f"text table {header} header, separated by {separator}"

    def _find_separator(self, line: str) -> str:
        counts = {one: line.count(one) for one in SEPARATORS}
        if self.label_first:
            return "\t" if counts["\t"] else ("," if counts[","] else " ")
        return max(counts, key=lambda one: counts[one]) if any(counts.values()) else ","

    def records(self) -> Iterator[Record]:
        """Yield the rows without the header, each with its line in the file."""
        rows = self._all()
        width = None
        if self.header is not None:
            width = len(self.header)
            next(rows)
        for number, cells in rows:
            width = width or len(cells)
            if len(cells) != width:
                raise ValueError(
                    f"{self.path} must hold rows of one length, got {len(cells)} cells in row "
                    f"{number} where there should be {width}; leave cells empty where a series is "
                    "shorter."
                )
            yield number, cells

    def _all(self) -> Iterator[tuple[int, list[str]]]:
        with (
            text_errors(self.path),
            self.path.open(encoding="utf-8-sig", newline="") as stream,
        ):
            if self._separator == " ":
                for number, line in enumerate(stream, start=1):
                    if line.strip():
                        yield number, line.split()
                return
            reader = csv.reader(stream, delimiter=self._separator)
            hollow = 0
            for cells in reader:
                if any(cells):
                    if hollow:  # left out, it would shift the numbers of all series after it
                        raise ValueError(
                            f"{self.path} must hold values in every row, got only empty cells in "
                            f"row {hollow}; remove that row."
                        )
                    yield reader.line_num, cells
                elif len(cells) > 1:  # spreadsheets leave such rows at the end
                    hollow = hollow or reader.line_num

    def write(self, target: Path, label: int | None, key: int | None, decide: Decide) -> None:
        """Write the table again."""
        with target.open("w", encoding="utf-8", newline="") as out:
            write_row = self._writer(out)
            rows = self._all()
            if self.header is not None:
                write_row(next(rows)[1])
            for number, (_, cells) in enumerate(rows):
                asked: Hashable = number if key is None else cells[key]
                changed = apply_mark(decide(asked), cells, label)
                if changed is not None:
                    write_row(changed)

    def _writer(self, out: TextIO) -> Any:
        if self._separator == " ":  # the csv module would quote what it need not
            return lambda cells: out.write(" ".join(map(str, cells)) + self._newline)
        return csv.writer(out, delimiter=self._separator, lineterminator=self._newline).writerow
