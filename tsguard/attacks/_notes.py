"""What a trigger's docstring says about it: the text of the gallery and of ``--list-attacks``."""

import inspect
import re
from dataclasses import dataclass

from tsguard.attacks._base import Trigger, get_trigger, list_triggers

_BULLETS = {
    "formula": "Formula",
    "source": "Source",
    "strength": "Default strength",
    "hard": "Why it is hard to stop",
}


@dataclass(frozen=True)
class Notes:
    """The parts of a trigger's docstring, each as one line of Markdown.

    Attributes
    ----------
    summary : str
        The first line.
    idea : str
        What stands between the first line and the parameters.
    formula, source, strength, hard : str
        The four bullets of its ``Notes`` section.
    """

    summary: str
    idea: str
    formula: str
    source: str
    strength: str
    hard: str


def trigger_list() -> str:
    """Return the names of all triggers, one per line, with the first line of their docstring."""
    lines = []
    for name in list_triggers():
        text = inspect.getdoc(type(get_trigger(name))) or ""
        lines.append(f"{name:<16}{_markdown(text.splitlines()[0] if text else '')}".rstrip())
    return "\n".join(lines)


def notes_of(trigger: type[Trigger]) -> Notes:
    """Read the docstring of a trigger.

    Raises
    ------
    ValueError
        If the idea or one of the four bullets is missing.
    """
    text = _markdown(inspect.getdoc(trigger) or "")
    opening, *rest = re.split(r"\n(\w+)\n-+\n", text)
    sections = dict(zip(rest[::2], rest[1::2], strict=True))
    summary, _, idea = opening.partition("\n\n")
    bullets = dict(
        re.findall(
            r"^- ([^:\n]+): (.*?)(?=\n- |\Z)", sections.get("Notes", "").strip(), re.M | re.S
        )
    )
    if not idea.strip() or list(bullets) != list(_BULLETS.values()):
        raise ValueError(
            f"the docstring of {trigger.__name__} must have a paragraph on its idea and a Notes "
            f"section with the bullets {list(_BULLETS.values())}, got the bullets {list(bullets)}; "
            "see PatchTrigger for the form."
        )
    parts = {name: _one_line(bullets[bullet]) for name, bullet in _BULLETS.items()}
    return Notes(_one_line(summary), _one_line(idea), **parts)


def _markdown(text: str) -> str:
    """Turn reStructuredText's roles and double backticks into Markdown's single ones."""
    return re.sub(r":\w+:`~?([^`]+)`|``([^`]+)``", lambda m: f"`{m[1] or m[2]}`", text)


def _one_line(text: str) -> str:
    return " ".join(text.split())
