"""The text formats of the archives with a header: .ts and .arff."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tsguard._dataset_files import is_regression
from tsguard._tables._reader import (
    Decide,
    Mark,
    Reader,
    Row,
    Values,
    check_filled,
    numbers,
    shorten,
)


class _LineReader(Reader):
    """One line a series, after a header; the label stands last.

    Values stay text when the file is written anew, so they come out to the last digit.
    """

    typed_labels = False
    comment: str

    def rows(self) -> Iterator[Row]:
        """Yield the series in order."""
        for number, line in self._lines():
            if number:
                yield self._read(line.strip(), number)

    def rewrite(self, target: Path, decide: Decide) -> None:
        """Write the file again with other labels and fewer series."""
        index = 0
        with target.open("w", encoding="utf-8", newline="") as out:
            for number, line in self._lines():
                mark: Any = Mark.KEEP
                if number:
                    mark, index = decide(index), index + 1
                if mark is Mark.KEEP:
                    out.write(line)
                elif mark is not Mark.DROP:
                    body = line.rstrip()
                    rest, _ = self._split_label(body, number)
                    out.write(f"{rest}{mark}{line[len(body) :]}")

    def _lines(self) -> Iterator[tuple[int, str]]:
        """Yield every line, with its number where it is a series, else with 0."""
        in_data = False
        with self.path.open(encoding="utf-8-sig", newline="") as lines:
            for number, line in enumerate(lines, start=1):
                text = line.strip()
                is_series = in_data and bool(text) and not text.startswith(self.comment)
                yield number if is_series else 0, line
                in_data = in_data or text.lower() == "@data"
        if not in_data:
            raise ValueError(
                f"{self.path} must be a {self.path.suffix.lower()} file with a line '@data', got "
                "none; check the format."
            )

    def _read(self, text: str, number: int) -> Row:
        raise NotImplementedError

    def _split_label(self, text: str, number: int) -> tuple[str, str]:
        raise NotImplementedError

    def _channels(self, texts: list[str], number: int) -> Values:
        """Return the channels of one series, each a text of values with commas."""

        def where(channel: int) -> Callable[[int], str]:
            return lambda place: f"row {number}, channel {channel + 1}, column {place + 1}"

        values = [
            numbers(text.split(","), where(channel), self.path)
            for channel, text in enumerate(texts)
        ]
        if len({len(one) for one in values}) > 1:
            raise ValueError(
                f"{self.path} must hold channels of one length in a series, got "
                f"{[len(one) for one in values]} values in row {number}; fill the shorter ones "
                "with NaN."
            )
        return check_filled(np.array(values), f"row {number}", self.path)

    def _check_shape(
        self, values: Values, first: tuple[int, ...], equal: bool, number: int
    ) -> None:
        if len(values) != first[0]:
            raise ValueError(
                f"{self.path} must hold series with one number of channels, got {first[0]} in the "
                f"first and {len(values)} in row {number}; correct that row."
            )
        if equal and values.shape[1] != first[1]:
            raise ValueError(
                f"{self.path} must hold series of one length, got {first[1]} values in the first "
                f"and {values.shape[1]} in row {number}; correct that row"
                f"{self.remedy_for_lengths}."
            )

    remedy_for_lengths = ""


class TsReader(_LineReader):
    """The .ts format: channels separated by colons, then the label."""

    comment = "#"
    remedy_for_lengths = ", or write '@equalLength false' into the header"

    def __init__(self, path: Path) -> None:
        self.path = path
        if is_regression(path):
            raise ValueError(
                f"{path} must hold class labels, got a regression set (@targetlabel true); bin the "
                "targets into classes."
            )
        header = self._header()
        if _is_true(header, "@timestamps"):
            raise ValueError(
                f"{path} must hold values alone, got a file with time stamps (@timestamps true); "
                "write the values without them."
            )
        self.has_labels = _is_true(header, "@classlabel", "true")
        self._equal = _is_true(header, "@equallength", "true")
        # Archives differ in the case of a label in header and data; the header is right.
        self._spelling = {one.lower(): one for one in header.get("@classlabel", [])[1:]}
        self._classes = set(self._spelling.values())
        self.layout = ".ts file" + ("" if self._equal else " with series of unequal length")
        self._first: tuple[int, ...] | None = None

    def _header(self) -> dict[str, list[str]]:
        words = (line.split() for number, line in self._lines() if not number)
        return {one[0].lower(): one[1:] for one in words if one and one[0].startswith("@")}

    def rows(self) -> Iterator[Row]:
        """Yield the series in order."""
        self._first = None
        return super().rows()

    def _read(self, text: str, number: int) -> Row:
        label: str | None = None
        if self.has_labels:
            text, label = self._split_label(text, number)
            text, label = text[:-1], label.strip()
            if label not in self._classes:
                label = self._declared(label, number)
        values = self._channels(text.split(":"), number)
        self._first = self._first or values.shape
        self._check_shape(values, self._first, self._equal, number)
        return Row(values, label, f"row {number}")

    def _declared(self, label: str, number: int) -> str:
        """Return a label as the header spells it, or refuse one that it does not have."""
        if self._classes and label and label != "?" and label.lower() not in self._spelling:
            raise ValueError(
                f"{self.path} must hold labels that its @classLabel line names "
                f"{shorten(', '.join(sorted(self._classes)))}, got {label!r} in row {number}; "
                "correct the label, or add it to the line."
            )
        return self._spelling.get(label.lower(), label)

    def _split_label(self, text: str, number: int) -> tuple[str, str]:
        head, colon, label = text.rpartition(":")
        if not colon:
            raise ValueError(
                f"{self.path} must hold a label after the last colon of every series, got none in "
                f"row {number}; add it."
            )
        return head + colon, label


class ArffReader(_LineReader):
    """The .arff format: values and label separated by commas; several channels in quotes."""

    comment = "%"
    has_labels = True
    _last = re.compile(r"""^(.*,)\s*('(?:[^'\\]|\\.)*'|"[^"]*"|[^,'"]*)$""")

    def __init__(self, path: Path) -> None:
        self.path = path
        header = [line.lower() for number, line in self._lines() if not number]
        attributes = [line.split() for line in header if line.startswith("@attribute")]
        self._relational = any(words[-1] == "relational" for words in attributes)
        self.layout = ".arff file" + (" with several channels" if self._relational else "")
        self._first: tuple[int, ...] | None = None

    def rows(self) -> Iterator[Row]:
        """Yield the series in order."""
        self._first = None
        return super().rows()

    def _read(self, text: str, number: int) -> Row:
        rest, label = self._split_label(text, number)
        body = rest.rstrip(",").strip()
        channels = [body]
        if self._relational:
            channels = body.strip("'\"").split("\\n")
        values = self._channels(channels, number)
        self._first = self._first or values.shape
        self._check_shape(values, self._first, True, number)
        return Row(values, label.strip("'\"").strip(), f"row {number}")

    def _split_label(self, text: str, number: int) -> tuple[str, str]:
        match = None if text.startswith("{") else self._last.match(text)
        if match is None:
            raise ValueError(
                f"{self.path} must hold values and a label separated by commas, got "
                f"{text[:40]!r} in row {number}; write the file in the dense form."
            )
        return match[1], match[2]

    def rewrite(self, target: Path, decide: Decide) -> None:
        """Write the file again with other labels and fewer series."""

        def quoted(index: Any) -> Any:
            mark = decide(index)
            plain = isinstance(mark, Mark) or re.fullmatch(r"[^\s,'\"{}%]+", str(mark))
            return mark if plain else "'" + str(mark).replace("'", "\\'") + "'"

        super().rewrite(target, quoted)


def _is_true(header: dict[str, list[str]], tag: str, default: str = "false") -> bool:
    return (header.get(tag) or [default])[0].lower() == "true"
