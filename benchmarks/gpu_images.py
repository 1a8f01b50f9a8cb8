"""Images on one GPU: every attack on CIFAR-10 and GTSRB, undefended, ABL and E2ABL, ResNet-18.

    python benchmarks/gpu_images.py run --data ../shared/data --minutes 28
    python benchmarks/gpu_images.py table

``run`` trains the cells that ``docs/results/gpu_images.jsonl`` lacks, one after the other, the
whole training set on the device, in bfloat16; it starts no cell that the minutes left do not cover
and goes on where it was when it is called again. Cells come in the order of what they tell: 10 %
poison of both sets first, then 5 % and 1 %. ``--n-train`` cuts the sets so that all cells fit.
"""

import argparse
import functools
import itertools
import json
import time
from pathlib import Path
from typing import Any

import image_results
import torch
from _results import Row, read

from tsguard._experiment import draw_target, versions
from tsguard.attacks import LearnedTrigger
from tsguard_vision import ImageDataset, load_dataset, subset
from tsguard_vision._experiment import ImageExperiment
from tsguard_vision.attacks import ImageTrigger, get_trigger, list_triggers

RESULTS = Path(__file__).parent.parent / "docs" / "results" / "gpu_images.jsonl"
AUGMENT = {"cifar10": "crop+flip", "gtsrb": "crop", "digits": "crop"}
METHODS = ("undefended", "abl", "e2abl")
KEYS = ("dataset", "attack", "rate", "seed", "method")
#: A learned trigger comes from a short training of a small network; its size hardly matters here.
QUICK = {"surrogate_epochs": 1, "n_steps": 2, "n_attack_steps": 1}


def main() -> None:
    """Parse the command line and run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    run = commands.add_parser("run")
    run.add_argument("--data", type=Path, default=None, help="folder of the sheets")
    run.add_argument("--datasets", nargs="+", default=["cifar10", "gtsrb"])
    run.add_argument("--attacks", nargs="+", default=list_triggers())
    run.add_argument("--methods", nargs="+", default=list(METHODS))
    run.add_argument("--rates", nargs="+", type=float, default=[0.1, 0.05, 0.01])
    run.add_argument("--seed", type=int, default=0)
    run.add_argument("--backbone", default="resnet18")
    run.add_argument("--n-train", type=int, default=5000, help="training images of a set")
    run.add_argument("--n-test", type=int, default=2000)
    run.add_argument("--epochs", type=int, default=12)
    run.add_argument("--batch-size", type=int, default=128)
    run.add_argument("--minutes", type=float, default=28.0, help="start no cell after that")
    run.add_argument("--quick", action="store_true", help="hardly learn triggers: a smoke test")
    run.add_argument("--results", type=Path, default=RESULTS)
    run.set_defaults(command=run_grid)
    table = commands.add_parser("table")
    table.add_argument("--results", type=Path, default=RESULTS)
    table.set_defaults(command=image_results.write_table)
    options = parser.parse_args()
    options.command(options)


def run_grid(options: argparse.Namespace) -> None:
    """Train the cells that are missing, while there is time."""
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")
    done = {tuple(row[key] for key in KEYS) for row in read(options.results)}
    cells = [
        (dataset, attack, rate, options.seed, method)
        for rate, dataset, attack, method in itertools.product(
            options.rates, options.datasets, options.attacks, options.methods
        )
    ]
    todo = [cell for cell in cells if cell not in done]
    options.results.parent.mkdir(parents=True, exist_ok=True)
    bench = Bench(options)
    begin, longest = time.monotonic(), 0.0
    with options.results.open("a") as file:
        for count, cell in enumerate(todo, 1):
            left = 60 * options.minutes - (time.monotonic() - begin)
            if left < longest:
                print(f"{len(todo) - count + 1} of {len(todo)} cells are left; call it again.")
                return
            start = time.monotonic()
            row = bench.run_cell(*cell)
            # The first cell of an attack also learns its trigger.
            longest = max(longest, time.monotonic() - start)
            file.write(json.dumps(row) + "\n")
            file.flush()
            print(f"{count}/{len(todo)}", *cell, row["seconds"], row["metrics"], flush=True)


class Bench:
    """Trains cells, and keeps data sets, learned triggers and poisoned sets for the next one."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.dataset = functools.cache(self._dataset)
        self.trigger = functools.cache(self._trigger)
        self.experiment = functools.lru_cache(maxsize=1)(self._experiment)

    def run_cell(self, dataset: str, attack: str, rate: float, seed: int, method: str) -> Row:
        """Train and measure one cell."""
        experiment = self.experiment(dataset, attack, rate, seed)
        classifier, metrics, seconds = experiment.run(method)
        return {
            **experiment.describe(attack),
            "mode": experiment.poisoned.mode,
            "backbone": self.options.backbone,
            "settings": {"epochs": self.options.epochs, "batch_size": self.options.batch_size},
            "seed": seed,
            "method": method,
            "metrics": metrics,
            "seconds": round(seconds, 2),
            "n_test": len(experiment.dataset.y_test),
            "device": device_name(classifier.device_),
            "versions": versions(),
        }

    def _dataset(self, name: str, seed: int) -> ImageDataset:
        options = self.options
        loaded = load_dataset(name, root=options.data)
        return subset(loaded, options.n_train, options.n_test, random_state=seed)

    def _trigger(self, dataset: str, attack: str, seed: int) -> ImageTrigger:
        """Return the trigger, learned once for all rates."""
        data, trigger = self.dataset(dataset, seed), get_trigger(attack)
        if self.options.quick:
            few = {name: value for name, value in QUICK.items() if hasattr(trigger, name)}
            trigger = get_trigger(attack, **few)
        assert isinstance(trigger, ImageTrigger)
        if isinstance(trigger, LearnedTrigger):
            target, mode = draw_target(data, seed), trigger.usual_mode
            trigger = trigger.fit(data.X_train, data.y_train, target, mode=mode, random_state=seed)
        return trigger

    def _experiment(self, dataset: str, attack: str, rate: float, seed: int) -> ImageExperiment:
        options, trigger = self.options, self.trigger(dataset, attack, seed)
        settings: dict[str, Any] = {
            "backbone": options.backbone,
            "n_epochs": options.epochs,
            "batch_size": options.batch_size,
            "augment": AUGMENT.get(dataset, "crop"),
            "precision": "bfloat16",
        }
        data = self.dataset(dataset, seed)
        mode = trigger.usual_mode
        return ImageExperiment.prepare(data, trigger, rate, seed, mode=mode, **settings)


def device_name(device: str) -> str:
    """Return the device with the GPU's name."""
    if device.startswith("cuda"):
        return f"{device}, {torch.cuda.get_device_name(device)}"
    return device


if __name__ == "__main__":
    main()
