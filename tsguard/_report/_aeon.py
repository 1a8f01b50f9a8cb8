"""Accuracies in the results format of the UCR/UEA archive, which ``aeon.benchmarking`` reads.

The format is one file per method, ``classification/accuracy/<method>_accuracy.csv``, with a line
per data set and a column per resample. Our columns are seeds, all on the archive's own split.
"""

import csv
import math
import re
from pathlib import Path

import pandas as pd

#: Folder → the accuracy that its files hold.
MEASURES = {"clean": "clean_accuracy", "triggered": "robust_accuracy"}


def write_aeon(frame: pd.DataFrame, folder: Path) -> list[Path]:
    """Write the accuracy of every defense, on clean and on triggered test series.

    One folder for each setup, attack, mode and rate, in it ``clean`` and ``triggered``. A seed that
    a data set lacks leaves a gap, which aeon refuses to read as a score.

    Parameters
    ----------
    frame : DataFrame
        As ``to_frame`` returns it.
    folder : Path

    Returns
    -------
    list of Path
        The files.
    """
    written = []
    conditions = ["setup", "attack", "mode", "rate"]
    for names, cells in frame.groupby(conditions):
        place = folder / _file_name("-".join(map(str, names)))
        for measure, score in MEASURES.items():
            for defense, part in cells.groupby("defense"):
                values = part.assign(score=part[score].astype(float))
                table = values.pivot_table(index="dataset", columns="seed", values="score")
                if not table.empty:
                    name = f"{_file_name(str(defense))}_accuracy.csv"
                    path = place / measure / "classification" / "accuracy" / name
                    _write(table, path)
                    written.append(path)
    return written


def _write(table: pd.DataFrame, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["Resamples:", *range(table.shape[1])])
        for name, values in zip(table.index, table.to_numpy().tolist(), strict=True):
            writer.writerow([name, *("" if math.isnan(one) else one for one in values)])


def _file_name(text: str) -> str:
    return re.sub(r"[^\w.+=-]+", "_", text).strip("_")
