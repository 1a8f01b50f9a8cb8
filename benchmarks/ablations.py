"""What each part of the defense buys: one setting changed at a time, on tuning sets.

    python benchmarks/ablations.py run --data ../shared/data --jobs 2
    python benchmarks/ablations.py table

``run`` appends one line per cell to ``docs/results/ablations.jsonl`` and skips what is there;
``table`` writes ``docs/results/ablations.md``. In-sample: these sets were used for tuning.
"""

import argparse
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pandas as pd
import torch
from _results import Row, markdown, read, run_missing, two_commands, versions_text
from torch import Tensor, nn

from tsguard.models import TrapHead

RESULTS = Path(__file__).parent.parent / "docs" / "results" / "ablations.jsonl"
DATASETS = ("SyntheticControl", "Libras", "ItalyPowerDemand", "ECG200", "OSULeaf", "Adiac")
CONDITIONS = (("patch", 0.1), ("sine", 0.1), ("patch", 0.0))
N_TRAIN, N_TEST, SEED = 200, 300, 0


class MeanTrap(TrapHead):
    """A trap head that sees the mean of every feature map, not its maximum."""

    def summarise(self, features: Tensor) -> Tensor:
        """Return the mean of every feature map twice, ``(N, 2F)``."""
        return features.flatten(2).mean(dim=2).repeat(1, 2)


class DeepTrap(TrapHead):
    """A trap head with a hidden layer."""

    def __init__(self, n_features: int, n_classes: int) -> None:
        super().__init__(n_features, n_classes)
        width = 2 * n_features
        self.linear = nn.Sequential(nn.Linear(width, 64), nn.ReLU(), nn.Linear(64, n_classes))


VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "no defense": {"isolation_rate": 0.0},
    "labels of suspects denied, none relabelled": {"recovery_rate": 0.0},
    "loss drop": {"suspicion": "loss_drop"},
    "trap's gradient in the shared layers": {"stem_gradient": 1.0},
    "... half of it": {"stem_gradient": 0.5},
    "... and trap at stage 2": {"stem_gradient": 1.0, "attach_at": 1},
    "... and trap at stage 3": {"stem_gradient": 1.0, "attach_at": 2},
    "... and trap sees means only": {"stem_gradient": 1.0},
    "... and trap with a hidden layer": {"stem_gradient": 1.0},
    "half of the suspects relabelled": {"recovery_rate": 0.5},
    "isolation rate 5 %": {"isolation_rate": 0.05},
    "isolation rate 10 %": {"isolation_rate": 0.1},
    "isolation rate 20 %": {"isolation_rate": 0.2},
    "loss drop, with the trap's gradient": {"suspicion": "loss_drop", "stem_gradient": 1.0},
    "loss drop, isolation rate 10 %": {"suspicion": "loss_drop", "isolation_rate": 0.1},
    "loss drop, trap sees means only": {"suspicion": "loss_drop"},
    "loss drop, trap with a hidden layer": {"suspicion": "loss_drop"},
    "20 epochs": {"n_epochs": 20},
}
_TRAP = "tsguard.models._two_heads.TrapHead"
#: What no parameter can say: what stands where instead.
CHANGES: dict[str, dict[str, Any]] = {
    "... and trap sees means only": {_TRAP: MeanTrap},
    "... and trap with a hidden layer": {_TRAP: DeepTrap},
    "loss drop, trap sees means only": {_TRAP: MeanTrap},
    "loss drop, trap with a hidden layer": {_TRAP: DeepTrap},
    "nobody doubted": {"tsguard.suspicion._candidates.PRECAUTION": 0.0},
    "denials of the main head weigh nothing": {"tsguard.suspicion._evidence.JURY": 1e9},
    "classes recovered with half of the votes": {"tsguard.suspicion._evidence.SETTLED": 0.5},
    "every suspect gets a class": {
        "tsguard.suspicion._evidence.SETTLED": 0.0,
        "tsguard.suspicion._evidence.AGREED": 0.0,
    },
}
NAMES = tuple(dict.fromkeys((*VARIANTS, *CHANGES)))
KEYS = ["dataset", "attack", "rate", "variant"]


