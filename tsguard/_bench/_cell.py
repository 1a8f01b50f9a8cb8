"""What a worker does: learn a trigger, or run one cell. Nothing here writes a file."""

import hashlib
import json
import time
import traceback
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from tsguard._base import NeuralClassifier
from tsguard._bench._grid import MODES, NOTHING, Config
from tsguard._bench._machine import PeakMemory, describe_device
from tsguard._bench._names import make_trigger
from tsguard._bench._results import FORMAT, Row
from tsguard._datasets import Dataset, load_dataset, subsample
from tsguard._experiment import Experiment, as_json, draw_target, versions
from tsguard._plugins import import_plugin
from tsguard.attacks import LearnedTrigger, PoisonedDataset, Trigger


@dataclass(frozen=True)
class Machine:
    """What cells need and results do not depend on.

    Attributes
    ----------
    root : str or None
        Folder to look for data sets in.
    device : str
    plugins : tuple of str
        To import before a trigger is made.
    """

    root: str | None = None
    device: str = "auto"
    plugins: tuple[str, ...] = ()


def run_cell(config: Config, learned: str | None, machine: Machine) -> Row:
    """Run one cell and return what is to be stored; whatever goes wrong is stored as well.

    Parameters
    ----------
    config : dict
    learned : str or None
        The learned trigger as JSON, where the attack has one.
    machine : Machine
    """
    start, memory = time.perf_counter(), PeakMemory()
    try:
        result = _run(config, learned, machine)
    except Exception as error:
        return failed_row(config, error)
    return new_row(config, "ok") | {
        **result,
        "total_seconds": round(time.perf_counter() - start, 3),
        "peak_memory_mb": memory.megabytes(),
        "peak_gpu_memory_mb": memory.gpu_megabytes(),
    }


def failed_row(config: Config, error: BaseException) -> Row:
    """Return what is to be stored of a cell that could not be run."""
    trace = "".join(traceback.format_exception(error))
    message = f"{type(error).__name__}: {error}"
    return new_row(config, "failed") | {"error": message, "traceback": trace}


def learn_trigger(config: Config, machine: Machine) -> str | BaseException:
    """Return the learned trigger of a cell as JSON, or what went wrong."""
    try:
        _import(machine.plugins)
        dataset = _load(config, machine)
        trigger = make_trigger(config["attack"], config["attack_parameters"])
        assert isinstance(trigger, LearnedTrigger)
        mode, n_targets = _mode_and_targets(config)
        fitted = trigger.fit(
            dataset.X_train,
            dataset.y_train,
            draw_target(dataset, config["seed"], mode, n_targets),
            mode=mode,
            random_state=config["seed"],
        )
        return json.dumps(fitted.to_dict())
    except Exception as error:
        return error


def new_row(config: Config, status: str) -> Row:
    """Return what every stored cell has, its results left empty."""
    return {
        "format": FORMAT,
        "status": status,
        "config": config,
        "metrics": None,
        "error": None,
        "versions": versions(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _run(config: Config, learned: str | None, machine: Machine) -> Row:
    _import(machine.plugins)
    dataset = _load(config, machine)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        experiment = Experiment.prepare(
            dataset,
            _trigger(config, learned),
            config["rate"],
            config["seed"],
            backbone=config["backbone"],
            device=machine.device,
            **MODES.get(config["mode"], {}),
            **config["settings"],
        )
    classifier, metrics, seconds = experiment.run(
        config["defense"],
        clean_share=config["clean_share"] or 0.0,
        **config["defense_parameters"],
    )
    if config["attack"] == NOTHING:  # the trigger that measured it belongs to no attack
        metrics |= {"attack_success_rate": None, "robust_accuracy": None}
    return {
        "metrics": metrics | changes(classifier, experiment.poisoned),
        "data": describe_data(experiment),
        "seconds": round(seconds, 3),
        "device": describe_device(classifier.device_),
        "warnings": sorted({str(one.message) for one in caught}),
    }


def _trigger(config: Config, learned: str | None) -> Trigger:
    if learned is not None:
        return Trigger.from_dict(json.loads(learned))
    is_nothing = config["attack"] == NOTHING
    return make_trigger("patch" if is_nothing else config["attack"], config["attack_parameters"])


def changes(classifier: NeuralClassifier, poisoned: PoisonedDataset) -> dict[str, float]:
    """Return which shares of the training set the defense suspected and relabelled."""
    shares = {}
    if hasattr(classifier, "suspect_mask_"):
        shares["suspected"] = float(np.mean(classifier.suspect_mask_))
    if hasattr(classifier, "recovered_labels_"):
        shares["relabelled"] = float(np.mean(classifier.recovered_labels_ != poisoned.y))
    return shares


def describe_data(experiment: Experiment) -> dict[str, Any]:
    """Return the sizes, target and digest of an experiment's poisoned set."""
    dataset, poisoned = experiment.dataset, experiment.poisoned
    digest = hashlib.sha256(poisoned.X.tobytes())
    digest.update("\n".join(map(str, poisoned.y.tolist())).encode())
    return {
        "n_train": len(poisoned.y),
        "n_test": len(dataset.y_test),
        "n_channels": dataset.n_channels,
        "n_timepoints": dataset.n_timepoints,
        "n_classes": dataset.n_classes,
        "n_poisoned": int(poisoned.is_poisoned.sum()),
        "target": as_json(poisoned.target),
        # Methods are compared on one poisoned set; the report checks that it was one.
        "poisoned_set": digest.hexdigest()[:12],
    }


def _import(plugins: Sequence[str]) -> None:
    for name in plugins:
        import_plugin(name)


def _mode_and_targets(config: Config) -> tuple[str, int]:
    options = MODES[config["mode"]]
    return options.get("mode", "dirty"), options.get("n_targets", 1)


def _load(config: Config, machine: Machine) -> Dataset:
    whole = _load_whole(config["dataset"], machine.root)
    return subsample(
        whole,
        config["max_train"] or len(whole.y_train),
        config["max_test"] or len(whole.y_test),
        random_state=config["seed"],
    )


@lru_cache(maxsize=2)
def _load_whole(name: str, root: str | None) -> Dataset:
    return load_dataset(name, None if root is None else Path(root))
