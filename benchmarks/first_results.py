"""First results: three attacks on eight data sets, undefended, oracle, loss drop and E2ABL.

    python benchmarks/first_results.py run --data ../shared/data --jobs 2
    python benchmarks/first_results.py table

``run`` trains every cell of the grid that ``docs/results/first_results.jsonl`` does not hold yet
and appends one line per cell, so it can be stopped at any time and goes on where it was. ``table``
turns that file into ``docs/results/first_results.md``.

No setting was tuned on the data sets here; docs/decisions.md names those that were used for it.
"""

import argparse
import itertools
import os
from pathlib import Path

import pandas as pd
from _results import Row, markdown, read, run_missing

RESULTS = Path(__file__).parent.parent / "docs" / "results" / "first_results.jsonl"
TABLE = RESULTS.with_suffix(".md")

#: Data set → largest number of training series (a stratified draw above it).
DATASETS = {
    "JapaneseVowels": 500,
    "NATOPS": 500,
    "PenDigits": 500,
    "Crop": 600,
    "Epilepsy": 500,
    "ECG5000": 500,
    "SwedishLeaf": 500,
    "FaceAll": 600,
}
N_TEST = 1000
ATTACKS = ("patch", "hum", "noise")
RATES = (0.1, 0.05, 0.0)
METHODS = ("undefended", "oracle", "loss_drop", "e2abl")
CELL = ["dataset", "backbone", "attack", "rate", "seed"]
KEYS = [*CELL, "method"]
TAKES = 0.5
SEEN = ("Epilepsy", "PenDigits")
SCORES = {
    "clean_accuracy": "CA",
    "attack_success_rate": "ASR",
    "robust_accuracy": "robust accuracy",
    "isolation_precision": "isolation precision",
    "isolation_recall": "isolation recall",
    "recovery_accuracy": "recovery accuracy",
}


def main() -> None:
    """Parse the command line and run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    run = commands.add_parser("run")
    run.add_argument("--data", type=Path, default=None, help="folder of the archive's files")
    run.add_argument("--jobs", type=int, default=2, help="processes, one thread each")
    run.add_argument("--backbones", nargs="+", default=["fcn"])
    run.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    run.add_argument("--seeds", nargs="+", type=int, default=[0])
    run.add_argument("--rates", nargs="+", type=float, default=list(RATES))
    run.add_argument("--datasets", nargs="+", default=list(DATASETS), choices=DATASETS)
    run.add_argument("--results", type=Path, default=RESULTS)
    run.set_defaults(command=run_grid)
    table = commands.add_parser("table")
    table.add_argument("--results", type=Path, default=RESULTS)
    table.set_defaults(command=write_table)
    options = parser.parse_args()
    options.command(options)


def run_grid(options: argparse.Namespace) -> None:
    """Train the cells that are missing, several at a time."""
    # Clean data needs no attack, and its oracle is standard training.
    conditions = [
        (attack, rate)
        for rate, attack in itertools.product(options.rates, ATTACKS)
        if rate > 0 or attack == ATTACKS[0]
    ]
    cells = [
        (dataset, backbone, attack, rate, seed, method)
        for seed, backbone, (attack, rate), dataset, method in itertools.product(
            options.seeds, options.backbones, conditions, options.datasets, options.methods
        )
        if not (rate == 0 and method == "oracle")
    ]
    run_missing(options.results, KEYS, cells, run_cell, (options.data,), options.jobs)


def run_cell(
    data: Path | None, dataset: str, backbone: str, attack: str, rate: float, seed: int, method: str
) -> Row:
    """Train and measure one cell."""
    import torch

    from tsguard._datasets import load_dataset, subsample
    from tsguard._e2abl import E2ABLClassifier
    from tsguard._experiment import Experiment, versions
    from tsguard.attacks import get_trigger

    torch.set_num_threads(1)
    loaded = load_dataset(dataset, root=data)
    loaded = subsample(loaded, DATASETS[dataset], N_TEST, random_state=seed)
    experiment = Experiment.prepare(loaded, get_trigger(attack), rate, seed, backbone=backbone)
    classifier, metrics, seconds = experiment.run(method)
    if isinstance(classifier, E2ABLClassifier):
        changed = classifier.recovered_labels_ != experiment.poisoned.y
        metrics["relabelled"] = float(changed.mean())
    return {
        **experiment.describe(attack),
        "backbone": backbone,
        "seed": seed,
        "method": method,
        "metrics": metrics,
        "seconds": round(seconds, 2),
        "n_test": len(loaded.y_test),
        "device": f"cpu, 1 thread of {os.cpu_count()}",
        "versions": versions(),
    }


def write_table(options: argparse.Namespace) -> None:
    """Write the results file as Markdown: averages first, then every cell."""
    rows = pd.DataFrame([{**row, **row["metrics"]} for row in read(options.results)])
    attacked, clean = rows[rows["rate"] > 0], rows[rows["rate"] == 0]
    # Means compare like with like: cells that have at least these three methods.
    core = attacked["method"].where(attacked["method"].isin(["undefended", "oracle", "e2abl"]))
    complete = attacked[core.groupby([attacked[key] for key in CELL]).transform("nunique") == 3]
    complete = complete.copy()
    undefended = complete["attack_success_rate"].where(complete["method"] == "undefended")
    takes = undefended.groupby([complete[key] for key in CELL]).transform("max") >= TAKES
    complete["attack takes"] = takes.map({True: "yes", False: "no"})
    untouched = complete[~complete["dataset"].isin(SEEN)]
    versions = ", ".join(f"{name} {number}" for name, number in rows["versions"].iloc[-1].items())
    seeds = ", ".join(map(str, sorted(rows["seed"].unique())))
    parts = [
        HEADER.format(n=len(rows), versions=versions, device=rows["device"].iloc[-1], seeds=seeds),
        "## Means over attacked cells",
        "An attack *takes* where the undefended ASR is at least 50 %.",
        markdown(mean_scores(complete, ["backbone", "attack takes", "method"])),
        f"The same without {' and '.join(SEEN)}, whose failures prompted a change of the method:",
        markdown(mean_scores(untouched, ["backbone", "attack takes", "method"])),
        "## Means by attack and rate",
        markdown(mean_scores(complete, ["backbone", "attack", "rate", "method"])),
        "## Without poison",
        "`relabelled`: share of the training labels that the defense changed, in %.",
        markdown(without_poison(clean)),
        "## Every attacked cell, CA / ASR",
        "Of `e2abl` also precision and recall of the isolation and the share of the poison it "
        "found that got its true class, in %. Seeds are averaged over; - is undefined.",
        markdown(every_cell(attacked)),
        "## Seconds of `fit`, one thread, mean over the cells",
        markdown(in_columns(rows, ["backbone", "dataset"], "seconds", "{:.1f}")),
    ]
    options.results.with_suffix(".md").write_text("\n\n".join(parts) + "\n")


HEADER = """# First results

