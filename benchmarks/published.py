"""Is the training recipe sound? Clean accuracies beside published ones.

    python benchmarks/published.py run --data ../shared/data --jobs 2
    python benchmarks/published.py table

``run`` trains ``StandardClassifier`` on the archive's own split and tests it on the whole test set;
it appends one line per cell to ``docs/results/published.jsonl`` and skips what is there. ``table``
writes ``docs/results/published.md``. The published accuracies are in
``benchmarks/published_accuracies.csv``: means over five runs, from the files of results that the
authors of the two papers put beside their code.
"""

import argparse
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _results import Row, markdown, read, run_missing, two_commands, versions_text

RESULTS = Path(__file__).parent.parent / "docs" / "results" / "published.jsonl"
PUBLISHED = Path(__file__).parent / "published_accuracies.csv"
# All sets of the list with at most 100,000 training values, smallest first.
DATASETS = (
    *("ItalyPowerDemand", "CBF", "GunPoint", "ArrowHead", "ECG200", "ShapeletSim", "BirdChicken"),
    *("Wine", "SyntheticControl", "PowerCons", "Trace", "SwedishLeaf", "Adiac", "FaceAll"),
    "OSULeaf",
)
BACKBONES = ("fcn", "resnet1d", "inceptiontime")
#: Name → what differs from the defaults, and whether the batches are as small as the papers'.
RECIPES: dict[str, tuple[dict[str, Any], bool]] = {
    "default": ({}, False),
    "small batches": ({}, True),
    "a tenth": ({"n_epochs": 150}, True),
}
KEYS = ["dataset", "backbone", "recipe", "seed"]


def main() -> None:
    """Parse the command line and run the command."""
    parser, run, _ = two_commands(__doc__, run_grid, write_table)
    run.add_argument("--datasets", nargs="+", default=DATASETS)
    run.add_argument("--backbones", nargs="+", choices=BACKBONES, default=BACKBONES)
    run.add_argument("--recipes", nargs="+", choices=RECIPES, default=["default", "a tenth"])
    run.add_argument("--seeds", nargs="+", type=int, default=[0])
    run.add_argument("--precision", default="bfloat16", help="of training: bfloat16 or float32")
    options = parser.parse_args()
    options.command(options)


def run_grid(options: argparse.Namespace) -> None:
    """Train the cells that are missing, several at a time."""
    cells = [
        (dataset, backbone, recipe, seed)
        for seed in options.seeds
        for recipe in options.recipes
        for backbone in options.backbones
        for dataset in options.datasets
    ]
    shared = (options.data, options.precision)
    run_missing(RESULTS, KEYS, cells, run_cell, shared, options.jobs)


