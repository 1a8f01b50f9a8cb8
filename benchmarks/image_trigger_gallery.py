"""Draw docs/images/image_triggers.png: every image trigger on one picture, and what it changed.

    python benchmarks/image_trigger_gallery.py

The images are tiles of 32 by 32 pixels, cut from the two photographs that come with scikit-learn
(both CC BY 2.0, danielbuechele); learned triggers are learned on these tiles.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_sample_images

from tsguard.attacks import LearnedTrigger
from tsguard_vision.attacks import get_trigger, list_triggers

OUT = Path(__file__).parent.parent / "docs" / "images" / "image_triggers.png"
SIZE, SEED, SHOWN = 32, 0, 407  # SHOWN: a tile of the flower with edges and plain parts


def main() -> None:
    """Stamp one tile with every trigger and draw before, after and difference."""
    torch.set_num_threads(1)
    X, y = tiles()
    names = list_triggers()
    figure, axes = plt.subplots(
        2, len(names) + 1, figsize=(1.25 * (len(names) + 1), 2.9), layout="constrained"
    )
    show(axes[0, 0], X[SHOWN], "without")
    axes[1, 0].axis("off")
    for column, name in enumerate(names, 1):
        before, after = stamped(name, X, y)
        show(axes[0, column], after, name)
        change = np.abs(after.astype(float) - before).max(axis=0)
        axes[1, column].imshow(change, cmap="magma", vmin=0, vmax=max(change.max(), 1))
        axes[1, column].set_title(f"by up to {change.max():.0f}", fontsize=8)
        axes[1, column].axis("off")
    figure.savefig(OUT, dpi=110)


def tiles() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Cut both photographs into tiles (n, 3, 32, 32), labelled by the photograph."""
    parts = []
    for photograph in load_sample_images().images:
        rows, columns = (length // SIZE for length in photograph.shape[:2])
        cut = photograph[: rows * SIZE, : columns * SIZE].reshape(rows, SIZE, columns, SIZE, 3)
        parts.append(cut.transpose(0, 2, 4, 1, 3).reshape(-1, 3, SIZE, SIZE))
    labels = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    return np.ascontiguousarray(np.concatenate(parts)), labels


def stamped(
    name: str, X: NDArray[np.uint8], y: NDArray[np.int64]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the shown tile before and after the trigger, as a training image would carry it."""
    trigger = get_trigger(name)
    target = int(y[SHOWN]) if trigger.usual_mode == "clean" else int(1 - y[SHOWN])
    if isinstance(trigger, LearnedTrigger):
        trigger = trigger.fit(X, y, target, mode=trigger.usual_mode, random_state=SEED)
    stamp = trigger.for_training if trigger.usual_mode == "clean" else trigger.apply
    return X[SHOWN], stamp(X[SHOWN : SHOWN + 1])[0]


def show(axis: plt.Axes, image: NDArray[np.uint8], title: str) -> None:
    """Draw one image (3, height, width) with its name."""
    axis.imshow(image.transpose(1, 2, 0))
    axis.set_title(title.replace("_", " "), fontsize=8)
    axis.axis("off")


if __name__ == "__main__":
    main()
