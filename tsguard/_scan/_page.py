"""``report.html``: one page that needs nothing else, for screen, phone and paper."""

import csv
import io
from html import escape
from importlib import resources
from typing import Any

import numpy as np

from tsguard._scan._figures import CLEAN, SUSPECT, Line, chart, spark, strip
from tsguard._scan._folder import DECISIONS, MODEL, SUSPECTS
from tsguard._scan._run import Outcome
from tsguard._scan._trigger import (
    TriggerEstimate,
    estimate_trigger,
    nearest_unsuspected,
)

MAX_CARDS = 200  # suspects shown; all are in suspects.csv
MAX_TRIGGERS = 3  # accused classes whose trigger is drawn
MAX_OPTIONS = 100  # classes offered in a card

# Even if a label got past the escaping, nothing would be loaded or sent.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def render(outcome: Outcome, report: dict[str, Any]) -> str:
    """Return the page.

    Parameters
    ----------
    outcome : Outcome
    report : dict
        What ``report.json`` holds.

    Returns
    -------
    str
        A whole HTML document without any reference to the outside.
    """
    data = report["data"]
    title = f"tsguard scan of {escape(str(outcome.source.path.name))}"
    style, script = (_resource(name) for name in ("page.css", "page.js"))
    kind = "verdict found" if report["suspicious"] else "verdict"
    body = [
        '<a class="skip" href="#suspects">Skip to the suspects</a>'
        if outcome.suspects.size
        else "",
        f"<header><h1>{title}</h1><p class='{kind}'>{escape(report['verdict'])}.</p></header>",
        "<main>",
        f"<p>{_summary(outcome, report)}</p>",
        *_sections(outcome, report),
        "</main>",
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"<title>{title}</title>\n<style>\n{style}</style></head>\n"
        f"<body data-series='{data['n_series']}'>\n{chr(10).join(body)}\n"
        f"{f'<script>{chr(10)}{script}</script>' if outcome.suspects.size else ''}</body></html>\n"
    )


def _sections(outcome: Outcome, report: dict[str, Any]) -> list[str]:
    finding = outcome.finding
    neighbours = nearest_unsuspected(
        outcome.panel,
        finding.suspect,
        finding.codes,
        np.where(finding.label_kept, finding.codes, finding.recovered),
    )
    sections = []
    if outcome.suspects.size:
        sections.append(
            _section("trigger", "The estimated trigger", _triggers(outcome, neighbours))
        )
        sections.append(_section("suspects", "The suspects", _suspects(outcome, neighbours)))
    sections.append(_section("classes", "Suspicion by class", _classes(outcome)))
    if outcome.losses is not None:
        sections.append(_section("losses", "How training went", _losses(outcome)))
    sections.append(_section("done", "What was done", _done(outcome, report)))
    return sections


def _section(name: str, title: str, content: str) -> str:
    heading = f'<h2 id="{name}-title">{title}</h2>'
    return f'<section id="{name}" aria-labelledby="{name}-title">{heading}\n{content}\n</section>'


def _summary(outcome: Outcome, report: dict[str, Any]) -> str:
    if report["suspicious"]:
        text = (
            "A model trained on this file as it is would probably learn the attacker's shortcut: "
            "right on normal input, but answering the accused class whenever the trigger is "
            f"there. {report['n_relabelled']} suspects were given the class that they really look "
            f"like, {report['n_dropped']} whose class can't be told, or whose label may be right, "
            "were left out. Suspicion is a judgement, not a proof: please review the suspects "
            "below."
        )
    else:
        text = (
            "No class holds a group of series that contradict their label and share a pattern that "
            "all others lack, or a group that shares a very plain one. That is no proof: triggers "
            "that change slow parts of a series and labels that are right (clean-label attacks) "
            "can stay unseen."
        )
    if report["withheld"]:
        text += (
            f" {len(report['withheld'])} further series belong to doubtful groups, less likely "
            "poisoned than not: a training leaves them out as a precaution, the cleaned data hold "
            "them (report.json lists them)."
        )
    return escape(text)


# -- trigger -----------------------------------------------------------------------------------


