"""Does every attack take? Undefended accuracy and attack success of all triggers and modes.

    python benchmarks/attack_success.py run --data ../shared/data --jobs 2
    python benchmarks/attack_success.py table

``run`` trains every cell of the grid that ``docs/results/attack_success.jsonl`` does not hold yet
and appends one line per cell, so it can be stopped at any time and goes on where it was. ``table``
turns that file into ``docs/results/attack_success.md``.
"""

import argparse
import itertools
import os
import time
import warnings
from functools import lru_cache
from pathlib import Path

import pandas as pd
from _results import Row, markdown, read, run_missing, two_commands, versions_text

from tsguard._bench._grid import MODES

RESULTS = Path(__file__).parent.parent / "docs" / "results" / "attack_success.jsonl"

#: Data set → largest number of training series (a stratified draw above it). The defaults of the
#: triggers were chosen on other sets, but for those in TUNED.
DATASETS = {
    "ItalyPowerDemand": 250,
    "JapaneseVowels": 300,
    "NATOPS": 250,
    "Crop": 480,
    "ECG5000": 250,
    "ArticularyWordRecognition": 300,
}
TUNED = ("ItalyPowerDemand", "ArticularyWordRecognition")
N_TEST = 500
RATES = (0.1, 0.01)
BACKBONES = ("fcn", "resnet1d")
KEYS = ["dataset", "backbone", "attack", "mode", "rate", "seed"]
TAKES = 0.5


def main() -> None:
    """Parse the command line and run the command."""
    parser, run, table = two_commands(__doc__, run_grid, write_table)
    run.add_argument("--attacks", nargs="+", default=None, help="default: all triggers")
    run.add_argument("--plugin", action="append", default=[], help="file or module of your own")
    run.add_argument("--modes", nargs="+", default=list(MODES), choices=MODES)
    run.add_argument("--rates", nargs="+", type=float, default=list(RATES))
    run.add_argument("--backbones", nargs="+", default=list(BACKBONES))
    run.add_argument("--datasets", nargs="+", default=list(DATASETS), choices=DATASETS)
    run.add_argument("--seeds", nargs="+", type=int, default=[0])
    run.add_argument("--results", type=Path, default=RESULTS)
    run.add_argument(
        "--kept", type=Path, default=None, help="folder for what cells share, to be used again"
    )
    run.add_argument("--precision", default="float32", choices=("float32", "bfloat16"))
    table.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    options.command(options)


def run_grid(options: argparse.Namespace) -> None:
    """Train the cells that are missing, several at a time."""
    from tsguard._plugins import import_plugin
    from tsguard.attacks import list_triggers

    for name in options.plugin:
        import_plugin(name)
    # What neighbouring cells share (a learned trigger, the reference model) is made once.
    cells = [
        (dataset, backbone, attack, mode, rate, seed)
        for seed, mode, dataset, attack, rate, backbone in itertools.product(
            options.seeds,
            options.modes,
            options.datasets,
            options.attacks or list_triggers(),
            options.rates,
            options.backbones,
        )
    ]
    shared = (options.data, options.kept, tuple(options.plugin), options.precision)
    run_missing(options.results, KEYS, cells, run_cell, shared, options.jobs)


