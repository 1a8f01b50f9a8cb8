"""How fast triggers are: MB/s against a copy of the array and against a loop over the series.

    python benchmarks/trigger_speed.py                      # all triggers, printed
    python benchmarks/trigger_speed.py --out docs/results   # and written to trigger_speed.{json,md}
    python benchmarks/trigger_speed.py --plugin my_attack.py --triggers freeze patch

A number is the best of ``--repeats`` runs (fewer once they took 5 s), in MB (10^6 bytes) of input
per second. *Loop* is the way of the known toolboxes: one series at a time, in Python. For patch,
hum, noise and sine it is written here in plain NumPy; for the others it is ``trigger.apply`` on one
series at a time.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from joblib import cpu_count

from tsguard._plugins import import_plugin
from tsguard._random import numpy_stream
from tsguard._validation import Panel
from tsguard.attacks import LearnedTrigger, Trigger, get_trigger, list_triggers
from tsguard.attacks._hum import hum_wave

SHAPES = [(50_000, 1, 140), (5_000, 9, 144)]
#: Series that a learned trigger is fitted on; how well it is learned does not change its speed.
N_FIT = 60
QUICK = {"surrogate_epochs": 1, "n_steps": 2, "n_generations": 1, "n_candidates": 6}
COLUMNS = ("out of place", "in place", "loop")


def main() -> None:
    """Parse the command line, measure, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--triggers", nargs="+", help="names; default: all there are")
    parser.add_argument("--plugin", action="append", default=[], help="file with your triggers")
    parser.add_argument("--repeats", type=int, default=7, help="runs of which the best counts")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the series; 1 = all")
    parser.add_argument("--out", type=Path, help="folder for trigger_speed.json and .md")
    options = parser.parse_args()
    try:
        for plugin in options.plugin:
            import_plugin(plugin)
        triggers = [get_trigger(name) for name in options.triggers or list_triggers()]
    except ValueError as error:
        parser.error(str(error))
    shapes = [(max(N_FIT, int(n * options.scale)), c, t) for n, c, t in SHAPES]
    report = {"settings": settings(options.repeats), "shapes": []}
    for shape in shapes:
        report["shapes"].append(measure(shape, triggers, options.repeats))
    text = markdown(report)
    print("\n" + text)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "trigger_speed.json").write_text(json.dumps(report, indent=2) + "\n")
        (options.out / "trigger_speed.md").write_text(text)


