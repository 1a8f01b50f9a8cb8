"""Fit the weights that decide whether a candidate group is a backdoor, on the tuning sets.

    python benchmarks/fit_decision.py collect --data ../shared/data --jobs 2
    python benchmarks/fit_decision.py fit

``collect`` poisons every tuning set in many ways (and not at all), and appends to
``docs/results/decision_candidates.jsonl`` what the evidence says of the best group of every class,
and of the best one under many labels. ``fit`` learns from that, by logistic regression, to tell
poisoned groups from natural ones. A set is always judged by weights that were fitted without it,
at the threshold that keeps false alarms on the unpoisoned versions of the other sets below
``--alarms``; the weights in use are judged beside that. It prints the weights and writes
``docs/results/decision_fit.md``; nothing changes in the library by itself.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from _results import Row, markdown, read, run_missing, two_commands

from tsguard import Dataset

RESULTS = Path(__file__).parent.parent / "docs" / "results" / "decision_candidates.jsonl"
TABLE = RESULTS.with_name("decision_fit.md")
DATASETS = (
    *("ArticularyWordRecognition", "Adiac", "BasicMotions", "CBF", "ECG200", "Earthquakes"),
    *("ElectricDevices", "GunPoint", "Handwriting", "Haptics", "ItalyPowerDemand"),
    *("LargeKitchenAppliances", "Libras", "OSULeaf", "PhalangesOutlinesCorrect", "PowerCons"),
    *("SelfRegulationSCP1", "ShapesAll", "SyntheticControl", "Trace"),
)
N_TRAIN = 500
ATTACKS = ("patch", "hum", "noise", "sine", "blend", "warp", "phase", "pulse", "morph")
RATES = (0.1, 0.05, 0.02, 0.2)
#: Other modes, at 10 % and with some of the attacks.
OTHER_MODES = ("two_targets", "all_to_all", "cover")
MODE_ATTACKS = ("patch", "hum", "sine", "blend", "phase")
#: Unpoisoned runs, and what they are called: with classes as they are, or cut to other sizes, or
#: from two sources.
CLEAN = {
    "none": "**accused without poison**",
    "uneven": "accused without poison: classes of uneven sizes",
    "lone": "accused without poison: one large class",
    "pooled": "accused without poison: training and test part together",
    "copies": "accused without poison: half of the series twice",
    "12 values": "accused without poison: 12 values a channel",
    "24 values": "accused without poison: 24 values a channel",
}
KEYS = ["dataset", "mode", "attack", "rate", "seed"]
PURE = 0.5  # a group counts as poison if at least this share of it is
FOUND = 0.5  # poison counts as found if at least this share of it is in accused groups


def main() -> None:
    """Parse the command line and run the command."""
    parser, collect, fit = two_commands(__doc__, run_grid, fit_weights, ("collect", "fit"))
    collect.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    collect.add_argument("--clean-seeds", nargs="+", type=int, default=list(range(8)))
    fit.add_argument("--alarms", type=float, default=0.03, help="share of clean runs, 0 to 1")
    options = parser.parse_args()
    options.command(options)


def run_grid(options: argparse.Namespace) -> None:
    """Collect the candidates of the cells that are missing."""
    clean = [
        (name, "dirty", kind, 0.0, seed)
        for kind in CLEAN
        for seed in options.clean_seeds[: None if kind == "none" else 3]
        for name in DATASETS
    ]
    attacked = [
        (name, "dirty", attack, rate, seed)
        for seed in options.seeds
        for attack in ATTACKS
        for rate in RATES
        for name in DATASETS
    ]
    attacked += [
        (name, mode, attack, RATES[0], seed)
        for seed in options.seeds
        for mode in OTHER_MODES
        for attack in MODE_ATTACKS
        for name in DATASETS
    ]
    run_missing(RESULTS, KEYS, [*clean, *attacked], run_cell, (options.data,), options.jobs)


def run_cell(
    data: Path | None, dataset: str, mode: str, attack: str, rate: float, seed: int
) -> Row:
    """Return the candidates of one poisoned set."""
    from tsguard._random import numpy_stream
    from tsguard.suspicion import find_evidence, series_views

    X, codes, hit = prepare(data, dataset, mode, attack, rate, seed, N_TRAIN)
    rng = numpy_stream(seed, "evidence")
    evidence = find_evidence(series_views(X, rng), codes, codes.max() + 1, rng)
    candidates = [
        {
            "is_poison": bool(hit[one.members].mean() >= PURE),
            "holds": round(float(hit[one.members].sum() / max(1, hit.sum())), 3),
            **{name: round(value, 3) for name, value in one.statistics.items()},
        }
        for one in evidence.candidates
    ]
    return {
        "dataset": dataset,
        "mode": mode,
        "attack": attack,
        "rate": rate,
        "seed": seed,
        "n_train": len(codes),
        "n_poisoned": int(hit.sum()),
        "candidates": candidates,
    }


def prepare(
    data: Path | None,
    dataset: str,
    mode: str,
    attack: str,
    rate: float,
    seed: int,
    n_train: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the series of one set, their given class codes, and which of them are poisoned.

    ``attack`` may also be one of ``CLEAN``, with rate 0.
    """
    from tsguard._bench._grid import MODES
    from tsguard._datasets import load_dataset, subsample
    from tsguard._experiment import Experiment

    # At another seed another part of the set is drawn, so that clean runs differ too.
    loaded = load_dataset(dataset, root=data)
    if attack == "pooled":
        loaded = _with_test_part(loaded)
    size = min(n_train, int(0.9 * len(loaded.y_train)))
    loaded = subsample(loaded, max(size, loaded.n_classes), 100, random_state=seed)
    if rate > 0:
        poisoned = Experiment.prepare(loaded, attack, rate, seed, **MODES[mode]).poisoned
        return poisoned.X, np.searchsorted(loaded.classes, poisoned.y), poisoned.is_poisoned
    kept = _kept(loaded.y_train, attack, seed)
    codes = np.searchsorted(loaded.classes, loaded.y_train[kept])
    X = loaded.X_train[kept]
    if attack.endswith("values"):
        X = _shorten(X, int(attack.split()[0]))
    return X, codes, np.zeros(len(kept), bool)


