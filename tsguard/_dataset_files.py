"""Reading one half of a data set from a file of the archives."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tsguard._labels import check_labels
from tsguard._validation import Panel, to_panel


def read_part(
    file: Path, part: str, like: tuple[int, ...] | None = None
) -> tuple[Panel, NDArray[Any]]:
    """Read one half of a data set; `like` is (n_channels, n_timepoints) of the training half."""
    try:
        X, y = _read_npz(file, part) if file.suffix == ".npz" else _read_text(file)
        panel = to_panel(X, n_timepoints=like[1] if like else None)
        labels = check_labels(y, len(panel), allow_one_class=part == "test")
        if like and panel.shape[1] != like[0]:
            raise ValueError(f"{panel.shape[1]} channel(s) where the training set has {like[0]}")
        return panel, labels
    except Exception as error:  # whatever a parser trips over, the user's news is the same
        reason = " ".join(str(error).split()).rstrip(".")
        raise ValueError(
            f"{file} must be the {part} half of a classification data set, got a file that cannot "
            f"be read ({type(error).__name__}: {reason}); repair it or fetch it again."
        ) from error


def _read_npz(file: Path, part: str) -> tuple[NDArray[Any], NDArray[Any]]:
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
        X, y = arrays[f"X_{part}"], arrays[f"y_{part}"]
        if "classes" not in arrays:
            return X, y
        classes = arrays["classes"]
    if y.dtype.kind not in "iu" or y.min() < 0 or y.max() >= len(classes):
        raise ValueError(
            f"y_{part} must hold codes 0 to {len(classes) - 1}, for `classes` is given"
        )
    return X, classes[y]


def _read_text(file: Path) -> tuple[Any, NDArray[Any]]:
    from tsguard._tables import read_series

    found = read_series(file)
    return found.series, found.labels


def _ts_header(file: Path) -> dict[str, list[str]]:
    """Return the tags of a .ts file in lower case, each with its words."""
    header: dict[str, list[str]] = {}
    with file.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            words = line.split()
            if not words:
                continue
            if words[0][0] not in "@#" or words[0].lower() == "@data":
                break
            header[words[0].lower()] = words[1:]
    return header


def _is_true(header: dict[str, list[str]], tag: str) -> bool:
    return [word.lower() for word in header.get(tag, [])[:1]] == ["true"]


def is_regression(file: Path) -> bool:
    return file.suffix.lower() == ".ts" and _is_true(_ts_header(file), "@targetlabel")
