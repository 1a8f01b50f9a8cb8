"""Where results lie: one JSON file per cell, whole or not there at all.

The name of a file follows from what the cell is, so the results of two machines are merged by
copying one folder into the other.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tsguard._atomic import file_in_one_go
from tsguard._bench._grid import Config

Row = dict[str, Any]
"""One stored cell: its ``config``, ``status`` ("ok" or "failed") and what came of it."""

FORMAT = 1


def cell_path(folder: Path, config: Config) -> Path:
    """Return the file of a cell: its main facts to read, and a hash of them all."""
    facts = ("dataset", "attack", "mode", "rate", "backbone", "defense", "seed")
    return _named(folder / "cells", [config[name] for name in facts], config)


def trigger_path(folder: Path, config: Config) -> Path:
    """Return the file of the learned trigger that a cell uses; many cells share one.

    A trigger is learned on the clean training set, for a target class that the seed draws: rate,
    backbone and defense make no difference to it.
    """
    names = ("dataset", "max_train", "attack", "attack_parameters", "mode", "seed")
    shared = {name: config[name] for name in names}
    facts = [config[name] for name in ("dataset", "attack", "mode", "seed")]
    return _named(folder / "triggers", facts, shared)


def _named(folder: Path, facts: list[Any], identity: Config) -> Path:
    text = json.dumps(identity, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:10]
    readable = re.sub(r"[^\w.+-]+", "_", "-".join(map(str, facts))).strip("_")
    return folder / f"{readable[:150]}-{digest}.json"


def write_row(path: Path, row: Row) -> None:
    """Store a cell."""
    write_text(path, json.dumps(row, indent=1))


def write_text(path: Path, text: str) -> None:
    """Write a file, which holds all of the text or does not exist, whatever happens."""
    with file_in_one_go(path) as part:
        part.write_text(text, encoding="utf-8")


def read_row(path: Path) -> Row | None:
    """Return a stored cell; None if there is none, or none that can be read."""
    try:
        row = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    is_cell = isinstance(row, dict) and row.get("format") == FORMAT
    if not is_cell or not {"config", "status", "metrics"} <= set(row):
        return None
    return row if row["status"] == "failed" or isinstance(row["metrics"], dict) else None


def read_rows(folder: Path) -> Iterator[tuple[Path, Row | None]]:
    """Yield all stored cells with their files, in the order of their names."""
    for path in sorted((folder / "cells").glob("*.json")):
        yield path, read_row(path)