def measure(shape: tuple[int, int, int], triggers: list[Trigger], repeats: int) -> dict[str, Any]:
    """Time every trigger on random walks of one shape."""
    steps = numpy_stream(0, "trigger speed").normal(size=shape)
    X = steps.cumsum(axis=2).astype(np.float32)
    out, inside = np.empty_like(X), X.copy()
    result: dict[str, Any] = {"shape": shape, "copy": speed(X, X.copy, repeats), "triggers": {}}
    # Without the cost of fresh memory, which X.copy() pays and apply(out=...) does not.
    result["copy to out"] = speed(X, lambda: np.copyto(out, X), repeats)
    for trigger in sorted(triggers, key=lambda one: isinstance(one, LearnedTrigger)):
        ready = learned(trigger, X)
        few = X if type(ready) in LOOPS else X[: max(1, len(X) // 50)]
        loop = LOOPS.get(type(ready), one_by_one)
        ready.apply(X[:2], random_state=0)  # compiles
        row = {
            "out of place": speed(X, lambda t=ready: t.apply(X, random_state=0), repeats),
            "in place": speed(X, lambda t=ready: t.apply(inside, 0, out=inside), repeats),
            "loop": speed(few, lambda t=ready, x=few, f=loop: f(t, x), min(repeats, 3)),
            "learned": isinstance(ready, LearnedTrigger),
        }
        inside[:] = X  # a trigger stamped many times over would drive values to infinity
        result["triggers"][trigger.kind] = row
        print(shape, trigger.kind, *(f"{name} {row[name]:.0f}" for name in COLUMNS), flush=True)
    return result


def speed(X: Panel, function: Callable[[], object], repeats: int) -> float:
    """Return MB of X per second, in the best of several runs; slow functions get fewer."""
    best, begin = np.inf, time.perf_counter()
    for _ in range(repeats):
        if time.perf_counter() - begin > 5:
            break
        start = time.perf_counter()
        function()
        best = min(best, time.perf_counter() - start)
    return X.nbytes / 1e6 / best


def learned(trigger: Trigger, X: Panel) -> Trigger:
    """Return a trigger that can be applied to X."""
    if not isinstance(trigger, LearnedTrigger):
        return trigger
    known = trigger.to_dict()
    quick = {name: value for name, value in QUICK.items() if name in known}
    y = np.arange(N_FIT) % 2
    return get_trigger(trigger.kind, **quick).fit(X[:N_FIT], y, 0, random_state=0)


# --- one series at a time, as the known toolboxes do it


def patch_loop(trigger: Any, X: Panel) -> Panel:
    """Stamp the default patch."""
    out = X.copy()
    length = max(2, round(trigger.length * X.shape[2]))
    for series in out:
        for channel in series:
            low, high = channel.min(), channel.max()
            channel[0:length:2] = high
            channel[1:length:2] = low
    return out


def pattern_loop(trigger: Any, X: Panel, pattern: np.ndarray) -> Panel:
    """Add a pattern, scaled to the range of each channel."""
    out = X.copy()
    for series in out:
        for c, channel in enumerate(series):
            span = channel.max() - channel.min()
            channel += trigger.amplitude * span * pattern[c]
    return out


def hum_loop(trigger: Any, X: Panel) -> Panel:
    """Add the default hum."""
    wave = hum_wave(X.shape[2], trigger.frequency, trigger.harmonics, trigger.phase)
    return pattern_loop(trigger, X, np.broadcast_to(wave, X.shape[1:]))


def noise_loop(trigger: Any, X: Panel) -> Panel:
    """Add uniform noise."""
    noise = numpy_stream(trigger.seed, "noise loop").uniform(-1, 1, size=X.shape[1:])
    return pattern_loop(trigger, X, noise)


def sine_loop(trigger: Any, X: Panel) -> Panel:
    """Add one sine."""
    wave = np.sin(2 * np.pi * trigger.cycles * np.arange(X.shape[2]) / X.shape[2])
    return pattern_loop(trigger, X, np.broadcast_to(wave, X.shape[1:]))


def one_by_one(trigger: Trigger, X: Panel) -> Panel:
    """Apply any trigger to one series at a time."""
    return np.concatenate([trigger.apply(X[i : i + 1], random_state=0) for i in range(len(X))])


LOOPS: dict[type[Trigger], Callable[[Any, Panel], Panel]] = {
    type(get_trigger("patch")): patch_loop,
    type(get_trigger("hum")): hum_loop,
    type(get_trigger("noise")): noise_loop,
    type(get_trigger("sine")): sine_loop,
}


# --- report


def settings(repeats: int) -> dict[str, Any]:
    """Return what the numbers depend on."""
    return {
        "threads": cpu_count(),
        "torch threads": torch.get_num_threads(),
        "processor": processor(),
        "load before": round(os.getloadavg()[0], 2),
        "best of": repeats,
        "python": platform.python_version(),
        **{name: version(name) for name in ("tsguard", "numpy", "numba", "torch")},
    }


def processor() -> str:
    """Return the name of the processor where the system tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def markdown(report: dict[str, Any]) -> str:
    """Return the report as Markdown."""
    facts = ", ".join(f"{name} {value}" for name, value in report["settings"].items())
    parts = [
        "# Speed of the triggers",
        "Written by `python benchmarks/trigger_speed.py --out docs/results`; do not edit.",
        f"{facts}.",
        "MB of float32 input per second, the best run. *Of copy*: speed relative to `X.copy()`. "
        "*Loop*: one series at a time in Python; plain NumPy for patch, hum, noise and sine, "
        "`trigger.apply` for the others, timed on one fiftieth of the series. *Gain*: out of "
        "place relative to the loop.",
    ]
    for result in report["shapes"]:
        copy = result["copy"]
        parts.append(f"## {' by '.join(map(str, result['shape']))}")
        parts.append(
            f"`X.copy()`: {copy:.0f} MB/s; into memory that is there already: "
            f"{result['copy to out']:.0f} MB/s."
        )
        for is_learned, title in ((False, "Analytic"), (True, "Learned")):
            rows = [(k, r) for k, r in result["triggers"].items() if r["learned"] == is_learned]
            if rows:
                parts.append(table(title, rows, copy))
    return "\n\n".join(parts) + "\n"


def table(title: str, rows: list[tuple[str, dict[str, float]]], copy: float) -> str:
    """Return one table."""
    lines = [
        f"| {title} | out of place | of copy | in place | of copy | loop | gain |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for kind, row in rows:
        fresh, inside, loop = (row[name] for name in COLUMNS)
        lines.append(
            f"| {kind} | {fresh:.0f} | {fresh / copy:.2g} | {inside:.0f} | {inside / copy:.2g} "
            f"| {loop:.1f} | {fresh / loop:.0f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