def run_cell(
    data: Path | None,
    kept: Path | None,
    plugins: tuple[str, ...],
    precision: str,
    dataset: str,
    backbone: str,
    attack: str,
    mode: str,
    rate: float,
    seed: int,
) -> Row:
    """Train one victim, undefended, and measure it beside a model that saw no poison."""
    import torch

    from tsguard._evaluate import evaluate, trigger_size
    from tsguard._experiment import Experiment, versions
    from tsguard._plugins import import_plugin

    torch.set_num_threads(1)
    for name in plugins:
        import_plugin(name)
    loaded = load(data, dataset, seed)
    trigger, learning = make_trigger(data, kept, dataset, attack, mode, seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="mode .* can stamp only")  # n_poisoned says it
        experiment = Experiment.prepare(
            loaded, trigger, rate, seed, backbone=backbone, precision=precision, **MODES[mode]
        )
    _, metrics, seconds = experiment.run("undefended")
    poisoned = experiment.poisoned
    reference = evaluate(
        reference_model(data, kept, dataset, backbone, precision, seed),
        loaded.X_test,
        loaded.y_test,
        trigger=trigger,
        target=poisoned.target,
        mode=poisoned.mode,
    )
    l2, linf = trigger_size(loaded.X_test, trigger.apply(loaded.X_test))
    return {
        **experiment.describe(attack),
        "mode": mode,
        "n_classes": loaded.n_classes,
        "backbone": backbone,
        "seed": seed,
        "clean_accuracy": metrics["clean_accuracy"],
        "attack_success_rate": metrics["attack_success_rate"],
        "reference_accuracy": reference.clean_accuracy,
        "reference_success_rate": reference.attack_success_rate,
        "relative_l2": l2,
        "relative_linf": linf,
        "n_test": len(loaded.y_test),
        "learning_seconds": learning,
        "seconds": round(seconds, 2),
        "precision": precision,
        "device": f"cpu, 1 thread of {os.cpu_count()}",
        "versions": versions(),
    }


@lru_cache(maxsize=2)
def load(data: Path | None, dataset: str, seed: int):
    """Return the data set of a cell."""
    from tsguard._datasets import load_dataset, subsample

    return subsample(load_dataset(dataset, root=data), DATASETS[dataset], N_TEST, random_state=seed)


@lru_cache(maxsize=4)
def make_trigger(
    data: Path | None, kept: Path | None, dataset: str, attack: str, mode: str, seed: int
):
    """Return the trigger of a cell and the seconds that learning it took, None if it was kept."""
    from tsguard._experiment import draw_target
    from tsguard.attacks import LearnedTrigger, Trigger, get_trigger

    trigger = get_trigger(attack)
    if not isinstance(trigger, LearnedTrigger):
        return trigger, 0.0
    options = MODES[mode]
    loaded = load(data, dataset, seed)
    target = draw_target(loaded, seed, options.get("mode", "dirty"), options.get("n_targets", 1))
    # Modes with one target learn the same trigger.
    goal = {"all_to_all": "next", "two_targets": "two"}.get(mode, "one")
    path = kept / f"{dataset}-{attack}-{goal}-{seed}.json" if kept else None
    if path is not None and path.exists():
        return Trigger.load(path), None
    start = time.perf_counter()
    trigger = trigger.fit(
        loaded.X_train,
        loaded.y_train,
        target,
        mode=options.get("mode", "dirty"),
        random_state=seed,
    )
    seconds = round(time.perf_counter() - start, 2)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        trigger.save(path)
    return trigger, seconds


@lru_cache(maxsize=4)
def reference_model(
    data: Path | None, kept: Path | None, dataset: str, backbone: str, precision: str, seed: int
):
    """Return a model of the same recipe that was trained on clean data."""
    import tsguard
    from tsguard.defenses import StandardClassifier

    path = kept / f"{dataset}-{backbone}-{precision}-{seed}" if kept else None
    if path is not None and path.exists():
        return tsguard.load(path)
    loaded = load(data, dataset, seed)
    classifier = StandardClassifier(backbone, precision=precision, random_state=seed)
    classifier.fit(loaded.X_train, loaded.y_train)
    if path is not None:
        tsguard.save(classifier, path)
    return classifier


