"""Images on the CPU: attacks on digits and parts of CIFAR-10 and GTSRB, with and without defense.

    python benchmarks/image_results.py run --data ../shared/data --jobs 2
    python benchmarks/image_results.py table

``run`` trains every cell that ``docs/results/image_results.jsonl`` does not hold yet and appends
one line per cell, so it can be stopped at any time and goes on where it was. ``table`` turns that
file into ``docs/results/image_results.md``.
"""

import argparse
import itertools
import os
from pathlib import Path

import pandas as pd
from _results import Row, markdown, read, run_missing, two_commands, versions_text

RESULTS = Path(__file__).parent.parent / "docs" / "results" / "image_results.jsonl"

#: Data set → training images, test images, epochs, batch size, augmentation. Cut to what two cores
#: manage in half an hour; without augmentation an attack takes in few epochs.
DATASETS = {
    "digits": (1348, 449, 15, 32, "crop"),
    "cifar10": (1500, 1000, 10, 16, None),
    "gtsrb": (1500, 1000, 10, 16, None),
}
QUICK_ATTACKS = ("badnets", "blended", "sig", "wanet", "bpp", "low_frequency")
#: Attacks on top whose trigger is learned first, in every cell anew: on the small set only.
ATTACKS = {
    "digits": (*QUICK_ATTACKS, "trojan", "dynamic"),
    "cifar10": QUICK_ATTACKS,
    "gtsrb": ("badnets", "blended", "low_frequency"),
}
METHODS = ("undefended", "oracle", "e2abl", "abl")
KEYS = ["dataset", "attack", "rate", "seed", "method"]
CONDITION = KEYS[:-1]
TAKES = 0.5  # share of the images that an attack must turn undefended
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
    parser, run, table = two_commands(__doc__, run_grid, write_table)
    run.add_argument("--datasets", nargs="+", default=list(DATASETS), choices=DATASETS)
    run.add_argument("--attacks", nargs="+", default=None, help="instead of those of the data set")
    run.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    run.add_argument("--rates", nargs="+", type=float, default=[0.1])
    run.add_argument("--seeds", nargs="+", type=int, default=[0])
    run.add_argument("--epochs", type=int, default=None, help="instead of those of the data set")
    run.add_argument("--results", type=Path, default=RESULTS)
    table.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    options.command(options)


def run_grid(options: argparse.Namespace) -> None:
    """Train the cells that are missing, several at a time."""
    cells = [
        (dataset, attack, rate, seed, method)
        for seed, rate, dataset in itertools.product(options.seeds, options.rates, options.datasets)
        for attack in options.attacks or ATTACKS[dataset]
        for method in options.methods
    ]
    arguments = (options.data, options.epochs)
    run_missing(options.results, KEYS, cells, run_cell, arguments, options.jobs)


def run_cell(
    data: Path | None,
    epochs: int | None,
    dataset: str,
    attack: str,
    rate: float,
    seed: int,
    method: str,
) -> Row:
    """Train and measure one cell."""
    import torch

    from tsguard._bench._machine import describe_device
    from tsguard._experiment import versions
    from tsguard_vision import load_dataset, subset
    from tsguard_vision._experiment import ImageExperiment
    from tsguard_vision.attacks import get_trigger

    torch.set_num_threads(1)
    n_train, n_test, n_epochs, batch_size, augment = DATASETS[dataset]
    loaded = subset(load_dataset(dataset, root=data), n_train, n_test, random_state=seed)
    trigger = get_trigger(attack)
    settings = {"n_epochs": epochs or n_epochs, "batch_size": batch_size, "augment": augment}
    settings["precision"] = "float32"
    experiment = ImageExperiment.prepare(
        loaded,
        trigger,
        rate,
        seed,
        mode=trigger.usual_mode,
        backbone="wideresnet16_1",
        **settings,
    )
    _, metrics, seconds = experiment.run(method)
    return {
        **experiment.describe(attack),
        "mode": trigger.usual_mode,
        "backbone": "wideresnet16_1",
        "settings": settings,
        "seed": seed,
        "method": method,
        "metrics": metrics,
        "seconds": round(seconds, 2),
        "n_test": len(loaded.y_test),
        "device": f"{describe_device('cpu')['name']}, 1 thread of {os.cpu_count()} cores",
        "versions": versions(),
    }