def _triggers(outcome: Outcome, neighbours: dict[int, Any]) -> str:
    """Draw the estimate for every accused class, the largest groups first."""
    finding = outcome.finding
    codes, counts = np.unique(finding.codes[finding.suspect], return_counts=True)
    parts = []
    for code in codes[np.argsort(-counts, kind="stable")][:MAX_TRIGGERS]:
        suspects = np.flatnonzero(finding.suspect & (finding.codes == code))
        estimate = estimate_trigger(outcome.panel, suspects, finding.codes, neighbours)
        if estimate is not None:
            parts.append(_trigger(outcome, estimate, str(finding.classes[code])))
    if not parts:
        return "<p>There are no unsuspected series to compare the suspects with.</p>"
    if len(codes) > MAX_TRIGGERS:
        parts.append(f"<p class='note'>Shown: {MAX_TRIGGERS} of {len(codes)} accused classes.</p>")
    note = (
        "The mean of what the suspects have and the three most similar unsuspected series of their "
        "recovered class have not. A trigger at varying places, or one that warps, is blurred."
    )
    return "\n".join([*parts, f"<p class='note'>{note}</p>"])


def _trigger(outcome: Outcome, estimate: TriggerEstimate, label: str) -> str:
    channel = estimate.channel
    host = outcome.panel[estimate.host, channel].astype(np.float64)
    change = estimate.shape[channel]
    host_label = str(outcome.finding.classes[outcome.finding.codes[estimate.host]])
    where = f", channel {channel + 1} of {len(estimate.shape)}" if len(estimate.shape) > 1 else ""
    lines = [
        Line(host, CLEAN, f"a series of class {host_label}", 3),
        Line(host + change, SUSPECT, "with the trigger"),
    ]
    step = int(np.abs(change).argmax())
    text = (
        f"Estimated trigger of class {label}{where}: a typical series with and without it. It "
        f"changes step {step} most, by {change[step]:.3g}."
    )
    spectra = [Line(_spectrum(one.values), one.colour, one.name, one.width) for one in lines]
    parts = [chart(lines, text, x_label="time step")]
    parts.append(
        chart(
            [Line(change, SUSPECT, "the trigger alone")],
            f"The change alone{where}",
            size=(400, 190),
            x_label="time step",
        )
    )
    if len(spectra[0].values) > 1:  # type: ignore[arg-type]
        name = f"Amplitude spectrum with and without the trigger{where}, logarithmic"
        parts.append(
            chart(
                spectra,
                name,
                x_label="cycles per time step (amplitude, logarithmic)",
                x_end=0.5,
                logarithmic=True,
            )
        )
    heading = f"<h3>Class {escape(label)}: {estimate.n_suspects} suspects{escape(where)}</h3>"
    charts = "\n".join(parts)
    return f"{heading}<p>{escape(text)}</p>\n<div class='charts'>{charts}</div>"


def _spectrum(values: Any) -> Any:
    """Return amplitudes without the mean, which would dwarf the rest."""
    return 2 / len(values) * np.abs(np.fft.rfft(values))[1:]


# -- suspects ----------------------------------------------------------------------------------


def _suspects(outcome: Outcome, neighbours: dict[int, Any]) -> str:
    shown = outcome.suspects[:MAX_CARDS]
    rest = len(outcome.suspects) - len(shown)
    more = (
        f"<p><strong>{rest} more suspects</strong> are in {SUSPECTS}; decide about them in a text "
        "editor, in the same form.</p>"
        if rest
        else ""
    )
    spread = outcome.panel.std(axis=(0, 2)) + 1e-12
    cards = "\n".join(_card(outcome, int(place), neighbours, spread) for place in shown)
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(one.row() for one in outcome.decisions)
    why = "; or: ".join(_reasons(outcome))
    return f"""<p>Why suspect: {escape(why)}. Left the suspect, right the unsuspected series that
it most looks like. Tick the series that you have looked at (a proposal is chosen already), download
<code>{DECISIONS}</code>, and run the scan again with <code>--decisions {DECISIONS}</code>.</p>
<div class="tools"><button type="button" id="tick">Tick all</button>
<button type="button" id="untick">Untick all</button></div>
<ul class="cards">
{cards}
</ul>
{more}
<div id="result"><p><strong id="count" role="status"></strong></p>
<p><label for="csv">{DECISIONS}, to copy if the download is blocked:</label></p>
<textarea id="csv" readonly spellcheck="false"></textarea>
<p><button type="button" id="download" class="main">Download {DECISIONS}</button></p></div>
<pre id="earlier" hidden>{escape(stream.getvalue())}</pre>
<noscript><p>Without scripts, write {DECISIONS} by hand: columns index, decision (keep, relabel or
drop) and label.</p></noscript>"""


