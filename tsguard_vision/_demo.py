"""``python -m tsguard_vision demo``: a backdoor in real images, and what E2ABL does about it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tsguard._demo import METHODS
from tsguard._demo import format_table as _series_table
from tsguard._experiment import versions
from tsguard._plots import plot_losses, plot_suspicion
from tsguard_vision._classifiers import E2ABLImageClassifier
from tsguard_vision._datasets import load_dataset
from tsguard_vision._experiment import ImageExperiment
from tsguard_vision._images import Images, to_unit
from tsguard_vision.attacks import ImageTrigger, get_trigger

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def run_demo(
    dataset: str,
    attack: str,
    backbone: str,
    rate: float,
    seed: int,
    out: Path,
    *,
    n_epochs: int = 15,
    verbose: bool,
) -> dict[str, Any]:
    """Poison a set of images, train three ways, write a report and plots.

    Parameters
    ----------
    dataset, attack, backbone : str
        Names, as :func:`tsguard_vision.load_dataset`, :func:`tsguard_vision.attacks.get_trigger`
        and :class:`tsguard_vision.E2ABLImageClassifier` know them.
    rate : float
        Share of the training set to poison, 0 to 1.
    seed : int
        Seeds the poisoning, the target class and the training.
    out : Path
        Folder for ``report.json``, ``trigger.png``, ``suspicion.png`` and ``losses.png``; made if
        need be.
    n_epochs : int, default=15
    verbose : bool
        Show progress bars on the standard error stream.

    Returns
    -------
    dict
        What ``python -m tsguard_vision demo --json`` prints.
    """
    trigger = get_trigger(attack)
    assert isinstance(trigger, ImageTrigger)
    experiment = ImageExperiment.prepare(
        load_dataset(dataset),
        trigger,
        rate,
        seed,
        mode=trigger.usual_mode,
        backbone=backbone,
        n_epochs=n_epochs,
        verbose=verbose,
    )
    out.mkdir(parents=True, exist_ok=True)  # before training: a bad path must not cost minutes
    poisoned = experiment.poisoned
    rows = np.flatnonzero(poisoned.is_poisoned)[:6]
    before, after = experiment.dataset.X_train[rows], poisoned.X[rows]
    plot_images(before, after).savefig(out / "trigger.png")
    report = experiment.describe(attack)
    seconds = {}
    for method in METHODS:
        classifier, report[method], seconds[method] = experiment.run(method)
    report["seconds"] = {name: round(value, 2) for name, value in seconds.items()}
    assert isinstance(classifier, E2ABLImageClassifier)
    stored = {**report, "backbone": backbone, "seed": seed, "versions": versions()}
    (out / "report.json").write_text(json.dumps(stored, indent=2) + "\n")
    plot_suspicion(classifier, poisoned.is_poisoned).savefig(out / "suspicion.png")
    plot_losses(classifier, poisoned.is_poisoned).savefig(out / "losses.png")
    return report


def format_table(report: dict[str, Any]) -> str:
    """Return the report of a demo as text for a terminal."""
    return _series_table(report).replace("training series", "training images")


def plot_images(before: Images, after: Images) -> "Figure":
    """Draw a few images, the same with the trigger, and the change, five times as strong."""
    from matplotlib.figure import Figure

    clean, stamped = to_unit(before), to_unit(after)
    figure = Figure(figsize=(1.2 * len(clean), 3.8), layout="constrained")
    grid = figure.subplots(3, len(clean), squeeze=False)
    rows = {"before": clean, "after": stamped, "change, 5 times": 0.5 + 5 * (stamped - clean)}
    for axes, (title, images) in zip(grid, rows.items(), strict=True):
        axes[0].set_title(title, loc="left", fontsize=9)
        for axis, image in zip(axes, images, strict=True):
            colours = np.clip(np.moveaxis(image, 0, -1), 0, 1)
            colours = colours if colours.shape[2] == 3 else colours.mean(axis=2)
            axis.imshow(colours, cmap="gray", vmin=0, vmax=1)
            axis.set_axis_off()
    return figure