def write_table(options: argparse.Namespace) -> None:
    """Write the results file as Markdown: means first, then every cell."""
    rows = pd.DataFrame([{**row, **row["metrics"]} for row in read(options.results)])
    for name in SCORES:
        rows[name] = pd.to_numeric(rows.get(name, pd.Series(float("nan"), rows.index)))
    last = rows.iloc[-1]
    versions = versions_text(last["versions"])
    rows["method"] = pd.Categorical(rows["method"], METHODS)
    complete = rows.groupby(CONDITION)["method"].transform("nunique") == len(METHODS)
    undefended = rows["attack_success_rate"].where(rows["method"] == "undefended")
    takes = undefended.groupby([rows[key] for key in CONDITION]).transform("max") >= TAKES
    by_method = ["dataset", "method"]
    seconds = rows.groupby(by_method, observed=True)["seconds"].mean().round().reset_index()
    parts = [
        HEADER.format(
            file=options.results.name,
            n=len(rows),
            device=" / ".join(rows["device"].unique()),
            versions=versions,
        ),
        markdown(sizes(rows)),
        "## Means where the attack takes",
        f"Over the attacks that turn at least {TAKES:.0%} of the images undefended and were run "
        "with every method.",
        markdown(means(rows[complete & takes], by_method)),
        "## Means over all attacks that were run with every method",
        markdown(means(rows[complete], by_method)),
        "## Every cell",
        "CA / ASR; precision and recall are those of E2ABL's suspects.",
        markdown(every_cell(rows)),
        "## Seconds of `fit`, mean over the cells",
        "The two cores were shared with other work.",
        markdown(seconds),
    ]
    options.results.with_suffix(".md").write_text("\n\n".join(parts) + "\n")


HEADER = """# Backdoors in images

Written by `python benchmarks/image_results.py table` from `{file}`; do not edit. {n} trainings;
{device}; {versions}.

CA is the accuracy on the clean test set, ASR the share of triggered test images of other classes
that are answered with the target class; in %. *undefended* is standard training on the poisoned
labels, *oracle* on the true labels of the same images. One seed, which also draws the target class;
10 % of the images are poisoned. `sig` changes no label and poisons images of the target class only.

WideResNet-16-1 in float32, a few epochs: a proof that fits two cores, not the accuracy that the
data allow. **Tuning sets**: digits and these images of CIFAR-10 were looked at while the views were
written; GTSRB was not."""


def sizes(rows: pd.DataFrame) -> pd.DataFrame:
    """Return how every data set was cut and trained on."""
    first = rows.groupby("dataset", as_index=False).first()
    settings = pd.DataFrame(first["settings"].tolist()).drop(columns="precision")
    return pd.concat([first[["dataset", "n_train", "n_test"]], settings], axis=1)


def means(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Return the mean scores in percent, and over how many cells."""
    groups = rows.groupby(keys, observed=True)
    table = (100 * groups[list(SCORES)].mean()).round(1).rename(columns=SCORES)
    table.insert(0, "cells", groups.size())
    return table.reset_index()


def every_cell(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one line per data set, attack and rate: CA / ASR of every method, in percent."""
    keys = ["dataset", "attack", "rate"]
    groups = 100 * rows.groupby([*keys, "method"], observed=True)[list(SCORES)].mean()
    text = groups.apply(
        lambda row: f"{row['clean_accuracy']:.1f} / {row['attack_success_rate']:.1f}", axis=1
    )
    table = text.unstack("method")
    found = groups.reset_index("method")
    found = found[found["method"] == "e2abl"][["isolation_precision", "isolation_recall"]]
    table = table.join(found.round(0).rename(columns=SCORES))
    table.columns = [str(name) for name in table.columns]
    return table.reset_index()


if __name__ == "__main__":
    main()
