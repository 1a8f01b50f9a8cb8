"""How steady training two heads on different parts of the data is, beside one head on all of it.

    python benchmarks/stability.py run --data ../shared/data --jobs 2
    python benchmarks/stability.py table

The paper leaves this open. Each set is poisoned once and trained on with several seeds: by one head
that knows the true labels, and by E2ABL, whose trap head either only listens or shares its
gradient. ``run`` appends one line per training to ``docs/results/stability.jsonl`` and skips what
is there; ``table`` writes ``docs/results/stability.md`` and a picture.
"""

import argparse
import itertools
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _results import Row, markdown, read, run_missing, two_commands, versions_text

RESULTS = Path(__file__).parent.parent / "docs" / "results" / "stability.jsonl"
PICTURE = Path(__file__).parent.parent / "docs" / "images" / "stability.png"
DATASETS = ("SyntheticControl", "Libras", "ItalyPowerDemand", "ECG200", "OSULeaf", "PowerCons")
TRUE_LABELS = "one head, true labels"
VARIANTS: dict[str, dict[str, Any]] = {
    # Nobody is isolated, and a trap that listens changes nothing: this is standard training.
    TRUE_LABELS: {"isolation_rate": 0.0},
    "two heads, the trap listens": {},
    "two heads, the trap's gradient is shared": {"stem_gradient": 1.0},
}
ATTACK, RATE, N_TRAIN, N_TEST = "patch", 0.1, 200, 300
SEEDS = range(5)
KEYS = ["dataset", "variant", "seed"]


def main() -> None:
    """Parse the command line and run the command."""
    parser, *_ = two_commands(__doc__, run_grid, write_table)
    options = parser.parse_args()
    options.command(options)


def run_grid(options: argparse.Namespace) -> None:
    """Train the cells that are missing, several at a time."""
    cells = itertools.product(DATASETS, VARIANTS, SEEDS)
    run_missing(RESULTS, KEYS, cells, run_cell, (options.data,), options.jobs)


def run_cell(data: Path | None, dataset: str, variant: str, seed: int) -> Row:
    """Train once on a set that is poisoned alike for all seeds."""
    import torch

    from tsguard import E2ABLClassifier
    from tsguard._datasets import load_dataset, subsample
    from tsguard._experiment import Experiment, versions

    torch.set_num_threads(1)
    loaded = subsample(load_dataset(dataset, root=data), N_TRAIN, N_TEST, random_state=0)
    poisoned = Experiment.prepare(loaded, ATTACK, RATE, 0).poisoned
    settings = {"precision": "bfloat16", "random_state": seed, **VARIANTS[variant]}
    labels = loaded.y_train if variant == TRUE_LABELS else poisoned.y
    classifier = E2ABLClassifier("fcn", **settings).fit(poisoned.X, labels)
    clean = ~poisoned.is_poisoned
    truth = loaded.classes.searchsorted(poisoned.y[clean])
    learned = classifier.records_["main_prediction"][:, clean] == truth
    predictions = classifier.predict(loaded.X_test)
    return {
        "dataset": dataset,
        "variant": variant,
        "seed": seed,
        "CA": float((predictions == loaded.y_test).mean()),
        "predictions": loaded.classes.searchsorted(predictions).tolist(),
        "learned": learned.mean(axis=1).round(4).tolist(),
        "device": f"cpu, 1 thread of {os.cpu_count()}",
        "versions": versions(),
    }


def write_table(options: argparse.Namespace) -> None:
    """Write the results file as Markdown and draw the courses of training."""
    rows = pd.DataFrame(read(RESULTS))
    lines = []
    for variant in VARIANTS:
        each = [_of_set(part) for _, part in rows[rows["variant"] == variant].groupby("dataset")]
        lines.append({"variant": variant, **pd.DataFrame(each).mean().round(1).to_dict()})
    _draw(rows)
    versions = versions_text(rows["versions"].iloc[-1])
    parts = [
        "# Is training with two heads steady?",
        "Written by `python benchmarks/stability.py table` from `stability.jsonl`, which "
        "`python benchmarks/stability.py run` fills; do not edit. FCN, 10 % patch, at most "
        f"{N_TRAIN} training series of {', '.join(DATASETS)} (**tuning sets**), each poisoned "
        f"once and trained on with {len(SEEDS)} seeds, bfloat16. {versions}; "
        f"{rows['device'].iloc[-1]}.",
        "Means over the sets, in %. *Spread*: standard deviation of the clean accuracy (CA) over "
        "seeds. *Worst*: how far the worst seed is below their mean. *Agreement*: test series that "
        "two seeds answer alike. *Roughness*: by how much the share of clean training series "
        "answered rightly changes from one epoch to the next, in the second half of training.",
        markdown(pd.DataFrame(lines)),
        "Share of clean training series that the main head answers rightly, by epoch; a line per "
        "seed. ![courses of training](../images/stability.png)",
    ]
    RESULTS.with_suffix(".md").write_text("\n\n".join(parts) + "\n")


def _of_set(rows: pd.DataFrame) -> dict[str, float]:
    """Return how steady one variant is on one set."""
    accuracy = 100 * rows["CA"]
    predictions = np.array(rows["predictions"].tolist())
    alike = [(one == other).mean() for one, other in itertools.combinations(predictions, 2)]
    learned = 100 * np.array(rows["learned"].tolist())
    late = learned[:, learned.shape[1] // 2 :]
    return {
        "CA": accuracy.mean(),
        "spread": accuracy.std(),
        "worst": accuracy.mean() - accuracy.min(),
        "agreement": 100 * np.mean(alike),
        "roughness": np.abs(np.diff(late, axis=1)).mean(),
    }


def _draw(rows: pd.DataFrame) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 9), layout="constrained")
    axes = figure.subplots(len(DATASETS), len(VARIANTS), sharex=True, sharey="row")
    for (row, dataset), (column, variant) in itertools.product(
        enumerate(DATASETS), enumerate(VARIANTS)
    ):
        part = rows[(rows["dataset"] == dataset) & (rows["variant"] == variant)]
        for learned in part["learned"]:
            axes[row, column].plot(100 * np.array(learned), linewidth=0.8)
        if row == 0:
            axes[row, column].set_title(variant, fontsize=10)
        if column == 0:
            axes[row, column].set_ylabel(dataset, fontsize=8)
    figure.savefig(PICTURE, dpi=100)


if __name__ == "__main__":
    main()
