"""Our triggers beside the authors' own code, where that can be run.

    git clone https://github.com/yujingmarkjiang/Time_Series_Backdoor_Attack CLONES/tsba
    git clone https://github.com/SCLBD/BackdoorBench CLONES/backdoorbench
    git clone https://github.com/lbinmeng/EEG_poisoning_attack CLONES/eeg
    python benchmarks/compare_with_originals.py --clones CLONES --data ../shared/data

It reads single functions out of the three repositories, runs them on the same series as ours, and
writes ``docs/results/originals.json`` and ``docs/results/originals.md``. None of their code is part
of tsguard. Only run it on clones that you trust: their functions are executed.
"""

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _originals import functions_of, run_comparison
from _results import markdown, versions_text

RESULTS = Path(__file__).parent.parent / "docs" / "results" / "originals.json"
DATASETS = ("JapaneseVowels", "NATOPS", "ItalyPowerDemand", "ECG5000")
N_TRAIN, N_TEST = 250, 500
LENGTHS = (60, 100, 140, 500, 1000)


def main() -> None:
    """Compare and write the table."""
    run_comparison(__doc__, RESULTS, compare, write_table)


def compare(clones: Path, data: Path | None) -> dict[str, Any]:
    """Return the results of all comparisons."""
    return {
        "patch": compare_patch(clones),
        "sine": compare_sine(clones),
        "pulse": compare_pulse(clones),
        "hum": compare_hum(clones, data),
        "speed": compare_speed(clones),
    }


def stamp_tsba(clones: Path, function: str, X: np.ndarray) -> np.ndarray:
    """Stamp all series with a function of TSBA, which takes (n_samples, time, channels)."""
    import sklearn.preprocessing

    names = [function, "process_instances"]
    found = functions_of(clones / "tsba" / "main.py", names, sklearn=sklearn)
    # Its functions find each other, and the file of its recording, by name.
    run = found[function]
    run.__globals__["process_instances"] = found["process_instances"]
    labels = np.eye(2)[np.arange(len(X)) % 2]
    before = Path.cwd()
    os.chdir(clones / "tsba")
    try:
        stamped, _ = run(X.transpose(0, 2, 1).copy(), labels, 0, 0.1, False, one_hot=True)
    finally:
        os.chdir(before)
    return stamped.transpose(0, 2, 1).astype(np.float32)


def compare_patch(clones: Path) -> list[dict[str, Any]]:
    """Compare the patch with TSBA's "vanilla" pattern of the same length."""
    from tsguard.attacks import PatchTrigger

    rows = []
    for length in LENGTHS:
        X = series(length)
        theirs = stamp_tsba(clones, "gen_vanilla_pattern", X)
        n_steps = int((theirs != X).any(axis=(0, 1)).sum())
        row = {"n_timepoints": length, "steps changed by the original": n_steps}
        if n_steps:
            ours = PatchTrigger(length=n_steps).apply(X)
            row["largest difference"] = float(np.abs(ours - theirs).max())
        rows.append(row)
    return rows


def compare_sine(clones: Path) -> list[dict[str, Any]]:
    """Compare the sine with BackdoorBench's SIG, which works on grey levels from 0 to 255."""
    from tsguard.attacks import SineTrigger

    path = clones / "backdoorbench" / "utils" / "bd_img_transform" / "sig.py"
    original = functions_of(path, ["sigTriggerAttack"])["sigTriggerAttack"](40, 6)
    rows = []
    for length in LENGTHS:
        # Kept away from 0 and 255, where the original clips; ours takes its unit from the range.
        row = np.random.default_rng(0).integers(60, 190, (1, length)).astype(np.uint8)
        theirs = original(row).astype(np.float32) - row
        trigger = SineTrigger(amplitude=40 / np.ptp(row))
        ours = trigger.apply(row.astype(np.float32)) - row
        rows.append(
            {
                "n_timepoints": length,
                "amplitude of the original": float(np.abs(theirs).max() / 255),
                "largest difference in grey levels": float(np.abs(ours - theirs).max()),
            }
        )
    return rows


def compare_pulse(clones: Path) -> list[dict[str, Any]]:
    """Compare the pulses with those of the EEG attack, at one phase."""
    from tsguard.attacks._kernels import add_shifted_wave

    original = functions_of(clones / "eeg" / "methods.py", ["pulse_noise"])["pulse_noise"]
    rows = []
    for period, duty in ((20, 0.1), (25, 0.2), (50, 0.1)):
        theirs = original((1, 1, 256), 1, period, duty)[0, 0]
        wave = (np.arange(256 + period) % period < round(duty * period)).astype(np.float32)
        X = np.zeros((1, 1, 256), np.float32)
        X[..., -1] = 1  # range 1
        out = np.empty_like(X)
        add_shifted_wave(X, wave, np.ones(1, np.float32), np.array([0]), out)
        differs = int(((out - X)[0, 0] != theirs).sum())
        rows.append({"period": period, "duty": duty, "steps that differ of 256": differs})
    return rows