def _reasons(outcome: Outcome) -> list[str]:
    reasons = outcome.finding.reasons
    return sorted({reasons[place] for place in outcome.suspects})


def _card(outcome: Outcome, place: int, neighbours: dict[int, Any], spread: Any) -> str:
    finding, index = outcome.finding, int(outcome.reviewed.rows[place])
    label = str(finding.classes[finding.codes[place]])
    told, label_kept = bool(finding.told[place]), bool(finding.label_kept[place])
    looks = str(finding.classes[finding.recovered[place]]) if told else None
    series = outcome.panel[place]
    others = outcome.panel[neighbours.get(place, np.array([], np.intp))]
    distance = np.abs(series - others.mean(axis=0)) if len(others) else np.abs(series)
    channel = int((distance.max(axis=1) / spread).argmax())
    drawn = np.concatenate([series[channel], *(one[channel] for one in others)])
    limits = (float(drawn.min()), float(drawn.max()))
    where = f", channel {channel + 1}" if len(series) > 1 else ""
    ids = outcome.source.ids
    name = f"Series {index}" + (f" ({ids[index]})" if ids else "")
    of = f"class {label if label_kept else looks}" if told or label_kept else "other classes"
    beside = f"nearest of {of}"
    left = spark([Line(series[channel], SUSPECT)], f"{name}, labelled {label}{where}", limits)
    right = spark(
        [Line(one[channel], CLEAN, width=1) for one in others],
        f"{len(others)} unsuspected series, {beside}{where}",
        limits,
    )
    reason = ""
    if len(_reasons(outcome)) > 1:
        reason = f'<span class="note">{escape(finding.reasons[place])}.</span>'
    choices = _choices(outcome, label, looks)
    says = f"looks like {looks}" if told else "looks like another class, which one can't be told"
    if label_kept:
        says = "which may be right"
    return f"""<li class="card" data-index="{index}"><h3>{escape(name)}</h3>
<p>Labelled <b>{escape(label)}</b>, {escape(says)}; suspicion {finding.suspicion[place]:.2f}.
{reason}</p>
<div class="pair"><figure>{left}<figcaption>this series{where}</figcaption></figure>
<figure>{right}<figcaption>{escape(beside)}</figcaption></figure></div>
<div class="choice"><label><input type="checkbox"> Series {index} reviewed</label>
<select aria-label="Decision about series {index}">{choices}</select></div></li>"""


def _choices(outcome: Outcome, label: str, looks: str | None) -> str:
    """Return what may be decided, the proposal first."""

    def option(decision: str, text: str, new: str = "") -> str:
        return (
            f'<option data-decision="{decision}" data-label="{escape(new, quote=True)}">'
            f"{escape(text)}</option>"
        )

    names = [str(one) for one in outcome.finding.classes if str(one) not in (label, looks)]
    relabel = [option("relabel", f"relabel to {one}", one) for one in names[:MAX_OPTIONS]]
    proposed = [] if looks is None else [option("relabel", f"relabel to {looks}", looks)]
    keep, drop = option("keep", f"keep {label}"), option("drop", "drop it")
    return "".join([*proposed, keep, drop, *relabel] if proposed else [drop, keep, *relabel])


# -- the rest ----------------------------------------------------------------------------------