def write_table(options: argparse.Namespace) -> None:
    """Write the results file as Markdown: averages first, then every cell."""
    rows = pd.DataFrame(read(options.results))
    scores = ["clean_accuracy", "attack_success_rate", "reference_accuracy"]
    scores += ["reference_success_rate", "relative_l2", "relative_linf"]
    rows[scores] *= 100
    rows["precision"] = rows["precision"].fillna("float32")  # rows older than the choice
    rows["rate"] = (100 * rows["rate"]).map("{:g} %".format)
    versions = versions_text(rows["versions"].iloc[-1])
    parts = [
        HEADER.format(
            n=len(rows),
            halves=int((rows["precision"] == "bfloat16").sum()),
            versions=versions,
            device=rows["device"].iloc[-1],
            seeds=", ".join(map(str, sorted(rows["seed"].unique()))),
            caps=", ".join(f"{name} {size}" for name, size in DATASETS.items()),
            tuned=" and ".join(TUNED),
        )
    ]
    for mode in [name for name in MODES if name in set(rows["mode"])]:
        of_mode = rows[rows["mode"] == mode]
        parts += [
            f"## Mode `{mode}`",
            markdown(means(of_mode)),
            "CA / ASR (ASR of the reference) of every cell:",
            markdown(every_cell(of_mode)),
        ]
    options.results.with_suffix(".md").write_text("\n\n".join(parts) + "\n")


HEADER = """# Does every attack take?

Written by `python benchmarks/attack_success.py table` from `attack_success.jsonl`, which
`python benchmarks/attack_success.py run` fills; do not edit. {n} victims, {halves} of them trained
in bfloat16 (see docs/decisions.md); seeds {seeds}; {device}; {versions}.

Victims are trained without any defense. CA is their accuracy on the clean test set; ASR the share
of triggered test series, of other classes than the wanted one, that are answered as the attacker
wants; both in %. The **reference** is a model of the same recipe trained on the same series without
poison: what the trigger does to it is no backdoor but a mere disturbance (or, for a learned
trigger, an adversarial example). An attack *takes* by as much as its ASR exceeds the reference's.
L2 and L∞ are the root mean square and the largest value of the change, in % of the range of each
series and channel.

`rate` is the poisoned share of all training series; in mode `clean` it ends where the target class
ends (with 24 classes, at about 4 %). `two_targets`: one trigger, two target classes, dealt out to
the classes in turn. `cover`: as `dirty`, and 1 % of the series carry the trigger and their true
label. One target class is drawn per seed.

Means are over the cells that were run (the last number of the column "ASR ≥ 50 %" counts them); a
dash is a cell that was not.

Training series at most: {caps}. The defaults of the triggers were chosen on other data sets, but
for {tuned}, which were among those."""


def means(rows: pd.DataFrame) -> pd.DataFrame:
    """Average over data sets and seeds."""
    groups = rows.groupby(["attack", "rate", "backbone"], sort=True)
    table = groups[["clean_accuracy", "reference_accuracy"]].mean()
    table.columns = ["CA", "reference CA"]
    table["ASR"] = groups["attack_success_rate"].mean()
    table["reference ASR"] = groups["reference_success_rate"].mean()
    above = rows["attack_success_rate"] >= 100 * TAKES
    taken = above.groupby([rows["attack"], rows["rate"], rows["backbone"]])
    table["ASR ≥ 50 %"] = [
        f"{int(n)} of {m}" for n, m in zip(taken.sum(), taken.size(), strict=True)
    ]
    table["L2"] = groups["relative_l2"].mean()
    table["L∞"] = groups["relative_linf"].mean()
    return table.round(1).reset_index()


def every_cell(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one line per attack, rate and backbone, one column per data set."""
    cells = rows.assign(
        text=[
            f"{ca:.0f} / {asr:.0f} ({reference:.0f})"
            for ca, asr, reference in zip(
                rows["clean_accuracy"],
                rows["attack_success_rate"],
                rows["reference_success_rate"],
                strict=True,
            )
        ]
    )
    table = cells.pivot_table(
        index=["attack", "rate", "backbone"],
        columns="dataset",
        values="text",
        aggfunc=", ".join,
    )
    names = [name for name in DATASETS if name in table]
    classes = rows.groupby("dataset")["n_classes"].first()
    table = table[names].rename(columns={name: f"{name} ({classes[name]})" for name in names})
    return table.reset_index()


if __name__ == "__main__":
    main()
