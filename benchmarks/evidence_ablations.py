"""What each kind of evidence buys: one left out at a time, on tuning sets, nothing trained.

    python benchmarks/evidence_ablations.py run --data ../shared/data --jobs 2
    python benchmarks/evidence_ablations.py table

Each line of ``docs/results/evidence_ablations.jsonl`` is one poisoned (or clean) set with what
every variant accuses there; ``run`` skips what is there, ``table`` writes
``docs/results/evidence_ablations.md``. In-sample: these sets were used for tuning. What the main
head says of suspects while it trains comes on top, see ``ablations.py``.
"""

import argparse
import copy
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
from _results import Row, markdown, read, run_missing, two_commands, versions_text
from fit_decision import DATASETS, FOUND, prepare

RESULTS = Path(__file__).parent.parent / "docs" / "results" / "evidence_ablations.jsonl"
N_TRAIN = 200
CONDITIONS = (
    *(("dirty", attack, 0.1) for attack in ("patch", "pulse", "sine", "warp")),
    ("two_targets", "patch", 0.1),
    ("two_targets", "sine", 0.1),
    ("all_to_all", "patch", 0.1),
)
SEEDS, CLEAN_SEEDS = (0,), (0, 1)
#: Places of the views that are left out together; see ``series_views``.
SIGNATURE = {
    "convolutions": (0,),
    "values": (1,),
    "steps": (2,),
    "spectrum": (3,),
    "largest steps": (4,),
}
CONTENT = {
    "series and their low frequencies": (0, 6, 7, 8),
    "high frequencies": (1,),
    "thirds": (2, 3, 4),
    "spectrum": (5,),
    "convolutions": (9, 10, 11, 12),
}
_SEARCH, _SIGNATURE = "tsguard.suspicion._search", "tsguard.suspicion._signature"
#: What the search does, switched off: name, and what stands there instead.
STEPS: dict[str, dict[str, Any]] = {
    "groups take all that fit at once": {f"{_SIGNATURE}.GROWTH_SHARES": (0.3,) * 8},
    "content helps no weak signature": {
        f"{_SIGNATURE}.HELPED_SIGNATURE": 3.0,
        "tsguard.suspicion._grow.HELPED_SIGNATURE": 3.0,
    },
    "mixed groups stay whole": {f"{_SEARCH}.two_patterns": lambda *_: None},
    "no stragglers": {f"{_SEARCH}.add_stragglers": lambda group, *_: group},
    "not asked under other labels": {f"{_SEARCH}._Search._spread": lambda *_: []},
    "nothing is looked for by its size": {f"{_SEARCH}._Search._by_size": lambda _: []},
    "where members come from says nothing": {
        "tsguard.suspicion._likelihood.agreement_on_origins": lambda *_: 0.0,
        f"{_SEARCH}._less_what_is_usual": lambda _, found: found,
    },
    "... is not compared with other classes": {
        f"{_SEARCH}._less_what_is_usual": lambda _, found: found
    },
    "no group is kin to another class's": {f"{_SEARCH}._with_kin": lambda _, found: found},
    "a found pattern leads nowhere": {
        f"{_SEARCH}._Search.groups_like": lambda *_: [],
        f"{_SEARCH}.RELATED": 0.0,
        "tsguard.suspicion._candidates.RELATED": 0.0,
    },
    "nobody is asked once more": {
        "tsguard.suspicion._evidence.accuse_denied": lambda candidates, *_: candidates
    },
}
KEYS = ["dataset", "mode", "attack", "rate", "seed"]


def main() -> None:
    """Parse the command line and run the command."""
    parser, *_ = two_commands(__doc__, run_grid, write_table)
    options = parser.parse_args()
    options.command(options)


def run_grid(options: argparse.Namespace) -> None:
    """Run the cells that are missing."""
    cells = [(name, *one, seed) for seed in SEEDS for one in CONDITIONS for name in DATASETS]
    cells += [(name, "dirty", "none", 0.0, seed) for seed in CLEAN_SEEDS for name in DATASETS]
    run_missing(RESULTS, KEYS, cells, run_cell, (options.data,), options.jobs)


def run_cell(
    data: Path | None, dataset: str, mode: str, attack: str, rate: float, seed: int
) -> Row:
    """Return whom each variant accuses in one set: poisoned series, and innocent ones."""
    from tsguard._experiment import versions
    from tsguard._random import numpy_stream
    from tsguard.suspicion import series_views

    X, codes, hit = prepare(data, dataset, mode, attack, rate, seed, N_TRAIN)
    rng = numpy_stream(seed, "evidence")
    accused = _accused(series_views(X, rng), codes, rng)
    counts = {name: [int(mask[hit].sum()), int(mask[~hit].sum())] for name, mask in accused}
    return {
        **dict(zip(KEYS, (dataset, mode, attack, rate, seed), strict=True)),
        "n_train": len(hit),
        "n_poisoned": int(hit.sum()),
        "accused": counts,
        "versions": versions(),
    }


def _accused(
    views: Any, codes: np.ndarray, rng: np.random.Generator
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the name of each variant and who is accused with it, (n_samples,)."""
    from tsguard.suspicion import decide, find_evidence

    def ask(seen: Any) -> np.ndarray:
        evidence = find_evidence(seen, codes, codes.max() + 1, copy.deepcopy(rng))
        return decide(evidence, codes).suspect

    yield "all of it", ask(views)
    for what, groups in (("signature", SIGNATURE), ("content", CONTENT)):
        for name, places in groups.items():
            kept = [one for i, one in enumerate(getattr(views, what)) if i not in places]
            yield f"{what} without {name}", ask(replace(views, **{what: kept}))
    for name, changes in STEPS.items():
        with ExitStack() as stack:
            for place, value in changes.items():
                stack.enter_context(patch(place, value))
            yield name, ask(views)


def write_table(options: argparse.Namespace) -> None:
    """Write the results file as Markdown."""
    cells = pd.DataFrame(read(RESULTS))
    lines = []
    for name in cells["accused"].iloc[0]:
        right, wrong = np.array([accused[name] for accused in cells["accused"]]).T
        attacked = cells["rate"].to_numpy() > 0
        found = right[attacked] >= FOUND * cells["n_poisoned"][attacked]
        shares = found.groupby(cells["mode"] + " " + cells["attack"], sort=False).mean()
        lines.append(
            {
                "variant": name,
                **{f"found: {kind}": 100 * share for kind, share in shares.items()},
                "found: all": 100 * found.mean(),
                "innocents accused": wrong[attacked].sum(),
                "accused without poison": 100 * (wrong[~attacked] > 0).mean(),
            }
        )
    parts = [
        "# What each kind of evidence buys",
        "Written by `python benchmarks/evidence_ablations.py table` from "
        "`evidence_ablations.jsonl`, which `python benchmarks/evidence_ablations.py run` fills; do "
        f"not edit. {len(cells)} runs on {cells['dataset'].nunique()} **tuning sets** (in-sample) "
        f"of at most {N_TRAIN} series, 10 % poison. *Found*: at least half of the poison is "
        "accused, in % of the runs; innocents in all poisoned runs together; *without poison*: % "
        "of the unpoisoned runs with anybody accused. The decision's weights are those for all of "
        f"the evidence. {versions_text(cells['versions'].iloc[-1])}.",
        markdown(pd.DataFrame(lines).round(1)),
    ]
    RESULTS.with_suffix(".md").write_text("\n\n".join(parts) + "\n")


if __name__ == "__main__":
    main()
