"""The defense against every attack on the report sets, beside no defense and the oracle.

    python benchmarks/detection.py run --data ../shared/data --jobs 2
    python benchmarks/detection.py run --whole --data ../shared/data --jobs 2
    python benchmarks/detection.py table

One cell is one poisoned set with its three trainings; ``run`` appends a line for each that
``docs/results/detection.jsonl`` lacks, so it can be stopped at any time and loses one cell at most
(with ``--whole``: the whole training sets, in ``detection_whole.jsonl``).
``table`` turns these files into ``docs/results/detection.md`` and a picture of how far
``suspicion_`` can be read as a probability, and writes its means per trigger into the README. The
sets are those that docs/decisions.md names for reporting.
"""

import argparse
import itertools
import os
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from _results import Row, markdown, read, run_missing, two_commands, versions_text

RESULTS = Path(__file__).parent.parent / "docs" / "results" / "detection.jsonl"
WHOLE = RESULTS.with_name("detection_whole.jsonl")
PICTURE = Path(__file__).parent.parent / "docs" / "images" / "suspicion_reliability.png"
README = Path(__file__).parent.parent / "README.md"

DATASETS = (
    *("JapaneseVowels", "NATOPS", "PenDigits", "Crop"),
    *("Epilepsy", "ECG5000", "SwedishLeaf", "FaceAll"),
)
#: Failures on these prompted changes of the method, so they are no longer untouched.
SEEN = ("Epilepsy", "PenDigits", "ECG5000", "NATOPS", "SwedishLeaf", "FaceAll", "Crop")
#: Other parts of the sets, other target classes: nothing that failed with them prompted a change,
#: but for these sets (ECG5000 did with seed 1, and then with all of them; Crop with all as well).
UNSEEN_SEEDS, LOOKED_AT = (2,), ("ECG5000", "Crop")
#: Run last, with some of the conditions and all backbones; prompted nothing but for these sets.
LAST_SEED = 3
N_TRAIN, N_TEST = 200, 200
#: Sets of which 200 series are less than half, and how many test series they get when whole.
LARGE, N_TEST_WHOLE = ("PenDigits", "Crop", "ECG5000", "SwedishLeaf", "FaceAll"), 1000
FAST = ("patch", "hum", "noise", "pulse")
SLOW = ("sine", "blend", "warp", "phase", "morph")
LEARNED = ("generator", "input_aware", "gradient_sign", "evolution", "frequency")
ATTACKS = (*FAST, *SLOW, *LEARNED)
#: (mode, attack, rate), the most telling ones first.
CONDITIONS = (
    *(("dirty", attack, 0.1) for attack in (*FAST, *SLOW)),
    ("dirty", "patch", 0.0),
    *(("dirty", attack, 0.05) for attack in ("patch", "hum", "sine", "warp")),
    *(("dirty", attack, 0.1) for attack in LEARNED),
    *(("two_targets", attack, 0.1) for attack in ("patch", "sine")),
    *(("all_to_all", attack, 0.1) for attack in ("patch", "sine")),
    *(("cover", attack, 0.1) for attack in ("patch", "sine")),
    *(("clean", attack, 0.1) for attack in ("patch", "hum", "sine")),
    *(("clean", attack, 0.05) for attack in ("patch", "hum", "pulse")),
    *(("dirty", attack, 0.2) for attack in ("patch", "sine")),
    *(("dirty", attack, 0.01) for attack in ("patch", "sine")),
)
KEYS = ["dataset", "backbone", "mode", "attack", "rate", "seed"]
METHODS = ("undefended", "oracle", "e2abl")
TAKES = 0.5
BINS = np.array([0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0])


def main() -> None:
    """Parse the command line and run the command."""
    parser, run, table = two_commands(__doc__, run_grid, write_table)
    run.add_argument("--backbones", nargs="+", default=["fcn"])
    run.add_argument("--seeds", nargs="+", type=int, default=[0])
    run.add_argument("--modes", nargs="+", default=sorted({mode for mode, _, _ in CONDITIONS}))
    run.add_argument("--attacks", nargs="+", default=ATTACKS)
    run.add_argument(
        "--rates", nargs="+", type=float, default=sorted({r for _, _, r in CONDITIONS})
    )
    run.add_argument("--datasets", nargs="+", default=DATASETS)
    run.add_argument("--whole", action="store_true", help="take all training series")
    run.add_argument("--results", type=Path, default=None)
    run.add_argument("--precision", default="float32", choices=("float32", "bfloat16"))
    run.add_argument(
        "--references", type=Path, default=None, help="results whose undefended and oracle to keep"
    )
    table.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    options.command(options)


