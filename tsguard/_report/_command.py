"""The command ``report``: its options, and what it prints."""

import argparse
import json
from pathlib import Path
from typing import Any


def add_report(commands: Any) -> None:
    """Add ``tsguard report`` to the commands."""
    report = commands.add_parser(
        "report",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        help="turn the results of bench into a page, tables and figures",
        description="Write report.html, report.md, cells.csv and cells.parquet from the cells "
        "that tsguard bench stored in a folder.",
    )
    report.add_argument("folder", type=Path, metavar="DIR", help="the folder given to bench")
    report.add_argument(
        "--out", type=Path, metavar="DIR", help="where to write; DIR/report if left out"
    )
    report.add_argument(
        "--aeon", action="store_true", help="also write the files that aeon.benchmarking reads"
    )
    report.add_argument("--json", action="store_true", help="print the result as JSON")
    report.set_defaults(run=_report)


def _report(options: argparse.Namespace) -> str:
    from tsguard._report._write import write_report

    written = write_report(
        options.folder, options.out or options.folder / "report", aeon=options.aeon
    )
    if options.json:
        return json.dumps(written)
    files = "\n".join(f"  {path}" for path in written["files"])
    notes = "".join(f"\n{note}" for note in written["notes"])
    return f"{written['ok']} cells, {written['failed']} failed. Written:\n{files}{notes}"
