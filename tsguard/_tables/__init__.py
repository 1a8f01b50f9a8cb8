"""Labelled series in files: .ts, .tsv, .txt, .arff, .npz, .csv and .parquet."""

from tsguard._tables._reader import Options, Row, Values, named_columns, text_errors
from tsguard._tables._series import (
    FORMATS,
    SeriesFile,
    check_file,
    open_reader,
    read_chunks,
    read_series,
    series_of,
)

__all__ = [
    "FORMATS",
    "Options",
    "Row",
    "SeriesFile",
    "Values",
    "check_file",
    "named_columns",
    "open_reader",
    "read_chunks",
    "read_series",
    "series_of",
    "text_errors",
]
