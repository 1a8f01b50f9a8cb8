"""Stored cells as one data frame, and which of them may be compared."""

import json
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import pandas as pd

from tsguard._bench._grid import NOTHING
from tsguard._bench._results import Row
from tsguard._experiment import list_methods

#: What makes two cells comparable: they differ in the defense only.
CONDITION = ["setup", "dataset", "attack", "mode", "rate", "seed"]

#: An attack takes where it turns at least this share of the series undefended.
TAKES = 0.5


def to_frame(rows: Iterable[Row]) -> pd.DataFrame:
    """Return one line per cell that was run, failed ones left out.

    Columns: those of ``CONDITION``, ``defense``, ``backbone``, all metrics (shares, 0 to 1),
    ``seconds`` (of fit), ``total_seconds``, ``peak_memory_mb``, ``peak_gpu_memory_mb``,
    ``device``, ``n_train``, ``n_timepoints``, ``n_poisoned``, ``poisoned_set``, versions.

    Attacks and defenses that were run with several parameters get these behind their name, and
    backbones the training settings in which the cells differ: what was trained differently is
    never averaged.
    """
    done = [row for row in rows if row["status"] == "ok"]
    frame = pd.DataFrame([_line(row) for row in done])
    if frame.empty:
        return frame
    configs = [row["config"] for row in done]
    frame["attack"] = _labels([(c["attack"], c["attack_parameters"]) for c in configs])
    told = [c["defense_parameters"] | {"clean_share": c["clean_share"]} for c in configs]
    frame["defense"] = _labels([(c["defense"], t) for c, t in zip(configs, told, strict=True)])
    cuts = [{"max_train": c["max_train"], "max_test": c["max_test"]} for c in configs]
    settings = [c["settings"] | cut for c, cut in zip(configs, cuts, strict=True)]
    # All backbones by the same settings: a name of its own would hide what one of them lacks.
    frame["setup"] = [
        backbone + label
        for backbone, label in zip(
            frame["backbone"], _labels([("", one) for one in settings]), strict=True
        )
    ]
    order = {name: place for place, name in enumerate(list_methods())}
    ranks = frame["defense"].map(lambda label: order.get(label.split(" (")[0], len(order)))
    frame = frame.assign(_rank=ranks).sort_values([*CONDITION, "_rank", "defense"])
    return frame.drop(columns="_rank").reset_index(drop=True)


def _line(row: Row) -> dict[str, Any]:
    config, data, device = row["config"], row["data"], row["device"]
    names = ("dataset", "mode", "rate", "backbone", "seed")
    numbers = ("seconds", "total_seconds", "peak_memory_mb", "peak_gpu_memory_mb")
    metrics = {name: row["metrics"].get(name) for name in ("attack_success_rate",)}
    metrics |= row["metrics"]
    metrics["suspected_target"] = json.dumps(metrics.get("suspected_target"))
    return {
        **{name: config[name] for name in names},
        **metrics,
        **{name: row[name] for name in numbers},
        "device": f"{device['name']} ({device['kind']}, {device['threads']} threads)",
        **{name: data[name] for name in ("n_train", "n_timepoints", "n_poisoned", "poisoned_set")},
        "versions": ", ".join(f"{name} {number}" for name, number in row["versions"].items()),
        "finished": row["finished"],
    }


def _labels(named: list[tuple[str, dict[str, Any]]]) -> list[str]:
    """Return each name with those of its parameters that are not the same everywhere."""
    keys: dict[str, set[str]] = defaultdict(set)
    for name, parameters in named:
        keys[name] |= set(parameters)
    values: dict[tuple[str, str], set[str]] = defaultdict(set)
    for name, parameters in named:
        for key in keys[name]:
            values[name, key].add(json.dumps(parameters.get(key)))
    labels = []
    for name, parameters in named:
        told = [f"{key}={v}" for key, v in parameters.items() if len(values[name, key]) > 1]
        labels.append(f"{name} ({', '.join(told)})" if told else name)
    return labels


def defenses_of(frame: pd.DataFrame) -> list[str]:
    """Return the defenses of a frame, those that others are compared with first."""
    order = {name: place for place, name in enumerate(list_methods())}
    names = frame["defense"].unique().tolist()
    return sorted(names, key=lambda label: (order.get(label.split(" (")[0], len(order)), label))


def attacked(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the cells in which something was poisoned."""
    return frame[frame["attack"] != NOTHING]


def complete(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the cells of those conditions that every defense of their setup was run in.

    Means over other cells would compare defenses on different data.
    """
    wanted = frame.groupby("setup")["defense"].transform("nunique")
    present = frame.groupby(CONDITION)["defense"].transform("nunique")
    return frame[present == wanted]


def where_it_takes(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the cells in whose condition the attack takes without a defense.

    Without an undefended run in a setup nobody knows, and all its cells stay.
    """
    undefended = frame["attack_success_rate"].where(frame["defense"] == "undefended")
    success = undefended.astype(float).groupby([frame[key] for key in CONDITION]).transform("max")
    known = (frame["defense"] == "undefended").groupby(frame["setup"]).transform("any")
    return frame[(success >= TAKES) | ~known]
