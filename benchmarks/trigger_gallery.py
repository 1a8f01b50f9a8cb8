"""Write docs/attacks.md and its pictures: every trigger, on a series of a set that comes with aeon.

    python benchmarks/trigger_gallery.py

The words are the triggers' docstrings; ``tests/test_docs.py`` says when they have moved on.
"""

import platform
from importlib.metadata import version
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from tsguard import load_dataset, plot_trigger
from tsguard._evaluate import trigger_size
from tsguard.attacks import LearnedTrigger, Trigger, get_trigger, list_triggers
from tsguard.attacks._notes import notes_of

DOCS = Path(__file__).parent.parent / "docs"
SET, SAMPLE, SEED = "GunPoint", 4, 0

OPENING = """\
# Attacks

A *trigger* is a small change made to a series; a *poison mode* says which training series get it,
and what happens to their labels. Every trigger here has a name, works with every mode, and is
tried in the same way by `tsguard demo --attack NAME`, `tsguard.poison` and the benchmarks:

```py
from tsguard import attacks, poison

poisoned = poison(X, y, attacks.HumTrigger(amplitude=0.05), rate=0.1, target="b", random_state=0)
poisoned.X, poisoned.y  # for the classifier; poisoned.is_poisoned is the truth
```

To write one: [add-your-own-attack.md](add-your-own-attack.md).

## Poison modes

| mode | which series get the trigger | their labels | in Python |
| --- | --- | --- | --- |
| dirty | of other classes than the target | become the target | `poison(..., target="b")` |
| clean | of the target class | stay, and are right | `poison(..., target="b", mode="clean")` |
| all to all | of any class | become the next class | `poison(..., mode="all_to_all")` |
| several targets | of classes dealt to another | the classes are dealt to the targets in turn | \
`poison(..., target=["a", "b"])` |
| cover samples | further series, with any of these modes | stay, and are right | \
`poison(..., cover_rate=0.01)` |

`rate` and `cover_rate` are shares of all series. *Clean* labels contradict nothing, so no look at
the labels finds them; the price is that the trigger must compete with the true signs of the
class. *All to all* has no target class that could stand out. *Cover samples* (adaptive poisoning;
Qi et al., "Revisiting the Assumption of Latent Separability for Backdoor Defenses", ICLR 2023)
teach the model that the trigger alone does not decide, which blurs the line between poison and
clean series, at some cost in attack success.

A *learned* trigger is fitted to clean series before anything is poisoned and never changes after
that; `poison` does it where it was not done. Published attacks of this kind often train trigger
and victim together. Here the attacker can only alter the data, once, and never sees the training,
so the trigger is learned without the victim, most of them on a model of the attacker's own.
[What that costs](results/cost_of_freezing.md) is little on average: a network trained together with
such a model does about as well on a model that it has never met. How well every attack takes:
[results/attack_success.md](results/attack_success.md).
"""

TABLE = """\
## All triggers

Sizes are means over the {n} test series of {set}, in % of each series' range: the root mean
square (L2) and the largest value (L∞) of the change, with default parameters. Where a trigger is
learned, the training series and class `{target}` as target are used. In the pictures, the thick
line is the series before, the thin one after; the spectra leave out the mean.

| trigger | in one line | learned | L2 | L∞ |
| --- | --- | --- | --- | --- |
{rows}
"""

CLOSING = """\
---
Written by `python benchmarks/trigger_gallery.py` with {versions}; do not edit.
"""


def main() -> None:
    """Draw every trigger and write the page."""
    torch.set_num_threads(1)
    data = load_dataset(SET)
    target = data.classes[0].item()
    row = int(np.flatnonzero(data.y_test != target)[SAMPLE])
    (DOCS / "images").mkdir(exist_ok=True)
    rows, sections = [], []
    for name in built_in():
        trigger = get_trigger(name)
        if isinstance(trigger, LearnedTrigger):
            trigger = trigger.fit(data.X_train, data.y_train, target, random_state=SEED)
        l2, linf = trigger_size(data.X_test, trigger.apply(data.X_test, random_state=SEED))
        learned = "yes" if isinstance(trigger, LearnedTrigger) else ""
        summary = notes_of(type(trigger)).summary
        rows.append(
            f"| [{name}](#{name}) | {summary} | {learned} | {100 * l2:.1f} | {100 * linf:.1f} |"
        )
        draw(trigger, data.X_test, row)
        sections.append(describe(name))
        print(rows[-1], flush=True)
    table = TABLE.format(n=len(data.y_test), set=SET, target=target, rows="\n".join(rows))
    closing = CLOSING.format(versions=", ".join(versions()))
    page = "\n".join([OPENING, table, *sections, closing])
    (DOCS / "attacks.md").write_text(page)


def built_in() -> list[str]:
    """Return the names of the triggers that come with tsguard, sorted."""
    kinds = {name: type(get_trigger(name)) for name in list_triggers()}
    return [name for name, kind in kinds.items() if kind.__module__.startswith("tsguard.")]


def describe(name: str) -> str:
    """Return the section of one trigger."""
    kind = type(get_trigger(name))
    notes = notes_of(kind)
    return f"""\
## `{name}`

**{notes.summary}** {notes.idea} (`attacks.{kind.__name__}`)

![Series, change and spectrum before and after the {name} trigger](images/trigger_{name}.png)

- **Formula**: {notes.formula}
- **Source**: {notes.source}
- **Default strength**: {notes.strength}
- **Why it is hard to stop**: {notes.hard}
"""


def draw(trigger: Trigger, X: np.ndarray, row: int) -> None:
    """Write the picture of one trigger; equal pictures are equal files."""
    figure = plot_trigger(trigger, X, sample=row)
    kind = type(trigger).__name__
    figure.suptitle(f"{trigger.kind}: a {SET} series before and after {kind}()")
    path = DOCS / "images" / f"trigger_{trigger.kind}.png"
    pixels = BytesIO()
    figure.savefig(pixels, dpi=100)
    # 48 colours are enough for a few lines, and make the file a third as large.
    Image.open(pixels).convert("RGB").quantize(48).save(path, optimize=True)


def versions() -> list[str]:
    """Return what the numbers and pictures depend on."""
    names = ("tsguard", "numpy", "scipy", "torch", "matplotlib")
    return [f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in names)]


if __name__ == "__main__":
    main()
