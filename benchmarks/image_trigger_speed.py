"""How fast triggers for images are, against one image at a time as the known toolboxes do it.

    python benchmarks/image_trigger_speed.py                      # printed
    python benchmarks/image_trigger_speed.py --out docs/results   # and written as .json and .md

A number is the best of ``--repeats`` runs, in thousands of images per second. *Loop* goes through
the images one by one: for BadNets, Blend and SIG a PIL image is turned into an array, changed with
plain NumPy and turned back, which is how the toolboxes' data loaders do it; for the others
``trigger.apply`` is called on single images.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tsguard._random import numpy_stream
from tsguard.attacks import LearnedTrigger
from tsguard_vision.attacks import ImageTrigger, get_trigger, list_triggers

QUICK = {"surrogate_epochs": 1, "n_steps": 2, "n_attack_steps": 1}
Images = NDArray[np.uint8]


def main() -> None:
    """Parse the command line, measure, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--triggers", nargs="+", default=list_triggers())
    parser.add_argument("--images", type=int, default=5_000, help="images of 3 by 32 by 32")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, help="folder for image_trigger_speed.json and .md")
    options = parser.parse_args()
    X = numpy_stream(0, "images").integers(0, 256, (options.images, 3, 32, 32), dtype=np.uint8)
    rows = {"copy": {"batch": speed(X, X.copy, options.repeats)}}
    for name in options.triggers:
        trigger = prepared(name, X[:200])
        few = X[: max(20, len(X) // 100)]
        trigger.apply(X[:2])  # compiles
        loop = one_by_one(trigger, few)
        rows[name] = {
            "batch": speed(X, lambda one=trigger: one.apply(X), options.repeats),
            "loop": speed(few, loop, min(3, options.repeats)),
        }
        print(name, {key: round(value, 2) for key, value in rows[name].items()}, flush=True)
    machine = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"
    report = {"machine": machine, "threads": torch.get_num_threads(), "rows": rows}
    print("\n" + markdown(report, options.images))
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        file = options.out / "image_trigger_speed.json"
        file.write_text(json.dumps(report, indent=2) + "\n")
        file.with_suffix(".md").write_text(markdown(report, options.images) + "\n")


def prepared(name: str, X: Images) -> ImageTrigger:
    """Return a trigger; how well it is learned does not change its speed."""
    trigger = get_trigger(name)
    few = {key: value for key, value in QUICK.items() if hasattr(trigger, key)}
    trigger = get_trigger(name, **few)
    assert isinstance(trigger, ImageTrigger)
    if isinstance(trigger, LearnedTrigger):
        return trigger.fit(X, np.arange(len(X)) % 10, 0, random_state=0)
    return trigger


def speed(X: Images, function: Callable[[], object], repeats: int) -> float:
    """Return thousands of images per second, in the best of several runs."""
    best = np.inf
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        best = min(best, time.perf_counter() - start)
    return len(X) / best / 1000


def one_by_one(trigger: ImageTrigger, X: Images) -> Callable[[], object]:
    """Return what stamps one image at a time."""
    pattern = per_image(trigger)
    if pattern is None:
        return lambda: [trigger.apply(one[None]) for one in X]
    from PIL import Image

    pictures = [Image.fromarray(one.transpose(1, 2, 0)) for one in X]
    return lambda: [Image.fromarray(pattern(np.array(one))) for one in pictures]


def per_image(trigger: ImageTrigger) -> Callable[[NDArray[np.uint8]], NDArray[np.uint8]] | None:
    """Return a plain function of one image (32, 32, 3) for the triggers that are one line."""
    picture = numpy_stream(0, "picture").random((32, 32, 3)) * 255
    wave = 20 * np.sin(2 * np.pi * 6 * (np.arange(32) + 0.5) / 32)[None, :, None]

    def patch(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        image[-3:, -3:] = 255 * (np.indices((3, 3)).sum(axis=0)[:, :, None] % 2 == 0)
        return image

    functions: dict[str, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
        "badnets": patch,
        "blended": lambda image: (0.8 * image + 0.2 * picture).astype(np.uint8),
        "sig": lambda image: np.clip(image + wave, 0, 255).astype(np.uint8),
    }
    return functions.get(trigger.kind)


def markdown(report: dict[str, object], n_images: int) -> str:
    """Return the report as Markdown."""
    rows = report["rows"]
    assert isinstance(rows, dict)
    lines = [
        "# Speed of the triggers for images",
        "",
        "Written by `python benchmarks/image_trigger_speed.py --out docs/results`; do not edit.",
        f"{n_images} images of 3 by 32 by 32, {report['machine']}, {report['threads']} threads of "
        "torch.",
        "Thousands of images per second.",
        "",
        "| trigger | batch | one by one | gain |",
        "| --- | --- | --- | --- |",
    ]
    for name, row in rows.items():
        loop = row.get("loop")
        rest = f"{loop:.2f} | {row['batch'] / loop:.0f}" if loop else "- | -"
        lines.append(f"| {name} | {row['batch']:.1f} | {rest} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