def _with_test_part(loaded: Dataset) -> Dataset:
    """Return the set with its test part added to its training part."""
    return replace(
        loaded,
        X_train=np.concatenate([loaded.X_train, loaded.X_test]),
        y_train=np.concatenate([loaded.y_train, loaded.y_test]),
    )


def _shorten(panel: np.ndarray, n_timepoints: int) -> np.ndarray:
    """Return the means of as many parts of each series."""
    parts = np.array_split(panel, min(n_timepoints, panel.shape[2]), axis=2)
    return np.stack([part.mean(axis=2) for part in parts], axis=2)


def half_twice(n_samples: int) -> np.ndarray:
    """Return all rows, and then every other one again."""
    return np.concatenate([np.arange(n_samples), np.arange(0, n_samples, 2)])


def _kept(labels: np.ndarray, kind: str, seed: int) -> np.ndarray:
    """Return the rows that stay, or come twice, as the kind of run wants."""
    rng = np.random.default_rng(seed)
    if kind == "copies":
        return half_twice(len(labels))
    classes, codes = np.unique(labels, return_inverse=True)
    shares = np.ones(len(classes))
    if kind == "uneven":
        shares = np.exp(-np.abs(rng.normal(0, 0.7, len(classes))))
    elif kind == "lone":
        shares = np.where(np.arange(len(classes)) == rng.integers(len(classes)), 1, 0.35)
    rows = [rng.permutation(np.flatnonzero(codes == code)) for code in range(len(classes))]
    kept = [own[: max(3, round(share * len(own)))] for own, share in zip(rows, shares, strict=True)]
    return np.sort(np.concatenate(kept))


def fit_weights(options: argparse.Namespace) -> None:
    """Judge every set by weights fitted on the others, print the weights of all."""
    from tsguard.suspicion._likelihood import WEIGHTS

    cells = pd.DataFrame(read(RESULTS))
    rows = cells.explode("candidates", ignore_index=True).dropna(subset="candidates")
    rows = rows.drop(columns="candidates").join(
        pd.json_normalize(rows["candidates"]).set_index(rows.index)
    )
    rows["is_poison"] = rows["is_poison"].astype(bool)
    for newer in set(WEIGHTS) - set(rows):  # than the stored candidates: nothing had it then
        rows[newer] = 0.0
    scattered = rows["labels"].notna()
    judged, weights = [], {}
    for kind, own in (("of a class", rows[~scattered]), ("under many labels", rows[scattered])):
        with_scores, weights[kind] = _judge(own, kind, options.alarms)
        judged.append(with_scores)
    judged = pd.concat(judged)
    summary = pd.DataFrame(
        {
            "weights in use": _rates(cells, judged, "in_use"),
            "refitted without the set": _rates(cells, judged, "refit"),
        }
    )
    parts = [
        "# Weights of the decision, refitted",
        "Written by `python benchmarks/fit_decision.py fit` from `decision_candidates.jsonl`; do "
        f"not edit. {len(cells)} runs on {cells['dataset'].nunique()} tuning sets of at most "
        f"{N_TRAIN} series. In %: runs in which half of the poison is in groups that are rightly "
        "accused (*found*), runs in which a group is accused of which less than half is poison "
        "(*wrong*), and unpoisoned runs with any accusation. The refit is judged on sets that it "
        "was not fitted on, at the threshold of the others; the weights in use were fitted on "
        "these sets (300 series each), and their threshold is stricter.",
        markdown(summary.round(1).rename_axis("runs").reset_index()),
        "## By data set, weights in use",
        markdown(_by_dataset(cells, judged)),
        "## Statistics one by one",
        "Groups of a class only, refitted without one of the statistics, sets left out, at the "
        f"threshold that accuses somebody in {options.alarms:.0%} of the unpoisoned runs.",
        markdown(_one_by_one(cells, rows[~scattered], options.alarms)),
        *(f"Fitted on all sets, groups {kind}: `{fitted}`." for kind, fitted in weights.items()),
    ]
    TABLE.write_text("\n\n".join(parts) + "\n")
    print(TABLE.read_text())


