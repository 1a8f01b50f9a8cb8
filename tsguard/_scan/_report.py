"""What a scan writes: verdict, suspects, cleaned data, model, report.json and the page."""

import csv
import hashlib
import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np

from tsguard._scan._decisions import COLUMNS
from tsguard._scan._folder import (
    DECISIONS,
    FORMAT,
    FORMAT_VERSION,
    MODEL,
    PAGE,
    REPORT,
    SUSPECTS,
)
from tsguard._scan._run import Outcome, lengths_and_gaps, versions
from tsguard.suspicion import MIN_SAMPLES, MIN_VALUES

UNTOLD = "which class that is can't be told"

CLEAN, FOUND = 0, 3
"""Exit codes."""


def write_report(outcome: Outcome, folder: Path, shown_as: Path) -> dict[str, Any]:
    """Write everything into a folder.

    Parameters
    ----------
    outcome : Outcome
    folder : Path
        Where to write.
    shown_as : Path
        What the user calls that folder.

    Returns
    -------
    dict
        What ``report.json`` holds.
    """
    from tsguard._scan._page import render

    report = describe(outcome, shown_as)
    files = [PAGE, SUSPECTS, *_write_cleaned(outcome, folder)]
    _write_rows(folder / SUSPECTS, suspect_rows(outcome))
    if outcome.decisions:
        _write_rows(folder / DECISIONS, [list(COLUMNS), *(one.row() for one in outcome.decisions)])
        files.append(DECISIONS)
    if outcome.classifier is not None:
        from tsguard._persistence import save

        save(outcome.classifier, folder / MODEL)
        files.append(MODEL)
    report["files"] = sorted(files)
    (folder / PAGE).write_text(render(outcome, report), encoding="utf-8")
    text = json.dumps(report, indent=1, allow_nan=False, ensure_ascii=False)
    (folder / REPORT).write_text(text + "\n", encoding="utf-8")
    return report


def verdict_of(outcome: Outcome) -> str:
    """Return the verdict in one sentence."""
    finding, n_samples = outcome.finding, len(outcome.panel)
    n_suspects = int(finding.suspect.sum())
    if n_suspects:
        names = [repr(str(one)) for one in finding.targets]
        classes = f"class {names[0]}" if len(names) == 1 else f"classes {_listed(names)}"
        return (
            f"Likely backdoored: {classes}, about {n_suspects} of {n_samples} series, confidence "
            f"{min(finding.confidence, 0.99):.2f}"
        )
    what = "left after the review" if outcome.decisions else "found"
    reason = "no group of series looks like another class than its label says and shares a pattern"
    if n_samples < MIN_SAMPLES or outcome.panel[0].size < MIN_VALUES:
        reason = (
            f"too little data to tell poison from chance ({MIN_SAMPLES} series of {MIN_VALUES} "
            "values at least)"
        )
    return (
        f"Nothing suspicious {what}: {reason} (highest suspicion {finding.confidence:.2f} of 1, "
        f"{n_samples} series)"
    )


def describe(outcome: Outcome, shown_as: Path) -> dict[str, Any]:
    """Return ``report.json`` without the list of its files."""
    finding, source, reviewed = outcome.finding, outcome.source, outcome.reviewed
    lengths, n_gaps = lengths_and_gaps(source.series)
    classes, counts = np.unique(source.labels, return_counts=True)
    suspicious = bool(finding.suspect.any())
    kinds = [one.kind for one in outcome.decisions]
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "verdict": verdict_of(outcome),
        "suspicious": suspicious,
        "exit_code": FOUND if suspicious else CLEAN,
        "suspected_classes": finding.targets.tolist(),
        "n_suspects": int(finding.suspect.sum()),
        "confidence": round(finding.confidence, 4) if suspicious else None,
        "highest_suspicion": round(float(finding.suspicion.max(initial=0.0)), 4),
        "n_relabelled": int(finding.told.sum()),
        "n_dropped": int((finding.suspect & ~finding.told).sum()),
        "withheld": reviewed.rows[finding.withheld].tolist(),
        "reviewed": {
            **{kind: kinds.count(kind) for kind in ("keep", "relabel", "drop")},
            "doubted_again": outcome.overruled,
        },
        "data": {
            "path": str(source.path),
            "sha256": _checksum(source.path),
            "layout": source.layout,
            "labels": None if source.labels_path is None else str(source.labels_path),
            "n_series": len(source.series),
            "n_channels": len(source.series[0]),
            "lengths": lengths,
            "n_with_missing_values": n_gaps,
            "classes": {str(one): int(n) for one, n in zip(classes, counts, strict=True)},
        },
        "suspects": [dict(zip(_HEADER, row, strict=False)) for row in suspect_rows(outcome)[1:]],
        "settings": outcome.settings,
        "command": command_line(outcome, shown_as),
        "seconds": outcome.seconds,
        "versions": versions(trained=outcome.classifier is not None),
    }


_HEADER = ["index", "label", "suspicion", "recovered_label", "reason"]


def suspect_rows(outcome: Outcome) -> list[list[Any]]:
    """Return ``suspects.csv``: one row per suspect, most suspicious first, after the header.

    A last column has the ids of the series, where they have any.
    """
    finding, ids = outcome.finding, outcome.source.ids
    rows: list[list[Any]] = [[*_HEADER, *(["id"] if ids else [])]]
    for place in outcome.suspects:
        index = int(outcome.reviewed.rows[place])
        told = bool(finding.told[place])
        reason = finding.reasons[place] or "suspect"
        if not told and not finding.label_kept[place]:
            reason = f"{reason}; {UNTOLD}"
        rows.append(
            [
                index,
                finding.classes[finding.codes[place]].item(),
                round(float(finding.suspicion[place]), 4),
                finding.classes[finding.recovered[place]].item() if told else "",
                reason if told else f"{reason}, so it is left out",
                *([ids[index]] if ids else []),
            ]
        )
    return rows


def command_line(outcome: Outcome, out: Path) -> str:
    """Return the command that repeats the scan."""
    source, settings = outcome.source, outcome.settings
    words = ["tsguard", "scan", str(source.path), "--out", str(out)]
    for option, value in source.options.as_arguments():
        words += [option, value]
    if outcome.decisions:
        words += ["--decisions", str(out / DECISIONS)]
    if not settings["train"]:
        words.append("--no-train")
    names = {"random_state": "--seed", "n_epochs": "--epochs"}
    for name in ("backbone", "n_epochs", "device", "random_state"):
        if name in settings:
            words += [names.get(name, f"--{name}"), str(settings[name])]
    return shlex.join(words)


def _write_cleaned(outcome: Outcome, folder: Path) -> list[str]:
    """Write the original values with corrected labels, without what can't be trusted."""
    source, finding, rows = outcome.source, outcome.finding, outcome.reviewed.rows
    keep = np.zeros(len(source.labels), bool)
    keep[rows] = ~finding.suspect | finding.told
    labels = source.labels.copy()
    labels[rows] = finding.labels
    return source.write_cleaned(folder, keep, labels)


def _write_rows(path: Path, rows: list[list[Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows(rows)


def _checksum(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _listed(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"
