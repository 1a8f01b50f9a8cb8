"""``tsguard demo``: a backdoor planted in a real data set, and what E2ABL does about it."""

import json
from pathlib import Path
from typing import Any

from tsguard._datasets import load_dataset
from tsguard._e2abl import E2ABLClassifier
from tsguard._experiment import Experiment, versions
from tsguard._plots import plot_losses, plot_suspicion
from tsguard._plots_trigger import plot_trigger
from tsguard.attacks import get_trigger

METHODS = ("undefended", "oracle", "e2abl")


def run_demo(
    dataset: str, attack: str, backbone: str, rate: float, seed: int, out: Path, *, verbose: bool
) -> dict[str, Any]:
    """Poison a data set, train three ways, write a report and plots.

    Parameters
    ----------
    dataset, attack, backbone : str
        Names, as :func:`tsguard.load_dataset`, :func:`tsguard.attacks.get_trigger` and
        :class:`tsguard.E2ABLClassifier` know them.
    rate : float
        Share of the training set to poison, 0 to 1.
    seed : int
        Seeds the poisoning, the target class and the training.
    out : Path
        Folder for ``report.json``, ``trigger.png``, ``suspicion.png`` and ``losses.png``; made if
        need be.
    verbose : bool
        Show progress bars on the standard error stream.

    Returns
    -------
    dict
        What ``tsguard demo --json`` prints.
    """
    experiment = Experiment.prepare(
        load_dataset(dataset), get_trigger(attack), rate, seed, backbone=backbone, verbose=verbose
    )
    out.mkdir(parents=True, exist_ok=True)  # before training: a bad path must not cost minutes
    poisoned = experiment.poisoned
    first = int(poisoned.is_poisoned.argmax())
    plot_trigger(poisoned.trigger, experiment.dataset.X_train, sample=first).savefig(
        out / "trigger.png"
    )
    report = experiment.describe(attack)
    seconds = {}
    for method in METHODS:
        classifier, report[method], seconds[method] = experiment.run(method)
    report["seconds"] = {name: round(value, 2) for name, value in seconds.items()}
    assert isinstance(classifier, E2ABLClassifier)
    stored = {**report, "backbone": backbone, "seed": seed, "versions": versions()}
    (out / "report.json").write_text(json.dumps(stored, indent=2) + "\n")
    plot_suspicion(classifier, poisoned.is_poisoned).savefig(out / "suspicion.png")
    plot_losses(classifier, poisoned.is_poisoned).savefig(out / "losses.png")
    return report


def format_table(report: dict[str, Any]) -> str:
    """Return the report of a demo as text for a terminal."""
    lines = [
        f"{report['dataset']}: {report['n_poisoned']} of {report['n_train']} training series "
        f"carry the trigger '{report['attack']}' and the label {report['target']!r}.",
        "",
        f"{'training':<12}{'clean acc.':>12}{'attack success':>16}{'robust acc.':>13}"
        f"{'seconds':>10}",
    ]
    for method in METHODS:
        row = report[method]
        shares = [
            row[name] for name in ("clean_accuracy", "attack_success_rate", "robust_accuracy")
        ]
        cells = "".join(
            f"{_percent(share):>{width}}" for share, width in zip(shares, (12, 16, 13), strict=True)
        )
        lines.append(f"{method:<12}{cells}{report['seconds'][method]:>10.1f}")
    found = report["e2abl"]
    lines += [
        "",
        f"E2ABL suspected class {found['suspected_target']!r}: isolation precision "
        f"{_percent(found['isolation_precision'])}, recall {_percent(found['isolation_recall'])}, "
        f"true class recovered for {_percent(found['recovery_accuracy'])} of the poison it found.",
    ]
    return "\n".join(lines)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"
