"""Labelled series from a file of any known format, whole or piece by piece, and back again."""

import itertools
import os
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tsguard._tables._archive import ArffReader, TsReader
from tsguard._tables._csv import CsvTable
from tsguard._tables._labels_file import LabelsFile, find_labels_beside
from tsguard._tables._npz import NpzReader
from tsguard._tables._parquet import ParquetTable
from tsguard._tables._reader import Mark, Options, Reader, Row, Values, text_errors
from tsguard._tables._table import Table, TableReader

_TABLES: dict[str, Callable[[Path], Table]] = {
    ".csv": CsvTable,
    ".tsv": CsvTable,
    ".txt": CsvTable,
    ".parquet": ParquetTable,
    ".pq": ParquetTable,
}
_OTHERS = {".ts": TsReader, ".arff": ArffReader, ".npz": NpzReader}

FORMATS = (*_OTHERS, *_TABLES)
"""Suffixes of the formats that can be read."""


@dataclass(frozen=True, eq=False)
class SeriesFile:
    """All series of a file, and what is needed to write it again.

    Attributes
    ----------
    path : Path
    layout : str
        What was detected, in words.
    series : list of ndarray of float64 of shape (n_channels, n_timepoints_i)
        As in the file; NaN where values are missing.
    labels : ndarray of shape (n_samples,)
        Integers where all are whole numbers (in .ts and .arff files texts, as
        :func:`tsguard.load_dataset` has them), else texts.
    ids : list of str or None
        Names of the series, if they have any.
    labels_path : Path or None
        The file beside the data that the labels come from.
    options : Options
        What the user said about the file.
    """

    path: Path
    layout: str
    series: list[Values]
    labels: NDArray[Any]
    ids: list[str] | None
    labels_path: Path | None
    options: Options
    _reader: Reader = field(repr=False)
    _labels_file: LabelsFile | None = field(repr=False)
    _spelling: dict[Any, Any] = field(repr=False)

    def write_cleaned(
        self, folder: Path, keep: NDArray[np.bool_], labels: NDArray[Any]
    ) -> list[str]:
        """Write the file again without some series and with other labels; values stay untouched.

        Parameters
        ----------
        folder : Path
        keep : ndarray of bool of shape (n_samples,)
            Series that stay.
        labels : ndarray of shape (n_samples,)
            Their labels, each of which occurs in the file.

        Returns
        -------
        list of str
            Names of the files written: that of the data with ``_cleaned`` added, and likewise
            that of the labels where they lie beside the data.
        """
        spelled = [self._spelling[label] for label in labels.tolist()]
        changed = labels != self.labels

        def decide(index: Hashable) -> Any:
            assert isinstance(index, int)
            if not keep[index]:
                return Mark.DROP
            return spelled[index] if changed[index] else Mark.KEEP

        def drop_only(index: Hashable) -> Any:
            return Mark.KEEP if keep[index] else Mark.DROP  # type: ignore[call-overload]

        name = f"{self.path.stem}_cleaned{self.path.suffix}"
        if self._labels_file is None:
            self._reader.rewrite(folder / name, decide)
            return [name]
        beside = f"{self.path.stem}_cleaned_labels{self._labels_file.path.suffix}"
        self._reader.rewrite(folder / name, drop_only)
        self._labels_file.rewrite(folder / beside, self.ids, decide)
        return [name, beside]


def read_series(path: str | os.PathLike[str], options: Options | None = None) -> SeriesFile:
    """Read all series of a file and their labels.

    Parameters
    ----------
    path : str or path
        A file of one of ``FORMATS``.
    options : Options, optional
        What is not to be detected.

    Returns
    -------
    SeriesFile

    Raises
    ------
    OSError
        If there is no such file, or it can't be read.
    ValueError
        If it is malformed; the message names the place.
    ImportError
        If a package for the format is missing.
    """
    options = options or Options()
    return series_of(open_reader(path, options), options)


def series_of(reader: Reader, options: Options) -> SeriesFile:
    """Read all series of an opened file and their labels; see :func:`read_series`."""
    rows = _read_all(reader)
    ids = [row.id for row in rows if row.id is not None]
    names = ids if len(ids) == len(rows) and len(set(ids)) == len(ids) else None
    beside = _labels_beside(reader, options)
    if beside is not None:
        labels_file = LabelsFile(beside)
        raw: list[Any] = labels_file.labels(names, len(rows))
        places = [f"{beside} for {row.place}" for row in rows]
    else:
        labels_file, raw = None, [row.label for row in rows]
        places = [row.place for row in rows]
    labels = _typed(reader, raw, places, beside is not None)
    spelling: dict[Any, Any] = {}
    for label, text in zip(labels.tolist(), raw, strict=True):
        spelling.setdefault(label, text)
    return SeriesFile(
        reader.path,
        reader.layout,
        [row.values for row in rows],
        labels,
        names,
        beside,
        options,
        reader,
        labels_file,
        spelling,
    )