def _judge(
    rows: pd.DataFrame, kind: str, alarms: float, without: str | None = None
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Return the candidates of a kind with the scores of the columns, and the weights of all.

    ``without`` names a statistic that the refit does not get.
    """
    from tsguard.suspicion import _likelihood as used

    intercept, in_use = {
        "of a class": (used.INTERCEPT, used.WEIGHTS),
        "under many labels": (used.SCATTERED_INTERCEPT, used.SCATTERED_WEIGHTS),
    }[kind]
    names = [name for name in in_use if name != without]
    judged = []
    for dataset in DATASETS:
        others = rows["dataset"] != dataset
        weights = _fit(rows[others], names, alarms)
        here = rows[~others].copy()
        here["refit"] = here[names] @ weights[names] + weights["intercept"]
        here["in_use"] = here[list(in_use)] @ pd.Series(in_use) + intercept
        judged.append(here)
    return pd.concat(judged), _fit(rows, names, alarms).round(2).to_dict()


def _fit(rows: pd.DataFrame, names: list[str], alarms: float) -> pd.Series:
    """Return weights and intercept (last), the latter so that few clean runs are above 0."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(rows[names])
    model = LogisticRegression(max_iter=2000).fit(scaler.transform(rows[names]), rows["is_poison"])
    weights = pd.Series(model.coef_[0] / scaler.scale_, names)
    clean = rows[rows["attack"] == "none"]
    highest = (clean[names] @ weights).groupby([clean["dataset"], clean["seed"]]).max()
    return pd.concat([weights, pd.Series({"intercept": -highest.quantile(1 - alarms)})])


def _outcomes(cells: pd.DataFrame, rows: pd.DataFrame, score: str) -> pd.DataFrame:
    """Return the runs with whether their poison is found, and anything else accused."""
    accused = rows[rows[score] > 0]
    held = accused[accused["is_poison"]].groupby(KEYS)["holds"].sum()
    wrong = set(map(tuple, accused.loc[~accused["is_poison"], KEYS].to_numpy().tolist()))
    keys = [tuple(key) for key in cells[KEYS].to_numpy().tolist()]
    return cells.assign(
        found=[held.get(key, 0.0) >= FOUND for key in keys], wrong=[key in wrong for key in keys]
    )


def _one_by_one(cells: pd.DataFrame, rows: pd.DataFrame, alarms: float) -> pd.DataFrame:
    """Return what the refit finds without each of the statistics, in percent."""
    from tsguard.suspicion._likelihood import WEIGHTS

    lines = []
    for without in (None, *WEIGHTS):
        judged, _ = _judge(rows, "of a class", alarms, without)
        clean = judged[judged["attack"] == "none"]
        judged["refit"] -= clean.groupby(["dataset", "seed"])["refit"].max().quantile(1 - alarms)
        rates = _rates(cells, judged, "refit").rename(lambda name: name.strip("*"))
        kept = [
            *(f"found: all of mode {mode}" for mode in ("dirty", "two_targets", "cover")),
            *("anything else accused as well, or instead", "accused without poison"),
        ]
        lines.append({"without": without or "(all are in)", **rates[kept]})
    return pd.DataFrame(lines).round(1)


def _by_dataset(cells: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the shares of runs in which the poison is found, and anything else is accused."""
    outcomes = _outcomes(cells, rows, "in_use")
    attacked, clean = outcomes[outcomes["rate"] > 0], outcomes[outcomes["rate"] == 0]
    table = pd.DataFrame(
        {
            "found": attacked.groupby("dataset")["found"].mean(),
            "accused without poison": clean.groupby("dataset")["wrong"].mean(),
        }
    )
    return (100 * table).round(1).loc[list(DATASETS)].rename_axis("data set").reset_index()


def _rates(cells: pd.DataFrame, rows: pd.DataFrame, score: str) -> pd.Series:
    """Return in what share of the runs something is accused, by attack, in percent."""
    outcomes = _outcomes(cells, rows, score)
    attacked, dirty = outcomes[outcomes["rate"] > 0], outcomes["mode"] == "dirty"
    shares = {}
    for rate in RATES:
        for attack in ATTACKS:
            of = dirty & (outcomes["attack"] == attack) & (outcomes["rate"] == rate)
            shares[f"found: {attack} {rate:.0%}"] = outcomes.loc[of, "found"].mean()
    for mode in ("dirty", *OTHER_MODES):
        of = attacked["mode"] == mode
        shares[f"**found: all of mode {mode}**"] = attacked.loc[of, "found"].mean()
    shares["**anything else accused as well, or instead**"] = attacked["wrong"].mean()
    for kind, name in CLEAN.items():
        shares[name] = outcomes.loc[outcomes["attack"] == kind, "wrong"].mean()
    return 100 * pd.Series(shares)


if __name__ == "__main__":
    main()
