"""Running a grid: which cells are missing, in which order, and how much time is left."""

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tsguard._bench._cell import Machine, failed_row, learn_trigger, run_cell
from tsguard._bench._cost import count_kinds, duration, kind_of, measured
from tsguard._bench._grid import NOTHING, Config, Grid
from tsguard._bench._names import make_trigger
from tsguard._bench._results import (
    Row,
    cell_path,
    read_row,
    trigger_path,
    write_row,
    write_text,
)
from tsguard._bench._workers import Task, Workers, each_result
from tsguard._device import resolve_device
from tsguard.attacks import LearnedTrigger, Trigger


@dataclass
class Summary:
    """What a run of a grid did.

    Attributes
    ----------
    cells : int
        Cells of the grid.
    stored : int
        Those that were there before.
    run, failed : int
        Those that were run now, and how many of them failed.
    """

    cells: int
    stored: int
    run: int = 0
    failed: int = 0


def run_grid(
    grid: Grid,
    folder: Path,
    *,
    root: Path | None = None,
    device: str = "auto",
    workers: Workers | None = None,
    retry_failed: bool = False,
) -> Summary:
    """Run the cells of a grid that a folder does not hold.

    Every finished cell is stored at once and whole, so the run may be stopped in any way at any
    time, and goes on when it is started again.

    Parameters
    ----------
    grid : Grid
    folder : Path
        Results go to ``cells`` in it, learned triggers to ``triggers``.
    root : Path or None
        A further folder to look for data sets in.
    device : str
        As in :class:`tsguard.E2ABLClassifier`.
    workers : Workers or None
        None runs one cell after the other in this process.
    retry_failed : bool
        Whether cells that are stored as failed are run again.

    Returns
    -------
    Summary

    Raises
    ------
    ValueError
        If the engine, the number of jobs or the device is invalid.
    OSError
        If the folder cannot be written to, or the engine lost its processes.
    """
    workers = (workers or Workers()).checked()
    if workers.engine == "local":
        resolve_device(device)  # a cluster's machines may have what this one has not
    (folder / "cells").mkdir(parents=True, exist_ok=True)
    (folder / "triggers").mkdir(exist_ok=True)
    machine = Machine(None if root is None else str(root.resolve()), device, grid.plugins)
    cells = grid.cells()
    missing = missing_cells(cells, folder, retry_failed)
    summary = Summary(len(cells), len(cells) - len(missing))
    if not missing:
        return summary
    progress = Progress(missing, folder, workers)
    failures = _learn_triggers(missing, folder, machine, workers)
    for row in _each_row(missing, failures, folder, machine, workers):
        write_row(cell_path(folder, row["config"]), row)
        summary.run += 1
        summary.failed += row["status"] == "failed"
        progress.show(row)
    return summary


def missing_cells(cells: list[Config], folder: Path, retry_failed: bool) -> list[Config]:
    """Return the cells that are not stored, or stored as failed and wanted once more."""
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"out must be a folder, got the file {folder}; choose another.")
    # One look at the folder, not one per cell: a grid may have a million cells.
    stored = {path.name for path in (folder / "cells").glob("*.json")}
    missing = []
    for config in cells:
        path = cell_path(folder, config)
        row = read_row(path) if path.name in stored else None
        if row is None or (retry_failed and row["status"] == "failed"):
            missing.append(config)
    return missing


# -- the two rounds ----------------------------------------------------------------------------


def _learn_triggers(
    missing: list[Config], folder: Path, machine: Machine, workers: Workers
) -> dict[Path, BaseException]:
    """Learn and store the triggers that missing cells need; return what went wrong, by file."""
    wanted = {
        trigger_path(folder, config): config
        for config in missing
        if _is_learned(config) and not _is_stored(trigger_path(folder, config))
    }
    failures: dict[Path, BaseException] = {}
    if not wanted:
        return failures
    start = time.perf_counter()
    tasks = [(config, machine) for config in wanted.values()]
    for count, (config, result) in enumerate(each_result(learn_trigger, tasks, workers), 1):
        path = trigger_path(folder, config)
        if isinstance(result, BaseException):
            failures[path] = result
        else:
            write_text(path, result)
        left = (time.perf_counter() - start) / count * (len(tasks) - count)
        _say(f"trigger {count}/{len(tasks)} {path.stem}, {duration(left)} left for triggers")
    return failures


def _each_row(
    missing: list[Config],
    failures: dict[Path, BaseException],
    folder: Path,
    machine: Machine,
    workers: Workers,
) -> Iterator[Row]:
    """Yield the stored form of all missing cells, as they come."""
    able = []
    for config in missing:
        error = failures.get(trigger_path(folder, config)) if _is_learned(config) else None
        if error is None:
            able.append(config)
        else:
            yield failed_row(config, error)

    def tasks() -> Iterator[Task]:
        for config in able:
            path = trigger_path(folder, config)
            yield config, path.read_text() if _is_learned(config) else None, machine

    for config, result in each_result(run_cell, tasks(), workers):
        yield failed_row(config, result) if isinstance(result, BaseException) else result


def _is_learned(config: Config) -> bool:
    if config["attack"] == NOTHING:
        return False
    trigger = make_trigger(config["attack"], config["attack_parameters"])
    return isinstance(trigger, LearnedTrigger)


def _is_stored(path: Path) -> bool:
    try:
        Trigger.load(path)
    except (OSError, ValueError, TypeError):
        return False
    return True


# -- progress ----------------------------------------------------------------------------------


class Progress:
    """Says, after every cell, what came of it and how long the rest will take."""

    def __init__(self, missing: list[Config], folder: Path, workers: Workers) -> None:
        self._left = count_kinds(missing)
        self._total = len(missing)
        self._model = measured(folder)
        self._workers = workers
        self._start = time.perf_counter()

    def show(self, row: Row) -> None:
        """Print one line for a finished cell to the standard error stream."""
        self._left[kind_of(row["config"])] -= 1
        self._model.add(row)
        left = self._left.total()
        config, done = row["config"], self._total - left
        facts = [config[key] for key in ("dataset", "attack", "mode", "rate", "backbone")]
        name = " ".join(map(str, [*facts, config["defense"], f"seed {config['seed']}"]))
        _say(f"{done}/{self._total} {name}: {_outcome(row)}, {self._time_left(done, left)} left")

    def _time_left(self, done: int, left: int) -> str:
        """Predict by what cells cost; how many run at once shows in the time they took so far."""
        seconds, unknown = self._model.total(self._left)
        passed = time.perf_counter() - self._start
        if unknown or self._workers.engine != "local":
            return duration(passed / done * left)
        return duration(seconds / self._workers.jobs)


def _outcome(row: Row) -> str:
    if row["status"] == "failed":
        return f"FAILED ({' '.join(row['error'].split())[:200]})"
    metrics = row["metrics"]
    attack = metrics["attack_success_rate"]
    asr = "" if attack is None else f", ASR {100 * attack:.1f}"
    return f"CA {100 * metrics['clean_accuracy']:.1f}{asr}, {duration(row['total_seconds'])}"


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