def main() -> None:
    """Parse the command line and run the command."""
    parser, *_ = two_commands(__doc__, run_grid, write_table)
    options = parser.parse_args()
    options.command(options)


def run_grid(options: argparse.Namespace) -> None:
    """Train the cells that are missing, several at a time."""
    cells = [
        (dataset, *condition, variant)
        for variant in NAMES
        for condition in CONDITIONS
        for dataset in DATASETS
    ]
    run_missing(RESULTS, KEYS, cells, run_cell, (options.data,), options.jobs)


def run_cell(data: Path | None, dataset: str, attack: str, rate: float, variant: str) -> Row:
    """Train and measure one variant on one poisoned set."""
    from tsguard import E2ABLClassifier, evaluate
    from tsguard._datasets import load_dataset, subsample
    from tsguard._experiment import Experiment, versions

    torch.set_num_threads(1)
    loaded = subsample(load_dataset(dataset, root=data), N_TRAIN, N_TEST, random_state=SEED)
    poisoned = Experiment.prepare(loaded, attack, rate, SEED).poisoned
    settings = {"precision": "bfloat16", "random_state": SEED, **VARIANTS.get(variant, {})}
    classifier = E2ABLClassifier("fcn", **settings)
    with ExitStack() as changes:
        for place, value in CHANGES.get(variant, {}).items():
            changes.enter_context(patch(place, value))
        classifier.fit(poisoned.X, poisoned.y)
    scores = evaluate(
        classifier,
        loaded.X_test,
        loaded.y_test,
        trigger=poisoned.trigger,
        target=poisoned.target,
        random_state=SEED,
    )
    hit, suspect = poisoned.is_poisoned, classifier.suspect_mask_
    return {
        "dataset": dataset,
        "attack": attack,
        "rate": rate,
        "variant": variant,
        "CA": scores.clean_accuracy,
        "ASR": scores.attack_success_rate,
        "precision": float(hit[suspect].mean()) if suspect.any() else None,
        "recall": float(suspect[hit].mean()) if hit.any() else None,
        "n_train": len(hit),
        "device": f"cpu, 1 thread of {os.cpu_count()}",
        "versions": versions(),
    }


def write_table(options: argparse.Namespace) -> None:
    """Write the results file as Markdown."""
    rows = pd.DataFrame(read(RESULTS))
    rows["variant"] = pd.Categorical(rows["variant"], NAMES)
    whole = rows["variant"].value_counts() == len(DATASETS) * len(CONDITIONS)
    missing = [name for name in whole.index if not whole[name]]
    rows = rows[rows["variant"].map(whole).astype(bool)]
    names = ["CA", "ASR", "precision", "recall"]
    rows[names] = 100 * rows[names].astype(float)
    columns = {}
    for attack, rate in CONDITIONS:
        some = rows[(rows["attack"] == attack) & (rows["rate"] == rate)]
        means = some.groupby("variant", observed=True)[names].mean()
        if rate == 0:
            columns["unpoisoned: CA"] = means["CA"]
        else:
            columns |= {f"{attack}: {name}": means[name] for name in names}
    table = pd.DataFrame(columns).round(1).rename_axis("variant").reset_index()
    versions = versions_text(rows["versions"].iloc[-1])
    parts = [
        "# What each part buys",
        "Written by `python benchmarks/ablations.py table` from `ablations.jsonl`, which "
        "`python benchmarks/ablations.py run` fills; do not edit. FCN, dirty labels, 10 %, seed "
        f"{SEED}, at most {N_TRAIN} training series of {', '.join(DATASETS)} (**tuning sets**: "
        f"in-sample), bfloat16. Means in %. {versions}; {rows['device'].iloc[-1]}.",
        markdown(table),
    ]
    if missing:
        parts.append(f"Not (wholly) run yet: {'; '.join(missing)}.")
    RESULTS.with_suffix(".md").write_text("\n\n".join(parts) + "\n")


if __name__ == "__main__":
    main()
