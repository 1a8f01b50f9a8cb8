"""The demo for images: what ``tsguard demo --dataset digits`` runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tsguard._demo import show
from tsguard_vision._datasets import load_dataset
from tsguard_vision._experiment import ImageExperiment
from tsguard_vision._images import Images, to_unit
from tsguard_vision.attacks import ImageTrigger, get_trigger

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def run_demo(
    dataset: str,
    attack: str = "badnets",
    backbone: str = "wideresnet16_1",
    *,
    rate: float,
    seed: int,
    out: Path,
    n_epochs: int = 15,
    verbose: bool,
) -> dict[str, Any]:
    """Poison a set of images, train three ways, write a report and plots.

    Parameters
    ----------
    dataset, attack, backbone : str
        Names, as :func:`tsguard_vision.load_dataset`, :func:`tsguard_vision.attacks.get_trigger`
        and :class:`tsguard_vision.E2ABLImageClassifier` know them.
    rate, seed, out, verbose
        As in tsguard's own demo.
    n_epochs : int, default=15

    Returns
    -------
    dict
        What ``tsguard demo --json`` prints.
    """
    trigger = get_trigger(attack)
    assert isinstance(trigger, ImageTrigger)
    mode = trigger.usual_mode
    settings: dict[str, Any] = {"backbone": backbone, "n_epochs": n_epochs, "verbose": verbose}
    experiment = ImageExperiment.prepare(
        load_dataset(dataset), trigger, rate, seed, mode=mode, **settings
    )
    poisoned = experiment.poisoned
    rows = np.flatnonzero(poisoned.is_poisoned)[:6]
    before, after = experiment.dataset.X_train[rows], poisoned.X[rows]
    return show(experiment, attack, out, lambda: plot_images(before, after))


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
