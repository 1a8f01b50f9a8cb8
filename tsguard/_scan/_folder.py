"""The folder of a scan: which files it holds, and when it may be replaced."""

import json
from pathlib import Path
from typing import Any

FORMAT, FORMAT_VERSION = "tsguard-scan", 1

REPORT = "report.json"
PAGE = "report.html"
SUSPECTS = "suspects.csv"
DECISIONS = "decisions.csv"
MODEL = "model"


def check_replaceable(folder: Path, inputs: list[Path | None], has_decisions: bool) -> None:
    """Refuse to write where something else than a scan would be lost.

    Parameters
    ----------
    folder : Path
        Where the scan is to be written.
    inputs : list of Path or None
        Data, labels and decisions of this scan.
    has_decisions : bool
        Whether this scan obeys decisions (and will keep a copy of them).

    Raises
    ------
    OSError
        If `folder` is a file, or holds anything but an earlier scan.
    """
    data, labels, _ = (one and one.absolute().parent.resolve() for one in inputs)
    place = folder.resolve()
    for source in (data, labels):
        if source is not None and (source == place or place in source.parents):
            raise FileExistsError(f"out must not hold the data, got {folder}; choose another one.")
    if not folder.exists():
        return
    if not folder.is_dir():
        raise NotADirectoryError(
            f"out must be a folder, got the file {folder}; choose another one."
        )
    names = {path.name for path in folder.iterdir()}
    if not names:
        return
    others = sorted(names - _names_of(folder))
    if others:
        raise FileExistsError(
            f"out must be new, empty or an earlier scan, got {folder} with "
            f"{', '.join(others[:3])}; choose another one or move these."
        )
    if DECISIONS in names and not has_decisions:
        raise FileExistsError(
            f"out holds {folder / DECISIONS}, which would be lost; obey it with --decisions or "
            "move it."
        )


def _names_of(folder: Path) -> set[str]:
    """Return the names of all files that belong to the scan in a folder, none if it is no scan."""
    try:
        report: Any = json.loads((folder / REPORT).read_bytes())
        if report["format"] == FORMAT:
            return {REPORT, DECISIONS, *map(str, report["files"])}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass
    return set()
