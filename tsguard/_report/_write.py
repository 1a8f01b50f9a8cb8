"""Writing a report: reading the cells, putting the sections together, and all files."""

import importlib.util
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd

from tsguard._atomic import files_in_one_go
from tsguard._bench._results import Row, read_rows
from tsguard._report._aeon import write_aeon
from tsguard._report._figures import draw_figures
from tsguard._report._frame import CONDITION, to_frame
from tsguard._report._page import to_html, to_markdown
from tsguard._report._tables import Section, setup_sections

TITLE = "tsguard bench: attacks and defenses"
ABOUT = (
    "CA: accuracy on the clean test set. ASR: share of triggered test series of other classes that "
    "are answered as the attacker wants. Robust accuracy: share of the same series answered with "
    "their true class. undefended: standard training on the poisoned labels; oracle: on the true "
    "labels of the same series, the ceiling for every defense. Precision, recall: of the samples "
    "that a defense isolates; recovered: share of the rightly isolated ones that get their true "
    "class. Defenses that need clean samples were told some that the harness knows to be clean."
)


def write_report(folder: Path, out: Path, *, aeon: bool = False) -> dict[str, Any]:
    """Write the report on a folder of results.

    Parameters
    ----------
    folder : Path
        As given to ``tsguard bench --out``.
    out : Path
        Made if need be. Gets ``report.html``, ``report.md``, ``cells.csv``, the figures as SVG
        and, where pyarrow is installed, ``cells.parquet``.
    aeon : bool
        Also write ``aeon/``, see ``write_aeon``.

    Returns
    -------
    dict
        ``ok`` and ``failed`` (numbers of cells), ``files`` (written) and ``notes`` (what was not
        written, and why).

    Raises
    ------
    ValueError
        If the folder holds no cell.
    OSError
        If a file cannot be written.
    """
    rows: list[Row] = []
    unreadable: list[str] = []
    for path, row in read_rows(folder):
        if row is None:
            unreadable.append(path.name)
        else:
            rows.append(row)
    if not rows and not unreadable:
        raise ValueError(
            f"DIR must hold results of tsguard bench, got {str(folder)!r} without a file in "
            "'cells'; give the folder that --out named."
        )
    frame = to_frame(rows)
    notes: list[str] = []
    sections, figures = _sections(rows, unreadable, frame, notes)
    files = {
        "report.html": to_html(TITLE, sections, figures),
        "report.md": to_markdown(TITLE, sections),
        "cells.csv": frame.to_csv(index=False),
        **figures,
    }
    with files_in_one_go(out.absolute()) as part:
        for name, text in files.items():
            (part / name).write_text(text, encoding="utf-8")
        names = [*files, *_write_parquet(frame, part / "cells.parquet", notes)]
        if aeon and not frame.empty:
            write_aeon(frame, part / "aeon")
            names.append("aeon")
    written = [str(out / name) for name in names]
    failed = len(rows) - len(frame)
    return {"ok": len(frame), "failed": failed, "files": written, "notes": notes}


def _sections(
    rows: list[Row], unreadable: list[str], frame: pd.DataFrame, notes: list[str]
) -> tuple[list[Section], dict[str, str]]:
    """Return all sections, and the figures by file name."""
    sections, figures = [Section("What this is", ABOUT, level=2)], {}
    can_draw = importlib.util.find_spec("matplotlib") is not None
    if not can_draw:
        notes.append("No figures: matplotlib is missing; run `pip install tsguard[plot]`.")
    for number, (_, cells) in enumerate([] if frame.empty else frame.groupby("setup"), 1):
        names = {}
        for purpose, svg in (draw_figures(cells) if can_draw else {}).items():
            names[purpose] = f"{purpose.replace(' ', '_').lower()}_{number}.svg"
            figures[names[purpose]] = svg
        sections += setup_sections(cells, names)
    sections.append(failures(rows, unreadable))
    if not frame.empty:
        sections += [*_mixed(frame), _provenance(frame)]
    return sections, figures


def failures(rows: list[Row], unreadable: list[str]) -> Section:
    """Return the section that lists cells which failed and files which cannot be read."""
    lines = []
    for row in rows:
        if row["status"] == "failed":
            config = row["config"]
            keys = ("dataset", "attack", "mode", "rate", "backbone", "defense", "seed")
            lines.append(
                {key: str(config[key]) for key in keys}
                | {"error": " ".join(row["error"].split())[:400]}
            )
    lines += [{"dataset": name, "error": "the file cannot be read"} for name in unreadable]
    if not lines:
        return Section("Failures", "None.", level=2)
    text = "Run tsguard bench with --retry-failed to try them again."
    return Section("Failures", text, pd.DataFrame(lines).fillna(""), level=2)


def _mixed(frame: pd.DataFrame) -> list[Section]:
    """Return a warning if defenses of one condition were not given the same poisoned set."""
    counts = frame.groupby(CONDITION)["poisoned_set"].nunique()
    mixed = counts[counts > 1].reset_index().astype(str)
    if mixed.empty:
        return []
    text = (
        "In these conditions the defenses were trained on different poisoned sets, as happens "
        "when machines learn their own trigger; compare them with care, or copy the folder "
        "'triggers' too when results are merged."
    )
    return [Section("Different poisoned sets", text, mixed, level=2)]


def _provenance(frame: pd.DataFrame) -> Section:
    devices = Counter(frame["device"]).most_common()
    versions = Counter(frame["versions"]).most_common()
    lines = [{"what": "device", "which": name, "cells": str(n)} for name, n in devices]
    lines += [{"what": "versions", "which": name, "cells": str(n)} for name, n in versions]
    text = f"Finished from {frame['finished'].min()} to {frame['finished'].max()}."
    return Section("Where the numbers come from", text, pd.DataFrame(lines), level=2)


def _write_parquet(frame: pd.DataFrame, path: Path, notes: list[str]) -> list[str]:
    if importlib.util.find_spec("pyarrow") is None:
        notes.append("No cells.parquet: pyarrow is missing; run `pip install tsguard[bench]`.")
        return []
    frame.to_parquet(path, engine="pyarrow", index=False)
    return [path.name]
