"""The sections of a report: what is averaged over what, and how it is put."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from tsguard._experiment import REFERENCES
from tsguard._report._frame import CONDITION, attacked, complete, defenses_of, where_it_takes

DASH = "-"
SCORES = {
    "clean_accuracy": "CA",
    "attack_success_rate": "ASR",
    "robust_accuracy": "robust accuracy",
}
ISOLATION = {
    "isolation_precision": "precision",
    "isolation_recall": "recall",
    "recovery_accuracy": "recovered",
}


@dataclass(frozen=True)
class Section:
    """A heading, a few words, and a table or a figure.

    Attributes
    ----------
    title, text : str
    table : DataFrame or None
        Of strings, ready to be shown; the first column names the line.
    figure : str or None
        File name of a figure.
    level : int
        2 or 3, as of headings.
    """

    title: str
    text: str = ""
    table: pd.DataFrame | None = None
    figure: str | None = None
    level: int = 3


def mean_spread(values: pd.Series) -> str:
    """Return mean ± standard deviation of shares, in percent; values that are undefined left out.

    The deviation is that of a sample (n - 1); a single value has none.
    """
    known = 100 * values.dropna().astype(float)
    if known.empty:
        return DASH
    return f"{known.mean():.1f} ± {known.std():.1f}" if len(known) > 1 else f"{known.mean():.1f}"


def setup_sections(cells: pd.DataFrame, figures: dict[str, str]) -> Iterator[Section]:
    """Yield the sections of one setup.

    Parameters
    ----------
    cells : DataFrame
        Of one setup.
    figures : dict
        Purpose ("scatter", "ranks CA", "ranks ASR") → file name, of those that there are.
    """
    setup = str(cells["setup"].iloc[0])
    poisoned = attacked(cells)
    yield Section(f"Backbone {setup}", _extent(cells), level=2)
    if not poisoned.empty:
        compared = complete(poisoned)
        yield from _overview(poisoned, compared, figures)
        for (mode, rate), part in poisoned.groupby(["mode", "rate"]):
            yield from _by_attack(part, f"mode {mode}, {100 * float(rate):g} % poisoned")
        yield from _by_dataset(compared)
    clean = cells[cells["rate"] == 0]
    if not clean.empty:
        yield Section("Without poison", HARM, without_poison(clean))
    yield Section("Cost", COST, cost(cells))


HARM = (
    "What a defense does to data with nothing in it. Difference: clean accuracy minus that of "
    "undefended training on the same data set with the same seed, in points. Suspected and "
    "relabelled: shares of the training set, in %."
)
COST = (
    "Seconds of fit relative to undefended training on the same poisoned set and the same kind of "
    "machine: median and middle half. Memory: median over cells of the peak of the whole process."
)


def _extent(cells: pd.DataFrame) -> str:
    poisoned = attacked(cells)
    counts = {
        "data sets": cells["dataset"].nunique(),
        "seeds": cells["seed"].nunique(),
        "defenses": cells["defense"].nunique(),
        "attacks": poisoned["attack"].nunique(),
        "modes": poisoned["mode"].nunique(),
        "rates": poisoned["rate"].nunique(),
    }
    listed = ", ".join(f"{name} {count}" for name, count in counts.items())
    return f"Cells {len(cells)}; {listed}."


def _overview(
    poisoned: pd.DataFrame, compared: pd.DataFrame, figures: dict[str, str]
) -> Iterator[Section]:
    n_conditions = len(poisoned.drop_duplicates(CONDITION))
    n_compared = len(compared.drop_duplicates(CONDITION))
    text = (
        f"{n_compared} of {n_conditions} conditions (data set, attack, mode, rate, seed) have a "
        "result of every defense; only those are compared in this part."
    )
    taking = where_it_takes(compared)
    n_taking = len(taking.drop_duplicates(CONDITION))
    if taking.empty:
        yield Section("Overview", text + " In none of them the attack takes.")
        return
    text += (
        f" Means ± standard deviation over the {n_taking} of them in which the attack takes "
        "(undefended ASR of at least 50 %), in %."
    )
    yield Section("Overview", text, overview(taking))
    if "scatter" in figures:
        yield Section("Clean accuracy against attack success", "", figure=figures["scatter"])
    for score in ("clean_accuracy", "attack_success_rate"):
        name = SCORES[score]
        title = f"Ranks by {name} ({'low' if score == 'attack_success_rate' else 'high'} is good)"
        yield Section(title, RANKS, ranks(taking, score), figure=figures.get(f"ranks {name}"))


RANKS = (
    "Mean rank over the data sets, 1 being the best; scores are averaged within a data set first. "
    "In the diagram, defenses under one bar do not differ significantly (pairwise Wilcoxon tests, "
    "Holm's correction, level 0.1)."
)


def overview(cells: pd.DataFrame) -> pd.DataFrame:
    """Return one line per defense: scores and quality of the isolation."""
    scores = {
        score: name
        for score, name in (SCORES | ISOLATION).items()
        if score in cells and cells[score].notna().any()
    }
    lines = []
    for defense in defenses_of(cells):
        part = cells[cells["defense"] == defense]
        line = {"defense": defense, "cells": str(len(part))}
        lines.append(line | {name: mean_spread(part[score]) for score, name in scores.items()})
    return pd.DataFrame(lines)


def _by_attack(part: pd.DataFrame, what: str) -> Iterator[Section]:
    text = "Mean ± standard deviation over data sets and seeds, in %."
    competing = part[~part["defense"].isin(REFERENCES)]
    is_contest = competing["defense"].nunique() > 1
    if is_contest:
        text += " Last line: the best defense, references aside."
    incomplete = len(part) > len(complete(part))
    if incomplete:
        text += " Some cells are missing, so that not all means are over the same data."
    for score in ("clean_accuracy", "attack_success_rate"):
        table = crossed(part, "defense", "attack", score)
        if is_contest:
            table = pd.concat([table, best(competing, "attack", score)])
        yield Section(f"{SCORES[score]} by attack, {what}", text, table)


def _by_dataset(compared: pd.DataFrame) -> Iterator[Section]:
    if compared["dataset"].nunique() < 2:
        return
    for score in ("clean_accuracy", "attack_success_rate"):
        table = crossed(compared, "dataset", "defense", score)
        text = "Mean ± standard deviation over everything else, in %."
        yield Section(f"{SCORES[score]} by data set", text, table)


def crossed(cells: pd.DataFrame, down: str, across: str, score: str) -> pd.DataFrame:
    """Return mean ± spread of a score by two columns, and over all of the second one."""
    lines = []
    for name in _names(cells, down):
        part = cells[cells[down] == name]
        line = {down: str(name)}
        for other in _names(cells, across):
            line[str(other)] = mean_spread(part.loc[part[across] == other, score])
        if across == "attack" and cells[across].nunique() > 1:
            line["all"] = mean_spread(part[score])
        lines.append(line)
    return pd.DataFrame(lines)


def best(cells: pd.DataFrame, across: str, score: str) -> pd.DataFrame:
    """Return a line with the best defense of every column, all of them if they tie at 0.1 %."""
    means = cells.assign(score=1000 * cells[score].astype(float)).pivot_table(
        index="defense", columns=across, values="score"
    )
    if means.shape[1] > 1:
        means["all"] = cells.groupby("defense")[score].mean().astype(float) * 1000
    rounded = means.round()
    winners = rounded == (rounded.min() if score == "attack_success_rate" else rounded.max())
    line = {str(name): ", ".join(means.index[winners[name]]) for name in means}
    return pd.DataFrame([{"defense": "best", **line}])


def _names(cells: pd.DataFrame, column: str) -> list[str]:
    return defenses_of(cells) if column == "defense" else sorted(cells[column].unique())


def score_matrix(cells: pd.DataFrame, score: str) -> pd.DataFrame:
    """Return the mean score (n_datasets, n_defenses); sets without one for all are left out."""
    table = cells.assign(score=cells[score].astype(float)).pivot_table(
        index="dataset", columns="defense", values="score"
    )
    return table.reindex(columns=defenses_of(cells)).dropna()


def ranks(cells: pd.DataFrame, score: str) -> pd.DataFrame:
    """Return the mean ranks over data sets, the best first; ties share their ranks."""
    matrix = score_matrix(cells, score)
    places = matrix.rank(axis=1, ascending=score == "attack_success_rate")
    means = places.mean().sort_values(kind="stable")
    best = (places == 1).sum()
    return pd.DataFrame(
        {
            "defense": means.index,
            "mean rank": [f"{value:.2f}" for value in means],
            "best alone": [str(best[name]) for name in means.index],
            "data sets": str(len(matrix)),
        }
    )


def without_poison(clean: pd.DataFrame) -> pd.DataFrame:
    """Return what defenses do to data without poison."""
    keys = ["dataset", "seed"]
    reference = clean[clean["defense"] == "undefended"].set_index(keys)["clean_accuracy"]
    lines = []
    for defense in defenses_of(clean):
        part = clean[clean["defense"] == defense]
        change = part.set_index(keys)["clean_accuracy"] - reference
        line = {
            "defense": defense,
            "cells": str(len(part)),
            "CA": mean_spread(part["clean_accuracy"]),
            "difference": mean_spread(change) if defense != "undefended" else DASH,
        }
        for name in ("suspected", "relabelled"):
            line[name] = mean_spread(part[name]) if name in part else DASH
        lines.append(line)
    return pd.DataFrame(lines)


def cost(cells: pd.DataFrame) -> pd.DataFrame:
    """Return how long fits took, relative to undefended training, and how much memory."""
    keys = [*CONDITION, "device"]
    standard = cells[cells["defense"] == "undefended"].groupby(keys)["seconds"].mean()
    lines = []
    for defense in defenses_of(cells):
        part = cells[cells["defense"] == defense]
        ratio = (part.groupby(keys)["seconds"].mean() / standard).dropna()
        low, middle, high = ratio.quantile([0.25, 0.5, 0.75]) if len(ratio) else [None] * 3
        memory = part["peak_memory_mb"].astype(float).median()
        lines.append(
            {
                "defense": defense,
                "cells": str(len(part)),
                "relative": DASH if middle is None else f"{middle:.2f}",
                "middle half": DASH if low is None else f"{low:.2f} to {high:.2f}",
                "mean seconds": f"{part['seconds'].mean():.1f}",
                "memory (MB)": DASH if pd.isna(memory) else f"{memory:.0f}",
            }
        )
    return pd.DataFrame(lines)
