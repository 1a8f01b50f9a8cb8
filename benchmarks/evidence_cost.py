"""What the evidence costs beside the training, on sets of 500 series and more.

    python benchmarks/evidence_cost.py --data ../shared/data

Times the label-free views and the evidence of E2ABL on the whole training set, 10 % of it poisoned
with a patch, and the rest of E2ABL's fit of FCN: ``--epochs`` epochs of training with two heads,
taken to the default number of epochs. Memory is what NumPy allocated at most (the training set not
counted). Writes ``docs/results/evidence_cost.json`` and ``.md``.
"""

import argparse
import json
import os
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from _results import markdown, versions_text

RESULTS = Path(__file__).parent.parent / "docs" / "results" / "evidence_cost.json"
DATASETS = (
    *("ECG5000", "SwedishLeaf", "FaceAll", "ShapesAll", "PhalangesOutlinesCorrect"),
    *("Crop", "PenDigits", "ElectricDevices"),
)
SEED = 0


def main() -> None:
    """Measure all sets and write the table."""
    from tsguard._experiment import versions

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=None, help="folder of the data sets")
    parser.add_argument("--epochs", type=int, default=2, help="epochs that are timed")
    options = parser.parse_args()
    load_before = os.getloadavg()[0]
    measure(options.data, DATASETS[0], 1)  # compiles the kernels
    rows = [measure(options.data, dataset, options.epochs) for dataset in DATASETS]
    results = {
        "rows": rows,
        "timed_epochs": options.epochs,
        "versions": versions(),
        "device": f"cpu, {os.cpu_count()} threads, load before {load_before:.2f}",
    }
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    write_table(results)


def measure(data: Path | None, dataset: str, n_epochs: int) -> dict[str, Any]:
    """Time evidence and training on one poisoned set."""
    from tsguard import E2ABLClassifier
    from tsguard._datasets import load_dataset
    from tsguard._experiment import Experiment
    from tsguard._random import numpy_stream
    from tsguard.suspicion import find_evidence, series_views

    loaded = load_dataset(dataset, root=data)
    poisoned = Experiment.prepare(loaded, "patch", 0.1, SEED).poisoned
    codes = loaded.classes.searchsorted(poisoned.y)

    def look() -> None:
        rng = numpy_stream(SEED, "evidence")
        find_evidence(series_views(poisoned.X, rng), codes, loaded.n_classes, rng)

    evidence = seconds(look)
    tracemalloc.start()
    look()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # Without evidence, and without suspects, for whom nothing is left to do after the training.
    settings = {"suspicion": "loss_drop", "isolation_rate": 0.0, "random_state": SEED}
    two_heads = E2ABLClassifier("fcn", n_epochs=n_epochs, **settings)
    one_epoch = seconds(lambda: two_heads.fit(poisoned.X, poisoned.y)) / n_epochs
    training = one_epoch * E2ABLClassifier().n_epochs
    row = {
        "dataset": dataset,
        "series": len(codes),
        "classes": loaded.n_classes,
        "values": int(poisoned.X[0].size),
        "evidence_seconds": round(evidence, 2),
        "training_seconds": round(training, 1),
        "peak_mb": round(peak / 1e6),
    }
    print(row, flush=True)
    return row


def seconds(work: Callable[[], object]) -> float:
    """Return how long a call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def write_table(results: dict[str, Any]) -> None:
    """Write the measurements as Markdown."""
    table = pd.DataFrame(results["rows"])
    both = table["evidence_seconds"] + table["training_seconds"]
    table.insert(6, "share", (100 * table["evidence_seconds"] / both).round(1))
    table = table.rename(
        columns={
            "dataset": "data set",
            "values": "values per series",
            "evidence_seconds": "evidence (s)",
            "training_seconds": "training (s)",
            "share": "evidence (% of the fit)",
            "peak_mb": "memory (MB)",
        }
    )
    versions = versions_text(results["versions"])
    parts = [
        "# Cost of the evidence",
        "Written by `python benchmarks/evidence_cost.py`; do not edit. Whole training sets, 10 % "
        "poisoned with a patch. *Training* is that of FCN with two heads and the defaults, without "
        f"suspects: {results['timed_epochs']} epochs timed and taken to 40. *Memory*: allocated by "
        f"the evidence at most, the set itself not counted. {versions}; {results['device']}.",
        markdown(table),
    ]
    RESULTS.with_suffix(".md").write_text("\n\n".join(parts) + "\n")


if __name__ == "__main__":
    main()