def run_grid(options: argparse.Namespace) -> None:
    """Train the cells that are missing, several at a time."""
    cells = [
        (dataset, backbone, mode, attack, rate, seed)
        for backbone in options.backbones
        for seed in options.seeds
        for mode, attack, rate in CONDITIONS
        if mode in options.modes and attack in options.attacks and rate in options.rates
        for dataset in (LARGE if options.whole else DATASETS)
        if dataset in options.datasets
    ]
    results = options.results or (WHOLE if options.whole else RESULTS)
    shared = (options.data, options.precision, options.references, options.whole)
    run_missing(results, KEYS, cells, run_cell, shared, options.jobs)


def run_cell(
    data: Path | None,
    precision: str,
    references: Path | None,
    whole: bool,
    dataset: str,
    backbone: str,
    mode: str,
    attack: str,
    rate: float,
    seed: int,
) -> Row:
    """Poison one set, train three times, measure."""
    import torch

    from tsguard._bench._grid import MODES
    from tsguard._datasets import load_dataset, subsample
    from tsguard._experiment import Experiment, versions

    torch.set_num_threads(1)
    loaded = load_dataset(dataset, root=data)
    n_train, n_test = (len(loaded.y_train), N_TEST_WHOLE) if whole else (N_TRAIN, N_TEST)
    loaded = subsample(loaded, n_train, n_test, random_state=seed)
    experiment = Experiment.prepare(
        loaded,
        attack,
        rate,
        seed,
        **MODES[mode],
        backbone=backbone,
        precision=precision,
    )
    row: Row = {**experiment.describe(attack), "rate": rate, "mode": mode, "precision": precision}
    known = _references(references).get((dataset, backbone, mode, attack, rate, seed), {})
    if known:
        row["references"] = known.get("references", known["precision"])
    for method in METHODS:
        if rate == 0 and method == "oracle":
            continue  # the same as undefended
        if method != "e2abl" and method in known:
            row[method] = known[method]
            continue
        classifier, row[method], seconds = experiment.run(method)
        row[method]["seconds"] = round(seconds, 2)
    row["e2abl"] |= _beliefs(classifier, experiment)
    fixed = {"backbone": backbone, "seed": seed, "n_test": len(loaded.y_test)}
    device = f"cpu, 1 thread of {os.cpu_count()}"
    return {**row, **fixed, "device": device, "versions": versions()}


@cache
def _references(path: Path | None) -> dict[tuple, Row]:
    """Return the rows of another results file by cell, read once in each process."""
    return {tuple(row[key] for key in KEYS): row for row in (read(path) if path else [])}


def _beliefs(classifier, experiment) -> Row:
    """Return how well suspicion and trigger score rank, and how honest suspicion is."""
    from sklearn.metrics import roc_auc_score

    poisoned, hit = experiment.poisoned, experiment.poisoned.is_poisoned
    place = np.digitize(classifier.suspicion_, BINS[1:-1])
    beliefs = {
        "n_suspects": int(classifier.suspect_mask_.sum()),
        "relabelled": float((classifier.recovered_labels_ != poisoned.y).mean()),
        "left_out": float((classifier.records_["isolated"][-1] > 0).mean()),
        "bins": np.bincount(place, minlength=len(BINS) - 1).tolist(),
        "bins_poisoned": np.bincount(place, hit, minlength=len(BINS) - 1).astype(int).tolist(),
    }
    if not hit.any():
        return beliefs
    if poisoned.target is not None:
        concerned = np.isin(poisoned.y, poisoned.target)
        both = hit[concerned].any() and not hit[concerned].all()
        scores = classifier.suspicion_[concerned]
        beliefs["suspicion_auc"] = float(roc_auc_score(hit[concerned], scores)) if both else None
        X = experiment.dataset.X_test[~np.isin(experiment.dataset.y_test, poisoned.target)]
        triggered = poisoned.trigger.apply(X, random_state=experiment.settings["random_state"])
        scores = np.concatenate([classifier.trigger_score(part) for part in (X, triggered)])
        truth = np.repeat([False, True], len(X))
        beliefs["trigger_auc"] = float(roc_auc_score(truth, scores))
    return beliefs


# -- table --------------------------------------------------------------------------------------


