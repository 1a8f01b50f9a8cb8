"""The command ``bench``: its options, and what it prints."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any


def add_bench(commands: Any) -> None:
    """Add ``tsguard bench`` to the commands."""
    bench = commands.add_parser(
        "bench",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        help="run a grid of attacks and defenses; may be stopped and goes on where it was",
        description="Run every cell of a grid file that the folder does not hold yet. "
        "docs/benchmark.md says what a grid file holds.",
    )
    bench.add_argument("grid", type=Path, metavar="GRID.toml", help="what to combine with what")
    bench.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder of the results"
    )
    bench.add_argument("--data", type=Path, metavar="DIR", help="a further folder of data sets")
    bench.add_argument("--device", default="auto", help="auto, cpu, cuda, ...")
    bench.add_argument("--jobs", type=int, default=1, help="processes on this machine")
    bench.add_argument("--engine", default="local", help="local, dask or ray: where the cells run")
    bench.add_argument("--address", help="scheduler of the Dask or Ray cluster")
    bench.add_argument(
        "--retry-failed", action="store_true", help="run cells that failed once more"
    )
    bench.add_argument(
        "--estimate", action="store_true", help="run nothing, predict from stored cells how long"
    )
    bench.add_argument("--json", action="store_true", help="print the result as JSON")
    bench.set_defaults(run=_bench)


def _bench(options: argparse.Namespace) -> str | tuple[str, int]:
    from tsguard._bench._cost import estimate, format_estimate
    from tsguard._bench._grid import read_grid
    from tsguard._bench._run import missing_cells, run_grid
    from tsguard._bench._workers import Workers

    workers = Workers(options.engine, options.jobs, options.address).checked()
    grid = read_grid(options.grid, options.data)
    if options.estimate:
        missing = missing_cells(grid.cells(), options.out, options.retry_failed)
        found = estimate(missing, options.out, options.data, options.jobs)
        return json.dumps(found) if options.json else format_estimate(found, options.jobs)
    try:
        summary = run_grid(
            grid,
            options.out,
            root=options.data,
            device=options.device,
            workers=workers,
            retry_failed=options.retry_failed,
        )
    except KeyboardInterrupt:
        return "Stopped. What is finished is stored; the same command goes on from there.", 130
    if options.json:
        return json.dumps(asdict(summary))
    return (
        f"{summary.cells} cells: {summary.stored} were there, {summary.run} run now, of which "
        f"{summary.failed} failed. Results: {options.out}; tsguard report {options.out}"
    )
