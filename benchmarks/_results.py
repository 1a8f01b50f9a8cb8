"""What the benchmarks share: their command line, one JSON line per finished cell, Markdown."""

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import pandas as pd
from threadpoolctl import threadpool_limits

Row = dict[str, Any]


def two_commands(
    description: str | None,
    run: Callable[[argparse.Namespace], None],
    write: Callable[[argparse.Namespace], None],
    names: tuple[str, str] = ("run", "table"),
) -> tuple[argparse.ArgumentParser, argparse.ArgumentParser, argparse.ArgumentParser]:
    """Return a parser with a command that fills a results file and one that reads it, and both.

    The first has ``--data`` and ``--jobs``; more options are the caller's.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawTextHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    first, second = (commands.add_parser(name) for name in names)
    first.add_argument("--data", type=Path, default=None, help="folder of the data sets")
    first.add_argument("--jobs", type=int, default=2, help="processes, one thread each")
    first.set_defaults(command=run)
    second.set_defaults(command=write)
    return parser, first, second


def read(path: Path) -> list[Row]:
    """Return one row per finished cell; none if there is no file yet."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def run_missing(
    path: Path,
    keys: Sequence[str],
    cells: Iterable[tuple[Any, ...]],
    run_cell: Callable[..., Row],
    arguments: tuple[Any, ...],
    n_jobs: int,
) -> None:
    """Run the cells that a results file lacks, several at a time, and append a line for each.

    ``run_cell(*arguments, *cell)`` returns the row, whose ``keys`` are the cell. It can be stopped
    at any time and goes on where it was.
    """
    done = {tuple(row[key] for key in keys) for row in read(path)}
    todo = [cell for cell in cells if cell not in done]
    path.parent.mkdir(parents=True, exist_ok=True)
    # The default of several threads in each process takes six times as long.
    one_thread = {"initializer": threadpool_limits, "initargs": (1,)}
    with ProcessPoolExecutor(n_jobs, **one_thread) as pool, path.open("a") as file:
        running = [pool.submit(run_cell, *arguments, *cell) for cell in todo]
        try:
            for count, future in enumerate(as_completed(running), 1):
                row = future.result()
                file.write(json.dumps(row) + "\n")
                file.flush()
                print(f"{count}/{len(todo)}", *(row[key] for key in keys), flush=True)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def versions_text(versions: dict[str, str]) -> str:
    """Return "tsguard 0.1.0, torch ..." for the head of a page."""
    return ", ".join(f"{name} {number}" for name, number in versions.items())


def markdown(table: pd.DataFrame) -> str:
    """Return a table as Markdown; undefined values become a dash."""
    cells = table.astype(object).where(table.notna(), "-")
    rows = [list(cells.columns), ["---"] * cells.shape[1], *cells.to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in rows)