def _classes(outcome: Outcome) -> str:
    finding, rows = outcome.finding, []
    for code, label in enumerate(finding.classes):
        mask = finding.codes == code
        marked = finding.suspect[mask]
        text = (
            f"Suspicion of {int(mask.sum())} series of class {label}: highest "
            f"{finding.suspicion[mask].max(initial=0):.2f}, {int(marked.sum())} suspects"
        )
        rows.append(
            f"<tr><th scope='row'>{escape(str(label))}</th>"
            f"<td class='number'>{int(mask.sum())}</td><td class='number'>{int(marked.sum())}</td>"
            f"<td>{strip(finding.suspicion[mask], marked, text)}</td></tr>"
        )
    return (
        "<div class='scroll' tabindex='0' role='region' aria-label='Suspicion by class'><table>"
        "<thead><tr><th scope='col'>class</th><th scope='col'>series</th>"
        "<th scope='col'>suspects</th><th scope='col'>suspicion 0 to 1</th></tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _losses(outcome: Outcome) -> str:
    assert outcome.losses is not None
    parts = []
    text = (
        "<p>Median loss against the given labels, per epoch, in nats. A main head that stays clean "
        "keeps a high loss on poison; the trap head learns it.</p>"
    )
    for head, groups in (("main", outcome.losses.main), ("trap", outcome.losses.trap)):
        lines = [
            Line(groups[name], colour, name, 2)
            for name, colour in (("others", CLEAN), ("suspects", SUSPECT))
            if name in groups
        ]
        ends = ", ".join(f"{one.name} end at {np.asarray(one.values)[-1]:.2g}" for one in lines)
        last = len(np.asarray(lines[0].values)) - 1
        title = f"Loss of the {head} head over the epochs: {ends}"
        drawing = chart(lines, title, x_label="epoch", x_end=last)
        parts.append(f"<figure><figcaption>{head} head</figcaption>{drawing}</figure>")
    return f"{text}<div class='charts'>{''.join(parts)}</div>"


def _done(outcome: Outcome, report: dict[str, Any]) -> str:
    data = report["data"]
    low, high = data["lengths"]
    rows = {
        "file": f"{data['path']} (SHA-256 {data['sha256']})",
        "read as": data["layout"],
        "labels": "in the file" if data["labels"] is None else data["labels"],
        "series": f"{data['n_series']} of {data['n_channels']} channel(s), "
        + (f"{low} time steps" if low == high else f"{low} to {high} time steps"),
        "classes": ", ".join(f"{name}: {n}" for name, n in data["classes"].items()),
        "settings": ", ".join(f"{name} = {value}" for name, value in report["settings"].items()),
        "versions": ", ".join(f"{name} {value}" for name, value in report["versions"].items()),
    }
    cells = "".join(
        f"<tr><th scope='row'>{escape(name)}</th><td>{escape(str(value))}</td></tr>"
        for name, value in rows.items()
    )
    steps = "".join(f"<li>{escape(step)}</li>" for step in _steps(outcome, report))
    return (
        f"<ul>{steps}</ul><table><tbody>{cells}</tbody></table>"
        f"<p>To repeat it:</p><pre>{escape(report['command'])}</pre>"
    )


def _steps(outcome: Outcome, report: dict[str, Any]) -> list[str]:
    data, reviewed = report["data"], report["reviewed"]
    steps = []
    if data["lengths"][0] != data["lengths"][1]:
        steps.append("Series were stretched to one length for the analysis, by interpolation.")
    if data["n_with_missing_values"]:
        n_gaps = data["n_with_missing_values"]
        steps.append(f"Missing values in {n_gaps} series were interpolated for the analysis.")
    if outcome.decisions:
        steps.append(
            f"A reviewer decided about {len(outcome.decisions)} series ({reviewed['keep']} kept, "
            f"{reviewed['relabel']} relabelled, {reviewed['drop']} dropped); these are not judged "
            "again."
        )
    steps.append("The whole file was audited for groups that contradict their labels.")
    if outcome.classifier is None:
        steps.append("No model was trained (--no-train).")
    elif outcome.overruled:
        steps.append(
            f"The defense doubted {outcome.overruled} series that the reviewer had decided about. "
            f"The reviewer has the last word: the model in {MODEL}/ was trained on the decided and "
            "recovered labels as they are. It gives no trigger scores."
        )
    else:
        steps.append(f"A model was trained that learned none of the suspects' labels ({MODEL}/).")
    cleaned = [name for name in report["files"] if "_cleaned" in name]
    steps.append(
        f"The cleaned data ({', '.join(cleaned)}) hold the original values, with "
        f"{report['n_relabelled']} labels corrected and {report['n_dropped']} series left out "
        "because their true class can't be told or their label may be right"
        + (
            f", and without {reviewed['drop']} that the reviewer dropped."
            if reviewed["drop"]
            else "."
        )
    )
    return steps


def _resource(name: str) -> str:
    return resources.files("tsguard._scan").joinpath(name).read_text(encoding="utf-8")
