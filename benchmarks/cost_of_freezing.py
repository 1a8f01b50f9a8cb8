"""What it costs an attacker not to train the victim: learned networks, frozen or not.

    python benchmarks/cost_of_freezing.py --data ../shared/data

Generator and input-aware triggers are published as attacks that train trigger and victim together.
Here the network is trained with a surrogate and then frozen. The surrogate itself is the victim
that such a paper would report on; a fresh model, trained on the poisoned data alone, is ours.
Writes ``docs/results/cost_of_freezing.json`` and ``.md``.
"""

import argparse
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
from _results import markdown, versions_text
from attack_success import DATASETS, load

RESULTS = Path(__file__).parent.parent / "docs" / "results" / "cost_of_freezing.json"


def main() -> None:
    """Measure all sets and write the table."""
    import torch

    from tsguard._experiment import versions

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=None, help="folder of the archive's files")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = [
        measure(options.data, dataset, attack, seed)
        for seed in options.seeds
        for attack in ("generator", "input_aware")
        for dataset in DATASETS
    ]
    results = {
        "rows": rows,
        "versions": versions(),
        "device": f"cpu, 1 thread of {os.cpu_count()}",
        "seeds": options.seeds,
    }
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    write_table(results)


def measure(data: Path | None, dataset: str, attack: str, seed: int) -> dict[str, object]:
    """Return the success on the surrogate and on a fresh victim, in percent."""
    import torch

    from tsguard._engine import predict_logits
    from tsguard._evaluate import evaluate
    from tsguard._experiment import draw_target
    from tsguard.attacks import _networks, get_trigger, poison
    from tsguard.defenses import StandardClassifier

    loaded = load(data, dataset, seed)
    target = draw_target(loaded, seed)
    partners = []
    train_pair = _networks.train_pair

    def keep_partner(pair: _networks.Pair, *arguments: object, **options: object) -> None:
        train_pair(pair, *arguments, **options)
        partners.append(pair.surrogate)

    _networks.train_pair = keep_partner  # the library throws the surrogate away
    try:
        trigger = get_trigger(attack).fit(loaded.X_train, loaded.y_train, target, random_state=seed)
    finally:
        _networks.train_pair = train_pair
    others = loaded.y_test != target
    stamped = torch.from_numpy(trigger.apply(loaded.X_test[others]))
    answers = predict_logits(partners[0], stamped, torch.device("cpu")).argmax(axis=1)
    own = np.mean(loaded.classes[answers] == target)
    p = poison(loaded.X_train, loaded.y_train, trigger, rate=0.1, target=target, random_state=seed)
    victim = StandardClassifier("fcn", random_state=seed).fit(p.X, p.y)
    scores = evaluate(victim, loaded.X_test, loaded.y_test, trigger=trigger, target=target)
    return {
        "attack": attack,
        "dataset": dataset,
        "seed": seed,
        "trained together": 100 * float(own),
        "frozen": 100 * scores.attack_success_rate,
    }


TEXT = """# What freezing a learned trigger costs

Written by `python benchmarks/cost_of_freezing.py` from `cost_of_freezing.json`; do not edit.
{device}; seeds {seeds}; {versions}.

ASR in %, FCN. *Trained together*: on the surrogate that was trained along with the trigger's
network, as in the published attacks, in which the attacker controls the training. *Frozen*: on a
fresh model trained on data that the finished trigger poisoned at 10 %, which is all that an attack
through a data set can do. The joint training is our own recipe of 250 updates; the papers train
victim and trigger together for far longer, which may reach more.

{table}
"""


def write_table(results: dict[str, object]) -> None:
    """Write the results as Markdown, with a mean per attack."""
    rows = pd.DataFrame(results["rows"])
    means = rows.groupby("attack")[["trained together", "frozen"]].mean().reset_index()
    means.insert(1, "dataset", "**mean**")
    means.insert(2, "seed", "all")
    table = pd.concat([rows, means]).sort_values("attack", kind="stable").round(1)
    versions = versions_text(results["versions"])
    seeds = ", ".join(map(str, results["seeds"]))
    RESULTS.with_suffix(".md").write_text(
        TEXT.format(device=results["device"], seeds=seeds, versions=versions, table=markdown(table))
    )


if __name__ == "__main__":
    main()
