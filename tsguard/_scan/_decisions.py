"""What a reviewer decided about single series: keep, relabel or drop."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tsguard._tables import check_file, text_errors

COLUMNS = ("index", "decision", "label")
KINDS = ("keep", "relabel", "drop")


@dataclass(frozen=True)
class Decision:
    """A reviewer's word on one series.

    Attributes
    ----------
    index : int
        Number of the series in the file, from 0.
    kind : str
        One of ``KINDS``.
    label : object
        The new label for "relabel", else None.
    """

    index: int
    kind: str
    label: Any = None

    def row(self) -> list[str]:
        """Return the decision as ``decisions.csv`` has it."""
        return [str(self.index), self.kind, "" if self.label is None else str(self.label)]


@dataclass(frozen=True, eq=False)
class Reviewed:
    """A training set after the reviewer's decisions.

    Attributes
    ----------
    rows : ndarray of int of shape (n_left,)
        Numbers of the series that were not dropped.
    labels : ndarray of shape (n_left,)
        Their labels, relabelled where decided so.
    decided : ndarray of bool of shape (n_left,)
        Whom the reviewer kept or relabelled.
    relabelled : ndarray of bool of shape (n_left,)
    """

    rows: NDArray[np.intp]
    labels: NDArray[Any]
    decided: NDArray[np.bool_]
    relabelled: NDArray[np.bool_]


def read_decisions(path: Path, labels: NDArray[Any]) -> list[Decision]:
    """Read the reviewer's decisions.

    Parameters
    ----------
    path : Path
        CSV with the columns index, decision (keep, relabel or drop) and label.
    labels : ndarray of shape (n_samples,)
        The labels of the file that was reviewed.

    Returns
    -------
    list of Decision
        In order of the index.

    Raises
    ------
    OSError
        If there is no such file.
    ValueError
        If a row is wrong; the message names it.
    """
    check_file(path, "decisions")
    with text_errors(path), path.open(encoding="utf-8-sig", newline="") as stream:
        rows = [(n, row) for n, row in enumerate(csv.reader(stream), start=1) if any(row)]
    header = [cell.strip().lower() for cell in rows[0][1]] if rows else []
    if tuple(header) != COLUMNS:
        raise ValueError(
            f"{path} must begin with the columns {','.join(COLUMNS)}, got "
            f"{','.join(header) or 'nothing'}; build it with the report's checkboxes."
        )
    known = {str(label): label for label in np.unique(labels).tolist()}
    found: dict[int, Decision] = {}
    for number, row in rows[1:]:
        decision = _read_row(path, number, row, known, len(labels))
        if decision.index in found:
            raise ValueError(
                f"{path} must decide once about a series, got index {decision.index} again in row "
                f"{number}; remove one of the rows."
            )
        found[decision.index] = decision
    return [found[index] for index in sorted(found)]


def _read_row(
    path: Path, number: int, row: list[str], known: dict[str, Any], n_samples: int
) -> Decision:
    cells = [cell.strip() for cell in row] + [""] * (3 - len(row))
    index, kind, label = cells[0], cells[1].lower(), cells[2]
    if len(cells) > 3 or not (index.isascii() and index.isdecimal()) or int(index) >= n_samples:
        raise ValueError(
            f"{path} must hold an index from 0 to {n_samples - 1}, a decision and a label, got "
            f"{','.join(row)!r} in row {number}; correct it."
        )
    if kind not in KINDS:
        raise ValueError(
            f"{path} must decide {', '.join(KINDS[:2])} or {KINDS[2]}, got {cells[1]!r} in row "
            f"{number}; correct it."
        )
    if kind != "relabel":
        return Decision(int(index), kind)
    if label not in known:  # beside empty cells, pandas writes 2 as 2.0
        label = label.removesuffix(".0")
    if label not in known:
        raise ValueError(
            f"{path} must relabel to a label of the data ({', '.join(sorted(known)[:8])}), got "
            f"{label!r} in row {number}; correct it."
        )
    return Decision(int(index), kind, known[label])


def apply_decisions(decisions: list[Decision], labels: NDArray[Any]) -> Reviewed:
    """Change a training set as the reviewer decided.

    Parameters
    ----------
    decisions : list of Decision
    labels : ndarray of shape (n_samples,)
        Given labels.

    Returns
    -------
    Reviewed
    """
    changed, stays = labels.copy(), np.ones(len(labels), bool)
    decided, relabelled = (np.zeros(len(labels), bool) for _ in range(2))
    for one in decisions:
        decided[one.index] = True
        stays[one.index] = one.kind != "drop"
        if one.kind == "relabel":
            changed[one.index], relabelled[one.index] = one.label, True
    rows = np.flatnonzero(stays)
    return Reviewed(rows, changed[rows], decided[rows], relabelled[rows])
