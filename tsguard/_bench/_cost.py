"""How long cells will take, from those that were measured."""

import csv
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from tsguard._bench._grid import Config
from tsguard._bench._results import Row, read_rows
from tsguard._datasets import list_datasets, load_dataset

#: What the time of a cell depends on: data set, cut, backbone, defense, epochs.
Kind = tuple[str, int | None, str, str, int]


def kind_of(config: Config) -> Kind:
    """Return what the time of a cell depends on."""
    return (
        config["dataset"],
        config["max_train"],
        config["backbone"],
        config["defense"],
        config["settings"]["n_epochs"],
    )


@dataclass
class CostModel:
    """Seconds of a cell = seconds per value and epoch of its backbone and defense × its size.

    A value is one time step of one training series: channels hardly change the time of a network.
    A backbone that was never measured with a defense is taken to slow down by it as those were
    that were, all in comparison with ``undefended``.

    Attributes
    ----------
    seconds, work : dict
        Sums over the measured cells, by backbone and defense.
    sizes : dict
        Number of training values, by data set and cut.
    """

    seconds: dict[tuple[str, str], float] = field(default_factory=lambda: defaultdict(float))
    work: dict[tuple[str, str], float] = field(default_factory=lambda: defaultdict(float))
    sizes: dict[tuple[str, int | None], int] = field(default_factory=dict)

    def add(self, row: Row) -> None:
        """Learn from a stored cell; one that failed teaches nothing."""
        if row["status"] != "ok":
            return
        dataset, max_train, backbone, defense, n_epochs = kind_of(row["config"])
        size = row["data"]["n_train"] * row["data"]["n_timepoints"]
        self.sizes[dataset, max_train] = size
        self.seconds[backbone, defense] += row["total_seconds"]
        self.work[backbone, defense] += size * n_epochs

    def rate(self, backbone: str, defense: str) -> float | None:
        """Return seconds per value and epoch; None if nothing that was measured tells."""
        measured = self._measured(backbone, defense)
        if measured is not None:
            return measured
        base = self._measured(backbone, "undefended")
        slower = [
            rate / reference
            for other in {name for name, _ in self.work}
            if (rate := self._measured(other, defense)) is not None
            and (reference := self._measured(other, "undefended"))
        ]
        return base * sum(slower) / len(slower) if base is not None and slower else None

    def _measured(self, backbone: str, defense: str) -> float | None:
        work = self.work.get((backbone, defense))
        return self.seconds[backbone, defense] / work if work else None

    def size(self, dataset: str, max_train: int | None) -> float:
        """Return the training values of a data set; of one never seen, the mean of the others."""
        if (dataset, max_train) in self.sizes or not self.sizes:
            return float(self.sizes.get((dataset, max_train), 0))
        return sum(self.sizes.values()) / len(self.sizes)

    def predict(self, kind: Kind) -> float | None:
        """Return the seconds of a cell, None if nothing that was measured tells."""
        dataset, max_train, backbone, defense, n_epochs = kind
        rate = self.rate(backbone, defense)
        return None if rate is None else rate * self.size(dataset, max_train) * n_epochs

    def total(self, kinds: Counter[Kind]) -> tuple[float, int]:
        """Return the seconds of many cells, and how many of them nothing tells of."""
        seconds, unknown = 0.0, 0
        for kind, count in kinds.items():
            predicted = self.predict(kind)
            if predicted is None:
                unknown += count
            else:
                seconds += count * predicted
        return seconds, unknown


def measured(folder: Path) -> CostModel:
    """Return what the cells of a folder tell."""
    model = CostModel()
    for _, row in read_rows(folder):
        if row is not None:
            model.add(row)
    return model


def estimate(missing: Iterable[Config], folder: Path, root: Path | None, jobs: int) -> Row:
    """Predict the time of cells without running them.

    Parameters
    ----------
    missing : iterable of dict
    folder : Path
        Whose cells tell how fast this machine is.
    root : Path or None
        A further folder to look for data sets in; those that are at hand are looked at for their
        size, that of others is taken from ``archive_sizes.csv``, or else to be the mean.
    jobs : int

    Returns
    -------
    dict
        ``cells``, ``seconds`` on this many jobs, ``unknown`` (cells that nothing tells of),
        ``sizes_assumed`` (data sets), and ``parts``: cells and seconds by backbone and defense.
    """
    model, kinds = measured(folder), count_kinds(missing)
    at_hand, archives = set(list_datasets(root)), archive_sizes()
    for dataset, max_train in {kind[:2] for kind in kinds} - set(model.sizes):
        if dataset in at_hand:
            values = load_dataset(dataset, root).X_train[:max_train]
            model.sizes[dataset, max_train] = len(values) * values.shape[2]
        elif dataset in archives:
            n_train, n_timepoints = archives[dataset]
            model.sizes[dataset, max_train] = min(n_train, max_train or n_train) * n_timepoints
    parts: dict[tuple[str, str], Any] = defaultdict(Counter)
    for kind, count in kinds.items():
        parts[kind[2], kind[3]][kind] += count
    seconds, unknown = model.total(kinds)
    return {
        "cells": kinds.total(),
        "seconds": seconds / jobs,
        "unknown": unknown,
        "sizes_assumed": sorted({kind[0] for kind in kinds if kind[:2] not in model.sizes}),
        "parts": [
            {
                "backbone": backbone,
                "defense": defense,
                "cells": part.total(),
                "seconds": None if model.rate(backbone, defense) is None else model.total(part)[0],
            }
            for (backbone, defense), part in parts.items()
        ],
    }


def archive_sizes() -> dict[str, tuple[int, int]]:
    """Return training series and (longest) length of the UCR and UEA archives' data sets."""
    text = resources.files("tsguard._bench").joinpath("archive_sizes.csv").read_text("utf-8")
    rows = csv.DictReader(text.splitlines())
    return {row["dataset"]: (int(row["n_train"]), int(row["n_timepoints"])) for row in rows}


def format_estimate(found: Row, jobs: int) -> str:
    """Return an estimate as text."""
    lines = [f"{'backbone':<16}{'defense':<16}{'cells':>8}  on one job"]
    for part in found["parts"]:
        time = "unknown" if part["seconds"] is None else duration(part["seconds"])
        lines.append(f"{part['backbone']:<16}{part['defense']:<16}{part['cells']:>8}  {time}")
    known = found["unknown"] < found["cells"]
    lines.append(
        f"{found['cells']} cells to run: "
        + (f"about {duration(found['seconds'])}" if known else "unknown time")
        + f" with {jobs} job(s), without the time to learn triggers."
    )
    if found["unknown"]:
        lines.append(
            f"Of these, {found['unknown']} are left out: no cell of their backbone and defense is "
            "stored. Run a small grid with them into the same folder first."
        )
    if found["sizes_assumed"]:
        lines.append(
            f"Sizes of {len(found['sizes_assumed'])} data sets that are not at hand are assumed to "
            "be the mean of the others."
        )
    return "\n".join(lines)


def count_kinds(configs: Iterable[Config]) -> Counter[Kind]:
    """Return how many cells there are of each kind."""
    return Counter(map(kind_of, configs))


def duration(seconds: float) -> str:
    """Return a time span for people."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