def read_chunks(
    path: str | os.PathLike[str], options: Options | None, size: int
) -> Iterator[list[Row]]:
    """Read a file with or without labels piece by piece, in the memory of one piece.

    Parameters
    ----------
    path : str or path
    options : Options or None
        What is not to be detected.
    size : int
        Series per piece.

    Yields
    ------
    list of Row

    Raises
    ------
    OSError, ValueError, ImportError
        As :func:`read_series`; and if the rows of one series do not stand together.
    """
    reader = open_reader(path, options or Options())
    with text_errors(reader.path):
        rows = reader.rows()
        while chunk := list(itertools.islice(rows, size)):
            yield chunk


def open_reader(path: str | os.PathLike[str], options: Options) -> Reader:
    """Return the reader of a file, after a look at its beginning."""
    place = Path(path)
    check_file(place, "DATA")
    suffix = place.suffix.lower()
    if suffix not in FORMATS:
        raise ValueError(
            f"DATA must be a file of one of the formats {', '.join(FORMATS)}, got {str(path)!r}; "
            "convert it."
        )
    with text_errors(place):
        if suffix in _TABLES:
            return TableReader(_TABLES[suffix](place), options)
        if options.columns:
            raise ValueError(
                f"columns must be named for tables ({', '.join(_TABLES)}) only, got "
                f"{options.columns[0]!r} for {place}; leave the option away."
            )
        return _OTHERS[suffix](place)


def check_file(path: Path, name: str) -> None:
    """Refuse what is no readable file.

    Raises
    ------
    OSError
        One sentence on what is wrong.
    """
    if path.is_dir():
        raise IsADirectoryError(f"{name} must be a file, got the directory {path}; name one file.")
    if not path.is_file():
        what = "a device or pipe; save it as a file" if path.exists() else "which is not there"
        raise FileNotFoundError(f"{name} must be a file, got {path}, {what}.")
    if not os.access(path, os.R_OK):
        raise PermissionError(
            f"{name} must be a file that can be read, got {path} without permission to read it; "
            "change its permissions."
        )


def _read_all(reader: Reader) -> list[Row]:
    with text_errors(reader.path):
        rows = list(reader.all_rows())
    if not rows:
        raise ValueError(f"{reader.path} must hold at least one series, got none; add series.")
    channels = {len(row.values) for row in rows}
    assert len(channels) == 1, "every reader checks this"
    return rows


def _labels_beside(reader: Reader, options: Options) -> Path | None:
    """Return the file of the labels, None if they are in the data."""
    if options.labels is not None:
        check_file(options.labels, "labels")
        if options.label_column is not None:
            raise ValueError(
                "labels must come from one place, got a labels file and a label column; name one."
            )
        return options.labels
    if reader.has_labels:
        return None
    beside = find_labels_beside(reader.path)
    if beside is None:
        raise ValueError(
            f"{reader.path} must come with labels, got none in it and no file "
            f"{reader.path.stem}_labels.csv beside it; name the column (--label-column) or the "
            "file (--labels)."
        )
    return beside


def _typed(reader: Reader, raw: list[Any], places: list[str], is_text: bool) -> NDArray[Any]:
    """Return labels as integers where all are whole numbers, else as they are."""
    for label, place in zip(raw, places, strict=True):
        if label is None or str(label).strip().lower() in ("", "?", "nan"):
            raise ValueError(
                f"{reader.path} must hold a label for every series, got none in {place}; add it or "
                "remove the series."
            )
    labels = np.asarray(raw)
    if labels.dtype.kind == "O":
        kinds = sorted({type(one).__name__ for one in raw})
        raise ValueError(
            f"{reader.path} must hold labels of one kind, got {', '.join(kinds)}; make them all "
            "texts or all integers."
        )
    if labels.dtype.kind == "f" and (labels != np.floor(labels)).any():
        worst = int((labels != np.floor(labels)).argmax())
        raise ValueError(
            f"{reader.path} must hold labels that are texts or whole numbers, got {labels[worst]} "
            f"in {places[worst]}; name the classes, or bin the values into classes."
        )
    if labels.dtype.kind == "U" and (is_text or reader.typed_labels):
        return _as_integers(labels)
    return labels


def _as_integers(labels: NDArray[np.str_]) -> NDArray[Any]:
    """Return texts as integers if they all are whole numbers that fit in 64 bits, else as texts."""
    texts = labels.tolist()
    if any("_" in text for text in texts):  # Python reads 1_0 as 10, and would merge the two
        return labels
    try:
        return np.array([int(text) for text in texts], np.int64)
    except (ValueError, OverflowError):
        pass
    try:
        values = np.array([float(text) for text in texts])
    except ValueError:
        return labels
    exact = (np.abs(values) < 2**53) & (values == np.floor(values))  # larger ones would be merged
    return values.astype(np.int64) if exact.all() else labels