def write_table(options: argparse.Namespace) -> None:
    """Write the results file as Markdown: the targets first, then every cell."""
    every = pd.DataFrame([_flat(row) for row in read(options.results)])
    rows, last = every[every["seed"] != LAST_SEED], every[every["seed"] == LAST_SEED]
    attacked, takes, wrong, usual, clean = _parts(rows)
    paired = last[_in_all_backbones(last)]
    parts = [
        HEADER.format(
            n=len(rows),
            seeds=", ".join(map(str, sorted(rows["seed"].unique()))),
            precision=" and ".join(sorted(rows["trained in"].unique())),
            device=rows["device"].iloc[-1],
            versions=rows["versions"].iloc[-1],
            N_TRAIN=N_TRAIN,
            N_TEST=N_TEST,
            sets=", ".join(DATASETS),
            seen=" and ".join(SEEN),
            looked_at=" and ".join(LOOKED_AT),
        ),
        "## Against the targets",
        markdown(_against_targets(rows, last[last["backbone"] == "fcn"])),
        "## Three backbones",
        BACKBONES.format(n=len(paired) // last["backbone"].nunique()),
        markdown(_by_backbone(paired)),
        *(_whole_sets() if WHOLE.exists() else []),
        "## By attack, where it takes",
        markdown(_means(takes, ["backbone", "mode", "attack", "rate"])),
        "## By data set, where an attack with wrong labels takes",
        markdown(_means(wrong, ["backbone", "dataset"])),
        "## Attacks that do not take",
        markdown(_means(attacked.drop(takes.index), ["backbone", "mode", "attack", "rate"])),
        "## Without poison",
        markdown(_without_poison(clean)),
        "## Is suspicion a probability?",
        "Samples of all dirty-label cells and of the unpoisoned sets by their suspicion, and the "
        "share of them that is poisoned. ![reliability](../images/suspicion_reliability.png)",
        markdown(_reliability(rows[rows["mode"] == "dirty"])),
        "## Every cell",
        markdown(every.loc[every["rate"] > 0, [*KEYS, *SHOWN]].round(ONE_DECIMAL)),
    ]
    options.results.with_suffix(".md").write_text("\n\n".join(parts) + "\n")
    _into_readme(usual)


def _whole_sets() -> list[str]:
    """Return the part on whole training sets."""
    rows = pd.DataFrame([_flat(row) for row in read(WHOLE)])
    sizes = ", ".join(
        f"{name} ({n})" for name, n in rows.groupby("dataset")["n_train"].first().items()
    )
    text = WHOLE_SETS.format(
        sizes=sizes,
        n_test=N_TEST_WHOLE,
        n=len(rows),
        seeds=", ".join(map(str, sorted(rows["seed"].unique()))),
        precision=" and ".join(sorted(rows["trained in"].unique())),
        versions=rows["versions"].iloc[-1],
    )
    per_cell = ["dataset", "mode", "attack", "rate", "n_poisoned", "n_suspects", *SHOWN]
    cells = rows.sort_values(["dataset", "mode", "rate", "attack"])[per_cell].round(ONE_DECIMAL)
    return ["## Whole training sets", text, markdown(_targets(rows)), markdown(cells)]


def _into_readme(usual: pd.DataFrame) -> None:
    """Put the means per trigger (FCN, 10 %) between the README's two markers."""
    shown = usual[(usual["backbone"] == "fcn") & (usual["rate"] == 0.1)]
    means = _means(shown, ["attack"]).set_index("attack")
    lines = [
        {
            "trigger": name,
            "cells": means.loc[name, "cells"],
            "undefended": "{} / {}".format(*means.loc[name, ["undefended CA", "undefended ASR"]]),
            "oracle (true labels)": "{} / {}".format(*means.loc[name, ["oracle CA", "oracle ASR"]]),
            "**E2ABL**": "{} / {}".format(*means.loc[name, ["e2abl CA", "e2abl ASR"]]),
        }
        for name in ATTACKS
        if name in means.index
    ]
    before, rest = README.read_text().split("<!-- detection table -->\n")
    after = rest.split("<!-- end of table -->\n")[1]
    table = f"<!-- detection table -->\n{markdown(pd.DataFrame(lines))}\n<!-- end of table -->\n"
    README.write_text(before + table + after)


HEADER = """# Detection on the report sets

Written by `python benchmarks/detection.py table` from `detection.jsonl`, which
`python benchmarks/detection.py run` fills; do not edit. {n} cells; seeds {seeds}; trained in
{precision}; {device}; {versions}.

Sets: {sets} (at most {N_TRAIN} training and {N_TEST} test series, stratified). Nothing was tuned
on them, but failures on {seen} with seed 0, on
PenDigits with seed 1 and on {looked_at} with all seeds prompted changes of the method, judged on
the tuning sets. *Unseen*: cells of a seed, with other parts of the sets and other target classes,
of which no failure prompted anything: seed 2 without these two, which are also the hardest sets.
*Seed 3* (nine triggers at 10 %, dirty labels, and no poison) was run last, and no other failure
with it prompted anything; it is in its own columns, in the next table and in the list of every
cell, not in the other means. All numbers in %. CA: accuracy on the clean test set. ASR: share of
triggered test series of other classes answered with the target class. *oracle*: standard training
on the true labels of the same series; its ASR is the hit rate of an attack that was not learned.
Where labels are right (mode clean) it learns the trigger too, so these cells are counted apart.
An attack *takes* where the undefended ASR is at least 50 %. Precision and recall are those of the
isolation, AUC that of `suspicion_` inside the target class and of `trigger_score` between clean
and triggered test series of other classes."""

WHOLE_SETS = """The sets of which 200 series are less than half, with all training series: {sizes}.
{n} cells, seed {seeds}, FCN, at most {n_test} test series, trained in {precision}; {versions}.
Made by `python benchmarks/detection.py run --whole --precision bfloat16 --seeds 1`, with
`--datasets ECG5000 SwedishLeaf FaceAll --modes dirty two_targets --attacks patch hum blend morph
--rates 0 .01 .1` and with `--datasets PenDigits --modes dirty --attacks patch --rates .1`. ECG5000
without poison was accused at first, which prompted `KIN_SHARE` (docs/decisions.md); with two
targets 30 of its 50 poisoned series are missed since."""

BACKBONES = """Seed 3 again: {n} cells that all have, poisoned alike. The evidence, which does not
look at the network, is the same; the main head's word on suspects differs, and what it learns."""

SHOWN = [
    *("undefended CA", "undefended ASR", "oracle CA", "oracle ASR", "e2abl CA", "e2abl ASR"),
    *("precision", "recall", "recovered", "suspicion AUC", "trigger AUC"),
]
ONE_DECIMAL = dict.fromkeys(SHOWN, 1)


def _flat(row: Row) -> Row:
    """Return one line of the table, shares in percent."""
    flat = {key: row[key] for key in (*KEYS, "device", "n_train", "n_poisoned")}
    flat["trained in"] = row["precision"]
    if row.get("references", row["precision"]) != row["precision"]:
        flat["trained in"] += f" (references: {row['references']})"
    flat["versions"] = versions_text(row["versions"])
    for method in METHODS:
        scores = row.get(method, {})
        flat[f"{method} CA"] = _percent(scores.get("clean_accuracy"))
        flat[f"{method} ASR"] = _percent(scores.get("attack_success_rate"))
        flat[f"{method} seconds"] = scores.get("seconds")
    found = row["e2abl"]
    names = {
        "isolation_precision": "precision",
        "isolation_recall": "recall",
        "recovery_accuracy": "recovered",
        "suspicion_auc": "suspicion AUC",
        "trigger_auc": "trigger AUC",
        "relabelled": "relabelled",
        "left_out": "left out",
    }
    flat |= {new: _percent(found.get(old)) for old, new in names.items()}
    return flat | {name: found[name] for name in ("n_suspects", "bins", "bins_poisoned")}


def _percent(share: float | None) -> float:
    return np.nan if share is None else 100 * share


def _parts(rows: pd.DataFrame) -> tuple[pd.DataFrame, ...]:
    """Return poisoned cells, those where the attack takes, some of these, and unpoisoned cells.

    Some: wrong labels only (right ones the oracle learns too), and of these the usual rates.
    """
    attacked, clean = rows[rows["rate"] > 0], rows[rows["rate"] == 0]
    takes = attacked[attacked["undefended ASR"] >= 100 * TAKES]
    wrong = takes[takes["mode"] != "clean"]
    usual = wrong[(wrong["mode"] == "dirty") & wrong["rate"].between(0.05, 0.1)]
    return attacked, takes, wrong, usual, clean


def _targets(rows: pd.DataFrame) -> pd.DataFrame:
    """Return what issue and docs ask for beside what was measured."""
    _, takes, wrong, usual, clean = _parts(rows)
    right = takes[takes["mode"] == "clean"]
    excess = wrong["e2abl ASR"] - wrong["oracle ASR"]
    isolating = usual[usual["n_suspects"] > 0]
    counted = (usual["n_suspects"] - usual["n_poisoned"]).abs() <= 0.3 * usual["n_poisoned"]
    usual_excess = usual["e2abl ASR"] - usual["oracle ASR"]
    below, usual_below = (part["oracle CA"] - part["e2abl CA"] for part in (wrong, usual))
    harm = clean["undefended CA"] - clean["e2abl CA"]
    lines = [
        ("cells in which an attack with wrong labels takes", "", len(wrong)),
        ("ASR above the oracle's, mean", "at most 1", excess.mean()),
        ("cells with ASR at most 10 above the oracle's", "95", 100 * (excess <= 10).mean()),
        ("CA below the oracle's, mean", "at most 0.5", below.mean()),
        ("dirty labels, 5 and 10 %: ASR above the oracle's, mean", "", usual_excess.mean()),
        ("... cells with ASR at most 10 above the oracle's", "", 100 * (usual_excess <= 10).mean()),
        ("... CA below the oracle's, mean", "", usual_below.mean()),
        ("... precision", "90", isolating["precision"].mean()),
        ("... recall", "95", usual["recall"].mean()),
        ("... number of suspects within 30 % of the truth", "", 100 * counted.mean()),
        ("... AUC of the trigger score", "", usual["trigger AUC"].mean()),
        ("right labels: cells in which the attack takes", "", len(right)),
        ("... ASR without defense, mean", "", right["undefended ASR"].mean()),
        ("... ASR, mean", "", right["e2abl ASR"].mean()),
        (
            "... CA below that of no defense, mean",
            "",
            (right["undefended CA"] - right["e2abl CA"]).mean(),
        ),
        ("unpoisoned sets with any suspect", "at most 5", 100 * (clean["n_suspects"] > 0).mean()),
        ("unpoisoned: CA below standard training, mean", "at most 0.3", harm.mean()),
        ("unpoisoned: samples relabelled", "at most 0.5", clean["relabelled"].mean()),
        ("unpoisoned: samples left out", "", clean["left out"].mean()),
    ]
    table = pd.DataFrame(lines, columns=["", "target", "measured"])
    return table.assign(measured=table["measured"].round(1))


def _against_targets(rows: pd.DataFrame, last: pd.DataFrame) -> pd.DataFrame:
    """Return targets and measurements: all cells, the unseen ones, those of the last seed."""
    unseen = rows[rows["seed"].isin(UNSEEN_SEEDS) & ~rows["dataset"].isin(LOOKED_AT)]
    return _targets(rows).assign(
        **{
            "unseen": _targets(unseen)["measured"],
            f"seed {LAST_SEED}": _targets(last)["measured"],
            "... without these two": _targets(last[~last["dataset"].isin(LOOKED_AT)])["measured"],
        }
    )


def _in_all_backbones(rows: pd.DataFrame) -> pd.Series:
    """Say of each row whether all backbones have its cell."""
    cell = rows.groupby([key for key in KEYS if key != "backbone"])
    return cell["backbone"].transform("nunique") == rows["backbone"].nunique()


def _by_backbone(rows: pd.DataFrame) -> pd.DataFrame:
    """Return targets and measurements of each backbone."""
    tables = {name: _targets(own) for name, own in rows.groupby("backbone", sort=False)}
    columns = {name: table["measured"] for name, table in tables.items()}
    return next(iter(tables.values()))[["", "target"]].assign(**columns)


def _means(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    groups = rows.groupby(keys, sort=False)
    means = groups[SHOWN].mean()
    means.insert(0, "cells", groups.size())
    return means.round(1).reset_index()


def _without_poison(clean: pd.DataFrame) -> pd.DataFrame:
    shown = ["undefended CA", "e2abl CA", "relabelled", "left out"]
    table = clean.groupby(["backbone", "dataset"], sort=False)[shown].mean()
    return table.round(1).reset_index()


def _reliability(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the curve as a table and draw it."""
    from matplotlib.figure import Figure

    counts = np.sum(rows["bins"].tolist(), axis=0)
    hits = np.sum(rows["bins_poisoned"].tolist(), axis=0)
    share = 100 * hits / np.maximum(counts, 1)
    figure = Figure(figsize=(4.5, 4), layout="constrained")
    axes = figure.subplots()
    middle = 50 * (BINS[1:] + BINS[:-1])
    axes.plot([0, 100], [0, 100], color="0.7", label="a perfect probability")
    axes.plot(middle[counts > 0], share[counts > 0], "o-", label="suspicion_")
    axes.set(xlabel="suspicion (%)", ylabel="poisoned (%)")
    axes.legend()
    figure.savefig(PICTURE, dpi=120)
    edges = itertools.pairwise((100 * BINS).astype(int))
    ranges = [f"{low} to {high}" for low, high in edges]
    return pd.DataFrame({"suspicion": ranges, "samples": counts, "poisoned": share.round(1)})


if __name__ == "__main__":
    main()
