"""Images on the CPU: attacks on digits and a part of CIFAR-10, with and without defense.

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
from _results import Row, markdown, read, run_missing

RESULTS = Path(__file__).parent.parent / "docs" / "results" / "image_results.jsonl"

#: Data set → training images, test images, epochs, batch size, augmentation.
DATASETS = {
    "digits": (1348, 449, 20, 32, "crop"),
    "cifar10": (2000, 1000, 20, 64, "crop+flip"),
}
ATTACKS = ("badnets", "blended", "sig", "wanet", "bpp", "low_frequency", "trojan", "dynamic")
METHODS = ("undefended", "oracle", "e2abl", "abl")
KEYS = ["dataset", "attack", "rate", "seed", "method"]
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
    run.add_argument("--data", type=Path, default=None, help="folder of the sheets of CIFAR-10")
    run.add_argument("--jobs", type=int, default=2, help="processes, one thread each")
    run.add_argument("--datasets", nargs="+", default=list(DATASETS), choices=DATASETS)
    run.add_argument("--attacks", nargs="+", default=list(ATTACKS))
    run.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    run.add_argument("--rates", nargs="+", type=float, default=[0.1, 0.05])
    run.add_argument("--seeds", nargs="+", type=int, default=[0])
    run.add_argument("--epochs", type=int, default=None, help="instead of those of the data set")
    run.add_argument("--results", type=Path, default=RESULTS)
    run.set_defaults(command=run_grid)
    table = commands.add_parser("table")
    table.add_argument("--results", type=Path, default=RESULTS)
    table.set_defaults(command=write_table)
    options = parser.parse_args()
    options.command(options)


def run_grid(options: argparse.Namespace) -> None:
    """Train the cells that are missing, several at a time."""
    cells = [
        (dataset, attack, rate, seed, method)
        for seed, rate, dataset, attack, method in itertools.product(
            options.seeds, options.rates, options.datasets, options.attacks, options.methods
        )
    ]
    # Without poison one attack stands for all, and the oracle is standard training.
    cells = [
        cell
        for cell in cells
        if cell[2] > 0 or (cell[1] == options.attacks[0] and cell[4] != "oracle")
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

    from tsguard._experiment import versions
    from tsguard_vision import load_dataset, subset
    from tsguard_vision._experiment import ImageExperiment
    from tsguard_vision.attacks import get_trigger

    torch.set_num_threads(1)
    n_train, n_test, n_epochs, batch_size, augment = DATASETS[dataset]
    loaded = subset(load_dataset(dataset, root=data), n_train, n_test, random_state=seed)
    trigger = get_trigger(attack)
    settings = {"n_epochs": epochs or n_epochs, "batch_size": batch_size, "augment": augment}
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
        "device": f"cpu, 1 thread of {os.cpu_count()}",
        "versions": versions(),
    }


def write_table(options: argparse.Namespace) -> None:
    """Write the results file as Markdown: means first, then every cell."""
    rows = pd.DataFrame([{**row, **row["metrics"]} for row in read(options.results)])
    for name in SCORES:
        rows[name] = pd.to_numeric(rows.get(name, pd.Series(float("nan"), rows.index)))
    last = rows.iloc[-1]
    versions = ", ".join(f"{name} {number}" for name, number in last["versions"].items())
    rows["method"] = pd.Categorical(rows["method"], [*METHODS, "loss_drop"])
    means = rows.groupby(["dataset", "rate", "method"], observed=True)[list(SCORES)].mean()
    parts = [
        HEADER.format(
            script=f"{options.results.stem}.py",
            file=options.results.name,
            n=len(rows),
            device=last["device"],
            versions=versions,
        ),
        "## Means over the attacks",
        markdown((100 * means).round(1).rename(columns=SCORES).reset_index()),
        "## Every cell",
        markdown(every_cell(rows)),
        "## Seconds of `fit`, mean over the cells",
        markdown(
            rows.groupby(["dataset", "method"], observed=True)["seconds"]
            .mean()
            .round(1)
            .reset_index()
        ),
    ]
    options.results.with_suffix(".md").write_text("\n\n".join(parts) + "\n")


HEADER = """# Backdoors in images

Written by `python benchmarks/{script} table` from `{file}`; do not edit. {n} trainings; {device};
{versions}.

CA is the accuracy on the clean test set, ASR the share of triggered test images of other classes
that are answered with the target class; in %. *undefended* is standard training on the poisoned
labels, *oracle* on the true labels of the same images. A target class is drawn per seed. `sig` and
`clean_label` change no label and poison images of the target class only."""


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
