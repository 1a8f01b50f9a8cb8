"""How often is somebody accused where nobody attacked? Report sets, as they are and with dirt.

    python benchmarks/unpoisoned.py run --data ../shared/data --jobs 2
    python benchmarks/unpoisoned.py table

Each line of ``docs/results/unpoisoned.jsonl`` is one draw of 200 series, in which the evidence
looks for suspects; ``run`` skips what is there, ``table`` writes ``docs/results/unpoisoned.md``.
Nothing is trained; the main head might still accuse somebody of those withheld.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from _results import Row, markdown, read, run_missing, two_commands, versions_text
from detection import DATASETS, N_TEST, N_TRAIN
from fit_decision import half_twice

RESULTS = Path(__file__).parent.parent / "docs" / "results" / "unpoisoned.jsonl"
#: Parts of the sets that no other table uses.
SEEDS, DIRTY_SEEDS = range(4, 24), range(4, 8)
KEYS = ["dataset", "dirt", "seed"]

Panel = np.ndarray
Dirt = Callable[[Panel, np.ndarray, np.random.Generator], tuple[Panel, np.ndarray]]


def _as_it_is(X: Panel, y: np.ndarray, rng: np.random.Generator) -> tuple[Panel, np.ndarray]:
    return X, y


def _wrong_labels(X: Panel, y: np.ndarray, rng: np.random.Generator) -> tuple[Panel, np.ndarray]:
    return X, np.where(rng.random(len(y)) < 0.1, rng.choice(np.unique(y), len(y)), y)


def _confused(X: Panel, y: np.ndarray, rng: np.random.Generator) -> tuple[Panel, np.ndarray]:
    one, other = rng.choice(np.unique(y), 2, replace=False)
    return X, np.where((y == one) & (rng.random(len(y)) < 0.2), other, y)


def _twice(X: Panel, y: np.ndarray, rng: np.random.Generator) -> tuple[Panel, np.ndarray]:
    rows = half_twice(len(y))
    return X[rows], y[rows]


def _nearly_twice(X: Panel, y: np.ndarray, rng: np.random.Generator) -> tuple[Panel, np.ndarray]:
    X, y = _twice(X, y, rng)
    return X + rng.normal(0, 0.01 * X.std(), X.shape), y


def _rounded(X: Panel, y: np.ndarray, rng: np.random.Generator) -> tuple[Panel, np.ndarray]:
    step = X.std() / 4
    return np.round(X / step) * step, y


def _cut_short(X: Panel, y: np.ndarray, rng: np.random.Generator) -> tuple[Panel, np.ndarray]:
    end = X.shape[2] * rng.uniform(0.5, 1, (len(y), 1, 1))
    return np.where(np.arange(X.shape[2]) < end, X, 0), y


def _spikes(X: Panel, y: np.ndarray, rng: np.random.Generator) -> tuple[Panel, np.ndarray]:
    rows = np.flatnonzero(rng.random(len(y)) < 0.1)
    X = X.copy()
    X[rows, :, rng.integers(X.shape[2], size=len(rows))] += 5 * X.std()
    return X, y


def _two_sensors(X: Panel, y: np.ndarray, rng: np.random.Generator) -> tuple[Panel, np.ndarray]:
    other = rng.random((len(y), 1, 1)) < 0.3
    return np.where(other, 1.3 * X + X.std() / 2, X), y


def _sensor_of_a_class(
    X: Panel, y: np.ndarray, rng: np.random.Generator
) -> tuple[Panel, np.ndarray]:
    other = (y == rng.choice(np.unique(y))) & (rng.random(len(y)) < 0.5)
    return np.where(other[:, np.newaxis, np.newaxis], 1.3 * X + X.std() / 2, X), y


DIRT: dict[str, Dirt] = {
    "none": _as_it_is,
    "10 % of the labels drawn at random": _wrong_labels,
    "a fifth of one class has another's label": _confused,
    "half of the series twice": _twice,
    "... with 1 % noise": _nearly_twice,
    "values rounded to a quarter of their deviation": _rounded,
    "series end early, zeros follow": _cut_short,
    "spikes in 10 % of the series": _spikes,
    "30 % from a sensor of other gain and offset": _two_sensors,
    "half of one class from such a sensor": _sensor_of_a_class,
}


def main() -> None:
    """Parse the command line and run the command."""
    parser, *_ = two_commands(__doc__, run_grid, write_table)
    options = parser.parse_args()
    options.command(options)


def run_grid(options: argparse.Namespace) -> None:
    """Run the draws that are missing."""
    cells = [
        (dataset, dirt, seed)
        for dirt in DIRT
        for seed in (SEEDS if dirt == "none" else DIRTY_SEEDS)
        for dataset in DATASETS
    ]
    run_missing(RESULTS, KEYS, cells, run_cell, (options.data,), options.jobs)


def run_cell(data: Path | None, dataset: str, dirt: str, seed: int) -> Row:
    """Return how many are accused and withheld in one draw, and how many labels are wrong."""
    from tsguard._datasets import load_dataset, subsample
    from tsguard._experiment import versions
    from tsguard._random import numpy_stream
    from tsguard.suspicion import decide, find_evidence, series_views

    loaded = subsample(load_dataset(dataset, root=data), N_TRAIN, N_TEST, random_state=seed)
    X, y = DIRT[dirt](loaded.X_train, loaded.y_train, np.random.default_rng(seed))
    truth = y if len(y) > len(loaded.y_train) else loaded.y_train  # copies have right labels
    codes = np.searchsorted(loaded.classes, y)
    rng = numpy_stream(seed, "evidence")
    views = series_views(X.astype(np.float32), rng)
    verdict = decide(find_evidence(views, codes, loaded.n_classes, rng), codes)
    return {
        **dict(zip(KEYS, (dataset, dirt, seed), strict=True)),
        "n_train": len(y),
        "accused": int(verdict.suspect.sum()),
        "accused_wrong_labels": int(verdict.suspect[y != truth].sum()),
        "withheld": int(verdict.withheld.sum()),
        "versions": versions(),
    }


def write_table(options: argparse.Namespace) -> None:
    """Write the results file as Markdown."""
    cells = pd.DataFrame(read(RESULTS))
    cells["somebody"] = 100 * (cells["accused"] > 0)
    cells["share"] = 100 * cells["accused"] / cells["n_train"]
    cells["withheld"] *= 100 / cells["n_train"]
    by_dirt = cells.groupby("dirt", sort=False).agg(
        draws=("seed", "size"),
        somebody=("somebody", "mean"),
        accused=("accused", "sum"),
        wrong=("accused_wrong_labels", "sum"),
        share=("share", "mean"),
        withheld=("withheld", "mean"),
    )
    clean = cells[cells["dirt"] == "none"].groupby("dataset", sort=False)
    by_dataset = clean.agg(draws=("seed", "size"), somebody=("somebody", "mean"))
    names = {
        "somebody": "draws with anybody accused, %",
        "accused": "series accused",
        "wrong": "... of them with a wrong label",
        "share": "series accused, %",
        "withheld": "withheld as a precaution, %",
    }
    parts = [
        "# Accused without an attack",
        "Written by `python benchmarks/unpoisoned.py table` from `unpoisoned.jsonl`, which `python "
        "benchmarks/unpoisoned.py run` fills; do not edit. Report sets, at most "
        f"{N_TRAIN} series of each, other draws than in any other table, nothing poisoned, nothing "
        f"trained. {versions_text(cells['versions'].iloc[0])}.",
        markdown(by_dirt.rename(columns=names).round(1).reset_index()),
        "Series with a wrong label that resemble each other are much like poison, and half of a "
        "class from a sensor of its own is what an attack with right labels is.",
        "## By data set, as they are",
        "What PenDigits did here (9 of 20 draws) prompted the statistic `few_values`, whose weight "
        "was chosen on tuning sets.",
        markdown(by_dataset.rename(columns=names).round(1).rename_axis("data set").reset_index()),
    ]
    RESULTS.with_suffix(".md").write_text("\n\n".join(parts) + "\n")


if __name__ == "__main__":
    main()
