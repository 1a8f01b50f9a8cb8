"""``tsguard demo``: a backdoor planted in a real data set, and what E2ABL does about it."""

import json
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tsguard._atomic import files_in_one_go
from tsguard._datasets import load_dataset
from tsguard._e2abl import E2ABLClassifier
from tsguard._experiment import Experiment, versions
from tsguard._plots import plot_losses, plot_suspicion
from tsguard._plots_trigger import plot_trigger
from tsguard.attacks import get_trigger

if TYPE_CHECKING:
    from matplotlib.figure import Figure

METHODS = ("undefended", "oracle", "e2abl")
ENTRY_POINTS = "tsguard.demos"
"""Group in which an installed package offers demos of its own, one name per data set."""


def find_demo(dataset: str) -> Callable[..., dict[str, Any]]:
    """Return what runs the demo of a data set: :func:`run_demo`, or that of an installed package.

    Only packages that were installed with such an entry point are ever imported.
    """
    for entry in entry_points(group=ENTRY_POINTS, name=dataset):
        found: Callable[..., dict[str, Any]] = entry.load()
        return found
    return run_demo


def run_demo(
    dataset: str,
    attack: str = "patch",
    backbone: str = "inceptiontime",
    *,
    rate: float,
    seed: int,
    out: Path,
    verbose: bool,
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
    poisoned = experiment.poisoned
    first = int(poisoned.is_poisoned.argmax())
    return show(
        experiment,
        attack,
        out,
        lambda: plot_trigger(poisoned.trigger, experiment.dataset.X_train, sample=first),
    )


def show(
    experiment: Experiment, attack: str, out: Path, draw_trigger: Callable[[], "Figure"]
) -> dict[str, Any]:
    """Train three ways, write a report and plots; the part of a demo that is the same for all data.

    Parameters
    ----------
    experiment : Experiment
    attack : str
    out : Path
        Folder, as for :func:`run_demo`.
    draw_trigger : callable
        Returns the picture of the trigger.

    Returns
    -------
    dict
        As :func:`run_demo`.
    """
    with files_in_one_go(out.absolute()) as part:  # made first: a bad path must not cost minutes
        draw_trigger().savefig(part / "trigger.png")
        report = experiment.describe(attack)
        seconds = {}
        for method in METHODS:
            classifier, report[method], seconds[method] = experiment.run(method)
        report["seconds"] = {name: round(value, 2) for name, value in seconds.items()}
        assert isinstance(classifier, E2ABLClassifier)
        settings = experiment.settings
        stored = {
            **report,
            "backbone": settings["backbone"],
            "seed": settings["random_state"],
            "versions": versions(),
        }
        (part / "report.json").write_text(json.dumps(stored, indent=2) + "\n")
        is_poisoned = experiment.poisoned.is_poisoned
        plot_suspicion(classifier, is_poisoned).savefig(part / "suspicion.png")
        plot_losses(classifier, is_poisoned).savefig(part / "losses.png")
    return report


def format_table(report: dict[str, Any]) -> str:
    """Return the report of a demo as text for a terminal."""
    lines = [
        f"{report['dataset']}: {report['n_poisoned']} of {report['n_train']} training samples "
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
