"""Sections as HTML (one page that needs nothing from elsewhere) and as Markdown."""

import base64
from collections.abc import Mapping, Sequence
from html import escape

import pandas as pd

from tsguard._report._tables import Section

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #222; background: #fff; margin: 0 auto;
  padding: 0.5rem 1rem 3rem; max-width: 70rem; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.3rem; border-top: 2px solid #ddd; padding-top: 1rem; }
h3 { font-size: 1.05rem; margin-bottom: 0.2rem; } p { margin: 0.2rem 0 0.6rem; max-width: 45rem; }
.wide { overflow-x: auto; max-width: 100%; }
table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.25rem 0.6rem; border-bottom: 1px solid #ddd; text-align: right;
  white-space: nowrap; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: #fff; }
td.long { white-space: normal; text-align: left; min-width: 15rem; }
img { max-width: 100%; height: auto; }
"""

# Says to the browser what the page promises: nothing is loaded, nothing runs.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def to_html(title: str, sections: Sequence[Section], figures: Mapping[str, str]) -> str:
    """Return the page.

    Parameters
    ----------
    title : str
    sections : sequence of Section
    figures : mapping
        File name → SVG.
    """
    body = "\n".join(_section_html(section, figures) for section in sections)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{escape(title)}</h1>\n{body}\n</body>\n</html>\n"
    )


def _section_html(section: Section, figures: Mapping[str, str]) -> str:
    parts = [f"<h{section.level}>{escape(section.title)}</h{section.level}>"]
    if section.text:
        parts.append(f"<p>{escape(section.text)}</p>")
    if section.table is not None:
        parts.append(f'<div class="wide">{_table_html(section.table)}</div>')
    if section.figure is not None:
        image = base64.b64encode(figures[section.figure].encode()).decode()
        parts.append(f'<img src="data:image/svg+xml;base64,{image}" alt="{escape(section.title)}">')
    return "\n".join(parts)


def _table_html(table: pd.DataFrame) -> str:
    head = "".join(f'<th scope="col">{escape(str(name))}</th>' for name in table.columns)
    lines = []
    for line in table.to_numpy().tolist():
        cells = "".join(_cell_html(str(value)) for value in line)
        lines.append(f"<tr>{cells}</tr>")
    body = "\n".join(lines)
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def _cell_html(value: str) -> str:
    kind = ' class="long"' if len(value) > 40 else ""
    return f"<td{kind}>{escape(value)}</td>"


def to_markdown(title: str, sections: Sequence[Section]) -> str:
    """Return the same as Markdown; figures are the files beside it."""
    parts = [f"# {title}"]
    for section in sections:
        parts.append(f"{'#' * section.level} {section.title}")
        if section.text:
            parts.append(section.text)
        if section.table is not None:
            parts.append(_table_markdown(section.table))
        if section.figure is not None:
            parts.append(f"![{section.title}]({section.figure})")
    return "\n\n".join(parts) + "\n"


def _table_markdown(table: pd.DataFrame) -> str:
    lines = [list(map(str, table.columns)), ["---"] * table.shape[1]]
    lines += [[str(value).replace("|", "\\|") for value in line] for line in table.to_numpy()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