def run_cell(
    data: Path | None, precision: str, dataset: str, backbone: str, recipe: str, seed: int
) -> Row:
    """Train and test one network."""
    import torch

    from tsguard import load_dataset
    from tsguard._experiment import versions
    from tsguard.defenses import StandardClassifier

    torch.set_num_threads(1)
    loaded = load_dataset(dataset, root=data)
    settings, small_batches = RECIPES[recipe]
    if small_batches:  # a tenth of the set, at most 16, as in the review's code
        settings = settings | {"batch_size": max(2, min(len(loaded.y_train) // 10, 16))}
    classifier = StandardClassifier(backbone, precision=precision, random_state=seed, **settings)
    start = time.perf_counter()
    classifier.fit(z_scored(loaded.X_train), loaded.y_train)
    seconds = time.perf_counter() - start
    return {
        "dataset": dataset,
        "backbone": backbone,
        "recipe": recipe,
        "seed": seed,
        "accuracy": classifier.score(z_scored(loaded.X_test), loaded.y_test),
        "n_train": len(loaded.y_train),
        "n_test": len(loaded.y_test),
        "n_epochs": classifier.n_epochs,
        "batch_size": classifier.batch_size,
        "precision": precision,
        "seconds": round(seconds, 1),
        "device": f"cpu, 1 thread of {os.cpu_count()}",
        "versions": versions(),
    }


def z_scored(X: np.ndarray) -> np.ndarray:
    """Scale every series as the published runs did; most of the sets come so."""
    deviation = X.std(axis=2, keepdims=True)
    return (X - X.mean(axis=2, keepdims=True)) / np.where(deviation == 0, 1, deviation)


def write_table(options: argparse.Namespace) -> None:
    """Write the results file as Markdown."""
    rows = pd.DataFrame(read(RESULTS))
    published = pd.read_csv(PUBLISHED).rename(columns={"n_epochs": "published epochs"})
    rows = rows.merge(
        published[["dataset", "backbone", "accuracy", "std", "published epochs"]],
        on=["dataset", "backbone"],
        suffixes=("", " published"),
    )
    rows["gap"] = 100 * (rows["accuracy published"] - rows["accuracy"])
    rows["recipe"] = pd.Categorical(rows["recipe"], RECIPES)
    rows["backbone"] = pd.Categorical(rows["backbone"], BACKBONES)
    versions = versions_text(rows["versions"].iloc[-1])
    sources = "; ".join(f"`{one}`" for one in published["source"].unique())
    parts = [
        "# Clean accuracies beside published ones",
        "Written by `python benchmarks/published.py table` from `published.jsonl`, which "
        "`python benchmarks/published.py run` fills; do not edit. Standard training on the "
        "archive's own split, every series z-scored as in the published runs, accuracy on the "
        "whole test set after the last epoch.",
        f"Published: means over five runs, from {sources} (InceptionTime: the single networks, not "
        f"the ensemble of five). Ours: means over the seeds of the column `seeds`, "
        f"{', '.join(rows['precision'].unique())}, {versions}; {rows['device'].iloc[-1]}.",
        "Recipes: *default* is that of the package; *small batches* takes a tenth of the set, at "
        "most 16, as the review's code does; *a tenth* does so and trains for a tenth of the "
        "epochs of ResNet and InceptionTime.",
        "## Means over the sets",
        "Points of accuracy, published minus ours: below 0, ours is better. *Sets within*: no "
        "further off than twice the standard deviation of the published runs, or one point.",
        markdown(_means(rows)),
        *_by_set(rows),
    ]
    RESULTS.with_suffix(".md").write_text("\n\n".join(parts) + "\n")


def _means(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row per recipe and backbone; every set counts once, however many its seeds."""
    sets = rows.groupby(["recipe", "backbone", "dataset"], observed=True).agg(
        published=("accuracy published", "first"),
        ours=("accuracy", "mean"),
        gap=("gap", "mean"),
        spread=("std", "first"),
        seeds=("seed", "nunique"),
        epochs=("n_epochs", "first"),
        published_epochs=("published epochs", "first"),
    )
    sets["within"] = sets["gap"].abs() <= np.maximum(200 * sets["spread"], 1)
    found = sets.groupby(level=["recipe", "backbone"], observed=True)
    table = pd.DataFrame(
        {
            "epochs": found["epochs"].first().astype(str)
            + " of "
            + found["published_epochs"].first().astype(str),
            "sets": found.size(),
            "seeds": found["seeds"].min(),
            "published": (100 * found["published"].mean()).round(1),
            "ours": (100 * found["ours"].mean()).round(1),
            "mean difference": found["gap"].mean().round(2),
            "median difference": found["gap"].median().round(2),
            "sets within": found["within"].sum(),
        }
    )
    return table.reset_index()


def _by_set(rows: pd.DataFrame) -> list[str]:
    """Return a heading and a table for every backbone: published, and ours by recipe."""
    parts = []
    for backbone, some in rows.groupby("backbone", observed=True):
        sets = some.groupby("dataset")
        table = pd.DataFrame({"published": 100 * sets["accuracy published"].first()})
        table["± (runs)"] = 100 * sets["std"].first()
        for recipe, part in some.groupby("recipe", observed=True):
            found = part.groupby("dataset")
            table[str(recipe)] = 100 * found["accuracy"].mean()
            table[f"difference, {recipe}"] = found["gap"].mean()
        table = table.reindex([one for one in DATASETS if one in table.index])
        parts += [f"## {backbone}", markdown(table.round(1).reset_index())]
    return parts


if __name__ == "__main__":
    main()
