"""How well the evidence finds poison before any training, on the sets it was tuned on.

    python benchmarks/detection_on_tuning_sets.py run --data ../shared/data --jobs 2
    python benchmarks/detection_on_tuning_sets.py table

These numbers are in-sample: the weights of the decision were fitted on (most of) these sets. They
show where the evidence is strong and where it ends; ``first_results.py`` has the honest ones.
"""

import argparse
import os
import time
from pathlib import Path

import numpy as np
import pandas as pd
from _results import Row, markdown, read, run_missing

RESULTS = Path(__file__).parent.parent / "docs" / "results" / "detection_on_tuning_sets.jsonl"
DATASETS = (
    *("ArticularyWordRecognition", "Adiac", "BasicMotions", "CBF", "ECG200", "Earthquakes"),
    *("ElectricDevices", "GunPoint", "Handwriting", "Haptics", "ItalyPowerDemand"),
    *("LargeKitchenAppliances", "Libras", "OSULeaf", "PhalangesOutlinesCorrect", "PowerCons"),
    *("SelfRegulationSCP1", "ShapesAll", "SyntheticControl", "Trace"),
)
N_TRAIN = 800
#: Triggers that came after the decision was fitted, those that need no surrogate.
NEWER = ("sine", "blend", "warp", "phase", "pulse", "morph")
CONDITIONS = [
    ("patch", "dirty", 0.0),
    *(
        (attack, "dirty", rate)
        for rate in (0.1, 0.05, 0.02)
        for attack in ("patch", "hum", "noise")
    ),
    *((attack, "dirty", rate) for rate in (0.1, 0.05) for attack in NEWER),
    ("patch", "all_to_all", 0.1),
    ("patch", "clean", 0.05),
]
KEYS = ["dataset", "attack", "mode", "rate", "seed"]


def main() -> None:
    """Parse the command line and run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    run = commands.add_parser("run")
    run.add_argument("--data", type=Path, default=None, help="folder of the archive's files")
    run.add_argument("--jobs", type=int, default=2)
    run.add_argument("--seeds", nargs="+", type=int, default=[0])
    run.set_defaults(command=run_grid)
    table = commands.add_parser("table")
    table.set_defaults(command=write_table)
    options = parser.parse_args()
    options.command(options)


def run_grid(options: argparse.Namespace) -> None:
    """Look for poison in every cell that is missing."""
    cells = [
        (name, *condition, seed)
        for seed in options.seeds
        for name in DATASETS
        for condition in CONDITIONS
    ]
    run_missing(RESULTS, KEYS, cells, run_cell, (options.data,), options.jobs)


def run_cell(
    data: Path | None, dataset: str, attack: str, mode: str, rate: float, seed: int
) -> Row:
    """Poison one set, collect evidence, compare with the truth."""
    from tsguard._datasets import load_dataset, subsample
    from tsguard._evaluate import isolation_scores
    from tsguard._experiment import versions
    from tsguard._random import numpy_stream
    from tsguard.attacks import poison
    from tsguard.suspicion import decide, find_evidence, series_views

    loaded = subsample(load_dataset(dataset, root=data), N_TRAIN, 100, random_state=seed)
    target = loaded.classes[numpy_stream(seed, "target").integers(loaded.n_classes)]
    p = poison(
        loaded.X_train,
        loaded.y_train,
        attack,
        rate=rate,
        target=None if mode == "all_to_all" else target,
        mode=mode,
        random_state=seed,
    )
    codes = np.searchsorted(loaded.classes, p.y)
    start = time.perf_counter()
    rng = numpy_stream(seed, "evidence")
    evidence = find_evidence(series_views(p.X, rng), codes, loaded.n_classes, rng)
    verdict = decide(evidence, codes)
    seconds = time.perf_counter() - start
    wrong = [t for t in verdict.targets if loaded.classes[t] != p.target]
    truth = np.searchsorted(loaded.classes, p.y_clean)
    found = verdict.suspect & p.is_poisoned
    voted = evidence.classes.argmax(axis=1)
    return {
        "dataset": dataset,
        "attack": attack,
        "mode": mode,
        "rate": rate,
        "seed": seed,
        "n_train": len(codes),
        "n_poisoned": int(p.is_poisoned.sum()),
        "n_suspects": int(verdict.suspect.sum()),
        "n_wrong_targets": len(wrong) if mode == "dirty" and rate > 0 else None,
        **isolation_scores(verdict.suspect, p.is_poisoned).to_dict(),
        "neighbours_recover": float((voted == truth)[found].mean()) if found.any() else None,
        "seconds": round(seconds, 2),
        "device": f"cpu, {os.cpu_count()} cores",
        "versions": versions(),
    }


def write_table(options: argparse.Namespace) -> None:
    """Write the results file as Markdown."""
    rows = pd.DataFrame(read(RESULTS))
    rows["kind"] = np.where(rows["rate"] == 0, "none", rows["mode"] + " " + rows["attack"])
    rows["flagged"] = 100 * rows["n_suspects"] / rows["n_train"]
    rows["found"] = 100.0 * (rows["isolation_recall"] > 0)
    rows["precision"] = 100 * rows["isolation_precision"].astype(float)
    rows["recall"] = 100 * rows["isolation_recall"].astype(float)
    rows["recovered"] = 100 * rows["neighbours_recover"].astype(float)
    attacked = rows[(rows["rate"] > 0) & (rows["mode"] == "dirty")]
    clean = rows[rows["rate"] == 0]
    scores = ["found", "precision", "recall", "recovered", "flagged"]
    by_kind = rows.groupby(["kind", "rate"])[scores].mean()
    by_kind.insert(0, "cells", rows.groupby(["kind", "rate"]).size())
    by_set = attacked.groupby("dataset")[[*scores[:-1], "seconds"]].mean()
    by_set["flagged when clean"] = clean.groupby("dataset")["flagged"].mean()
    versions = ", ".join(f"{name} {number}" for name, number in rows["versions"].iloc[-1].items())
    parts = [
        "# Detection on the tuning sets, before any training",
        "Written by `python benchmarks/detection_on_tuning_sets.py table` from "
        "`detection_on_tuning_sets.jsonl`; do not edit. **In-sample**: the weights of the decision "
        f"were fitted on most of these sets, with patch, hum and noise. {', '.join(NEWER)} came "
        "later: nothing was fitted to them.",
        f"{versions}; {rows['device'].iloc[-1]}; seeds "
        f"{', '.join(map(str, sorted(rows['seed'].unique())))}; at most {N_TRAIN} training series. "
        "In %, means over cells. found: cells in which any poison was isolated; precision over "
        "cells with suspects; recall over all cells; recovered: share of the poison found whose "
        "true class the neighbours' votes name; flagged: share of all samples isolated.",
        "## By attack",
        markdown(by_kind.round(1).reset_index()),
        "## By data set, dirty labels at 2, 5 and 10 %",
        markdown(by_set.round(1).reset_index()),
    ]
    RESULTS.with_suffix(".md").write_text("\n\n".join(parts) + "\n")


if __name__ == "__main__":
    main()
