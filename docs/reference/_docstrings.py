"""What the docstrings' reStructuredText becomes in Markdown; used by mkdocs.yml, not by tsguard."""

import re
from pathlib import Path
from typing import Any

import griffe

ROLE = re.compile(r":(class|func|meth|mod):`~?([\w.]+)`")
MARK = re.compile(r" ?\[(\d)\]_")
SOURCE = re.compile(r"^\.\. \[(\d)\] ", flags=re.MULTILINE)
REFERENCES = re.compile(r"^References\n-+\n(.*?)(?=^\w[\w ]*\n-{3,}|\Z)", re.MULTILINE | re.DOTALL)

#: What the pages of the reference document, and so what can be linked to.
DOCUMENTED = [
    path
    for page in sorted(Path(__file__).parent.glob("*.md"))
    for path in re.findall(r"^::: ([\w.]+)$", page.read_text(), re.MULTILINE)
]


class Docstrings(griffe.Extension):
    """Turn roles into links, and lists of references into a paragraph each."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Rewrite all docstrings of a package once it has been read."""
        self._rewrite(pkg, pkg.name)

    def _rewrite(self, one: griffe.Object, package: str) -> None:
        if one.docstring is not None:
            one.docstring.value = to_markdown(one.docstring.value, package)
        for member in one.members.values():
            if not member.is_alias:
                self._rewrite(member, package)


def to_markdown(text: str, package: str) -> str:
    """Return a docstring without roles, citation marks and citation lists."""
    text = REFERENCES.sub(lambda found: _references(found[1]), text)
    text = MARK.sub(r" [\1]", text)
    return ROLE.sub(lambda found: _link(found[1], found[2], package), text)


def _link(role: str, name: str, package: str) -> str:
    """Return a link where a page documents the thing, else its name as code."""
    short = name.rsplit(".", 1)[-1]
    same_name = [] if role == "meth" else [p for p in DOCUMENTED if p.endswith(f".{short}")]
    same_name.sort(key=lambda path: (path != name, path.split(".")[0] != package))
    return f"[`{short}`][{same_name[0]}]" if same_name else f"`{short}`"


def _references(body: str) -> str:
    """Return the sources as one paragraph each: `[1]`, then authors, title and place."""
    parts = SOURCE.sub(r"\n\n[\1] ", body)
    lines = (line.strip() for line in parts.splitlines())
    return "**References**\n\n" + "\n".join(lines).strip() + "\n"
