"""Images on one GPU: every attack on CIFAR-10 and GTSRB, undefended, ABL and E2ABL, ResNet-18.

    python benchmarks/gpu_images.py --data ../shared/data --minutes 28
    tsguard report gpu_images

Trains the cells that the folder ``gpu_images`` lacks, one after the other, the whole training set
on the device, in bfloat16; starts no cell that the minutes left do not cover and goes on where it
was when it is called again. Cells come in the order of what they tell: 10 % poison of both sets
first, then 5 % and 1 %. ``--n-train`` cuts the sets so that all cells fit into the time. The folder
is one as ``tsguard bench`` writes it, so ``tsguard report`` makes tables and figures of it.
"""

import argparse
import functools
import itertools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from tsguard._bench._cell import changes, describe_data, new_row
from tsguard._bench._grid import Config
from tsguard._bench._machine import PeakMemory, describe_device
from tsguard._bench._results import Row, cell_path, read_row, write_row
from tsguard._experiment import draw_target
from tsguard.attacks import LearnedTrigger
from tsguard_vision import ImageDataset, load_dataset, subset
from tsguard_vision._experiment import ImageExperiment
from tsguard_vision.attacks import ImageTrigger, get_trigger, list_triggers

AUGMENT = {"cifar10": "crop+flip", "gtsrb": "crop", "digits": "crop"}
METHODS = ("undefended", "abl", "e2abl")
#: A learned trigger comes from a short training of a small network; its size hardly matters here.
QUICK = {"surrogate_epochs": 1, "n_steps": 2, "n_attack_steps": 1}


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=None, help="folder of the sheets")
    parser.add_argument("--datasets", nargs="+", default=["cifar10", "gtsrb"])
    parser.add_argument("--attacks", nargs="+", default=list_triggers())
    parser.add_argument("--methods", nargs="+", default=list(METHODS), help="also: oracle")
    parser.add_argument("--rates", nargs="+", type=float, default=[0.1, 0.05, 0.01])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--n-train", type=int, default=5000, help="training images of a set")
    parser.add_argument("--n-test", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--minutes", type=float, default=28.0, help="start no cell after that")
    parser.add_argument("--quick", action="store_true", help="hardly learn triggers: a smoke test")
    parser.add_argument("--out", type=Path, default=Path("gpu_images"), help="folder of the cells")
    run_grid(parser.parse_args(arguments))


def run_grid(options: argparse.Namespace) -> None:
    """Train the cells that are missing, while there is time."""
    if torch.cuda.is_available():
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")
    bench = Bench(options)
    cells = [
        bench.config(dataset, attack, rate, method)
        for rate, dataset, attack, method in itertools.product(
            options.rates, options.datasets, options.attacks, options.methods
        )
    ]
    todo = [config for config in cells if read_row(cell_path(options.out, config)) is None]
    begin, longest = time.monotonic(), 0.0
    for count, config in enumerate(todo, 1):
        start = time.monotonic()
        if 60 * options.minutes - (start - begin) < longest:
            print(f"{len(todo) - count + 1} of {len(todo)} cells are left; call it again.")
            return
        row = bench.run_cell(config)
        path = cell_path(options.out, config)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_row(path, row)
        # The first cell of an attack also learns its trigger.
        longest = max(longest, time.monotonic() - start)
        print(f"{count}/{len(todo)}", path.stem, row["seconds"], row["metrics"], flush=True)


class Bench:
    """Trains cells, and keeps data sets, learned triggers and poisoned sets for the next one."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.dataset = functools.cache(self._dataset)
        self.trigger = functools.cache(self._trigger)
        self.experiment = functools.lru_cache(maxsize=1)(self._experiment)

    def config(self, dataset: str, attack: str, rate: float, method: str) -> Config:
        """Return what makes a cell the one it is, as ``tsguard bench`` has it."""
        options = self.options
        return {
            "dataset": dataset,
            "max_train": options.n_train,
            "max_test": options.n_test,
            "attack": attack,
            "attack_parameters": dict(self._quick(attack)),
            "mode": getattr(get_trigger(attack), "usual_mode", "dirty"),
            "rate": rate,
            "defense": method,
            "defense_parameters": {},
            "backbone": options.backbone,
            "settings": {
                "n_epochs": options.epochs,
                "batch_size": options.batch_size,
                "augment": AUGMENT.get(dataset, "crop"),
                "precision": "bfloat16",
            },
            "clean_share": None,
            "seed": options.seed,
        }

    def run_cell(self, config: Config) -> Row:
        """Train and measure one cell."""
        start, memory = time.perf_counter(), PeakMemory()
        experiment = self.experiment(config["dataset"], config["attack"], config["rate"])
        classifier, metrics, seconds = experiment.run(config["defense"])
        return new_row(config, "ok") | {
            "metrics": metrics | changes(classifier, experiment.poisoned),
            "data": describe_data(experiment),
            "seconds": round(seconds, 3),
            "device": describe_device(classifier.device_),
            "warnings": [],
            "total_seconds": round(time.perf_counter() - start, 3),
            "peak_memory_mb": memory.megabytes(),
            "peak_gpu_memory_mb": memory.gpu_megabytes(),
        }

    def _quick(self, attack: str) -> dict[str, int]:
        """Return the parameters with which a trigger is hardly learned, if that is wanted."""
        trigger = get_trigger(attack)
        few = {name: value for name, value in QUICK.items() if hasattr(trigger, name)}
        return few if self.options.quick else {}

    def _dataset(self, name: str) -> ImageDataset:
        options = self.options
        loaded = load_dataset(name, root=options.data)
        return subset(loaded, options.n_train, options.n_test, random_state=options.seed)

    def _trigger(self, dataset: str, attack: str) -> ImageTrigger:
        """Return the trigger, learned once for all rates."""
        data, seed = self.dataset(dataset), self.options.seed
        trigger = get_trigger(attack, **self._quick(attack))
        assert isinstance(trigger, ImageTrigger)
        if isinstance(trigger, LearnedTrigger):
            target, mode = draw_target(data, seed), trigger.usual_mode
            trigger = trigger.fit(data.X_train, data.y_train, target, mode=mode, random_state=seed)
        return trigger

    def _experiment(self, dataset: str, attack: str, rate: float) -> ImageExperiment:
        data, trigger = self.dataset(dataset), self.trigger(dataset, attack)
        settings: dict[str, Any] = self.config(dataset, attack, rate, "e2abl")["settings"]
        settings = {"backbone": self.options.backbone, **settings}
        mode = trigger.usual_mode
        return ImageExperiment.prepare(
            data, trigger, rate, self.options.seed, mode=mode, **settings
        )


if __name__ == "__main__":
    main()
