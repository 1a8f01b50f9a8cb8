r"""Turn a report's ``cells.csv`` into stored cells again, so that a grid can go on from a report.

    python benchmarks/restore_cells.py benchmarks/grids/core.toml docs/results/core/cells.csv \
        --out results --data ../shared/data
    tsguard bench benchmarks/grids/core.toml --out results --data ../shared/data --jobs 2

Only cells of the grid are written, and none that is there. Delete the files of those that a change
of a method concerns, run the grid, write the report. Warnings and the settings of single cells are
not in the table and stay empty; everything that a report shows is.
"""

import argparse
import json
import re
from pathlib import Path

import pandas as pd

KEYS = ["dataset", "attack", "mode", "rate", "backbone", "defense", "seed"]
DATA = ("n_train", "n_timepoints", "n_poisoned", "poisoned_set")
COST = ("seconds", "total_seconds", "peak_memory_mb", "peak_gpu_memory_mb")
NO_METRICS = {*KEYS, *DATA, *COST, "device", "versions", "finished", "setup"}


def main() -> None:
    """Parse the command line and write the cells."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("grid", type=Path)
    parser.add_argument("table", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=None, help="folder of the data sets")
    options = parser.parse_args()

    from tsguard._bench._grid import read_grid
    from tsguard._bench._results import cell_path, write_row

    how = {"keep_default_na": False, "na_values": [""], "float_precision": "round_trip"}
    table = pd.read_csv(options.table, **how).astype(object)
    table = table.where(table.notna(), None)
    lines = {tuple(line[key] for key in KEYS): line for line in table.to_dict("records")}
    (options.out / "cells").mkdir(parents=True, exist_ok=True)
    n_written = 0
    for config in read_grid(options.grid, options.data).cells():
        line = lines.get(tuple(config[key] for key in KEYS))
        path = cell_path(options.out, config)
        if line is not None and not path.exists():
            write_row(path, stored(line, config))
            n_written += 1
    print(f"{n_written} cells written to {options.out}.")


def stored(line: dict, config: dict) -> dict:
    """Return the stored cell that a line of the table was made from."""
    from tsguard._bench._cell import new_row

    name, kind, threads = re.fullmatch(r"(.*) \((\w+), (\d+) threads\)", line["device"]).groups()
    metrics = {key: value for key, value in line.items() if key not in NO_METRICS}
    metrics["suspected_target"] = json.loads(metrics["suspected_target"])
    told = {key: value for key, value in metrics.items() if value is not None}
    return new_row(config, "ok") | {
        "metrics": told,
        "versions": dict(part.split(" ") for part in line["versions"].split(", ")),
        "finished": line["finished"],
        "data": {key: line[key] for key in DATA},
        "device": {"name": name, "kind": kind, "threads": int(threads)},
        "warnings": [],
        **{key: line[key] for key in COST},
    }


if __name__ == "__main__":
    main()