def compare_hum(clones: Path, data: Path | None) -> list[dict[str, Any]]:
    """Compare the hum with TSBA's "powerline", as a change and as a backdoor."""
    from tsguard._datasets import load_dataset, subsample
    from tsguard._evaluate import evaluate, trigger_size
    from tsguard._experiment import draw_target
    from tsguard.attacks import HumTrigger, Trigger, poison
    from tsguard.defenses import StandardClassifier

    recording = np.load(clones / "tsba" / "powerline_pattern.npy")[:, 0]

    class Original(Trigger):  # no kind: it does not go on the list
        def _stamp(self, X, out, generator):
            out[...] = stamp_tsba(clones, "gen_powerline_noise", X)

    rows = []
    for name in DATASETS:
        loaded = subsample(load_dataset(name, root=data), N_TRAIN, N_TEST, random_state=0)
        length = loaded.X_train.shape[2]
        thinned = recording[:: len(recording) // length * 5]
        # The original's unit is a tenth of the range for one standard deviation; ours is the peak.
        shown = np.resize(thinned, length) - thinned.mean()
        peak = float(0.1 * np.abs(shown).max() / recording.std())
        triggers = {
            "original": Original(),
            "HumTrigger(recording=...)": HumTrigger(peak, recording=thinned),
            "HumTrigger()": HumTrigger(),
        }
        for label, trigger in triggers.items():
            target = draw_target(loaded, 0)
            p = poison(
                loaded.X_train, loaded.y_train, trigger, rate=0.1, target=target, random_state=0
            )
            victim = StandardClassifier("fcn", random_state=0).fit(p.X, p.y)
            scores = evaluate(victim, loaded.X_test, loaded.y_test, trigger=trigger, target=target)
            l2, linf = trigger_size(loaded.X_test, trigger.apply(loaded.X_test))
            rows.append(
                {
                    "dataset": name,
                    "trigger": label,
                    "CA": 100 * scores.clean_accuracy,
                    "ASR": 100 * scores.attack_success_rate,
                    "L2": 100 * l2,
                    "L∞": 100 * linf,
                }
            )
    return rows


def compare_speed(clones: Path) -> list[dict[str, Any]]:
    """Time the two functions of TSBA and our triggers on 50,000 series, best of five."""
    from tsguard.attacks import HumTrigger, PatchTrigger

    X = series(140, n_samples=50_000)
    jobs = {
        "patch": (lambda: stamp_tsba(clones, "gen_vanilla_pattern", X), PatchTrigger()),
        "hum": (lambda: stamp_tsba(clones, "gen_powerline_noise", X), HumTrigger()),
    }
    rows = []
    for name, (original, trigger) in jobs.items():
        seconds = [best(original), best(lambda t=trigger: t.apply(X))]
        rows.append(
            {
                "trigger": name,
                "original, ms": 1e3 * seconds[0],
                "ours, ms": 1e3 * seconds[1],
                "times as fast": seconds[0] / seconds[1],
            }
        )
    return rows


def series(length: int, n_samples: int = 40) -> np.ndarray:
    """Return random series of two channels."""
    shape = (n_samples, 1 if n_samples > 1000 else 2, length)
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def best(job) -> float:
    """Return the shortest of five times, after one run to warm up."""
    job()
    times = []
    for _ in range(5):
        start = time.perf_counter()
        job()
        times.append(time.perf_counter() - start)
    return min(times)


TEXT = """# Our triggers beside the authors' own code

Written by `python benchmarks/compare_with_originals.py`, from `originals.json`; do not edit.
{device}; {versions}.

**Patch** beside "vanilla" of TSBA (Jiang et al., SaTML 2023). With the length of the original the
result is the same; that length is nothing below 100 steps, which is why ours is at least two steps.
(The original also stamps every training series and changes the labels of 10 % only; ours stamps
those 10 %.)

{patch}

**Sine** beside SIG in BackdoorBench, δ = 40, f = 6. The original works on whole grey levels, so
that a difference below one level is its rounding. Series of fewer than 24 steps get fewer periods
with ours.

{sine}

**Pulse** beside the narrow-period pulse of Meng et al. (TNSRE 2023), at phase 0. Where
they differ, the original cuts a product such as 29.999… to 29 and its pulse is a step shorter.

{pulse}

**Hum** beside "powerline" of TSBA; FCN, 10 % dirty labels, undefended, seed 0, at most {n_train}
training series; all in %. The original adds a recording, thinned out so far that slow drift is most
of what is left, with a standard deviation of 10 % of the range. Given that recording and amplitude,
ours does about the same; its default is weaker and a hum.

{hum}

**Speed**, 50,000 series of 140 steps. Both of the original's functions stamp all rows in NumPy and
in float64.

{speed}
"""


def write_table(results: dict[str, Any]) -> None:
    """Write the results as Markdown."""
    parts = {
        name: markdown(pd.DataFrame(results[name]).round(2))
        for name in ("patch", "sine", "pulse", "hum", "speed")
    }
    versions = versions_text(results["versions"])
    RESULTS.with_suffix(".md").write_text(
        TEXT.format(device=results["device"], versions=versions, n_train=N_TRAIN, **parts)
    )


if __name__ == "__main__":
    main()