Written by `python benchmarks/first_results.py table` from `first_results.jsonl`, which
`python benchmarks/first_results.py run` fills; do not edit. {n} trainings; seeds {seeds};
{device}; {versions}.

CA is the accuracy on the clean test set, ASR the share of triggered test series of other classes
that are answered with the target class; both in %. *undefended* is standard training on the
poisoned labels, *oracle* standard training on the true labels of the same series; *loss_drop* and
*e2abl* are `E2ABLClassifier` with `suspicion="loss_drop"` and `"auto"`. A target class is drawn
per seed. No setting was tuned on these data sets; failures on two of them prompted a change of the
method, then judged on the tuning sets (docs/decisions.md, "Content helps a weak signature").
Fits ran side by side on a busy machine, so compare their seconds with care."""


def mean_scores(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Average the scores over data sets and seeds, in percent."""
    names = list(SCORES)
    rows = rows.assign(method=pd.Categorical(rows["method"], METHODS))
    groups = rows.groupby(keys, sort=True, observed=True)
    means = 100 * groups[names].mean()
    means.insert(0, "cells", groups.size())
    return means.round(1).rename(columns=SCORES).reset_index()


def in_columns(rows: pd.DataFrame, keys: list[str], value: str, form: str) -> pd.DataFrame:
    """Put the methods side by side, averaged over everything but the keys."""
    table = rows.pivot_table(index=keys, columns="method", values=value, sort=False)
    return table[[m for m in METHODS if m in table]].map(form.format).reset_index()


def without_poison(clean: pd.DataFrame) -> pd.DataFrame:
    """Return clean accuracy of the methods and what the defenses changed, in percent."""
    keys = ["backbone", "dataset"]
    accuracy = 100 * clean.pivot_table(index=keys, columns="method", values="clean_accuracy")
    changed = 100 * clean.pivot_table(index=keys, columns="method", values="relabelled")
    table = accuracy.add_suffix(" CA").join(changed.add_suffix(" relabelled"))
    means = table.groupby("backbone").mean()
    means.index = pd.MultiIndex.from_tuples([(name, "**mean**") for name in means.index])
    return pd.concat([table, means]).round(1).rename_axis(keys).reset_index()


def every_cell(attacked: pd.DataFrame) -> pd.DataFrame:
    """Return one line per data set, attack and rate."""
    keys = ["backbone", "dataset", "attack", "rate"]
    table = attacked.pivot_table(
        index=keys, columns="method", values=["clean_accuracy", "attack_success_rate"], sort=False
    )
    lines = pd.DataFrame(index=table.index)
    for method in METHODS:
        if ("clean_accuracy", method) in table:
            pair = 100 * table.xs(method, axis=1, level=1)
            lines[method] = [
                f"{ca:.1f} / {asr:.1f}"
                for ca, asr in zip(pair["clean_accuracy"], pair["attack_success_rate"], strict=True)
            ]
    found = attacked[attacked["method"] == "e2abl"]
    names = {"isolation_precision": "P", "isolation_recall": "R", "recovery_accuracy": "rec."}
    found = 100 * found.groupby(keys, sort=False)[list(names)].mean()
    return lines.join(found.round(0).rename(columns=names)).reset_index()


if __name__ == "__main__":
    main()
