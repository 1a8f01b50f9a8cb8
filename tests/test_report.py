"""`tsguard report`, from small folders of results that are written by hand."""

import errno
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from tsguard._bench._results import cell_path, write_row
from tsguard._cli import main
from tsguard._report import _write
from tsguard._report._figures import critical_difference, scatter
from tsguard._report._frame import complete, to_frame, where_it_takes
from tsguard._report._page import to_html, to_markdown
from tsguard._report._tables import (
    Section,
    best,
    cost,
    crossed,
    mean_spread,
    overview,
    ranks,
    score_matrix,
    setup_sections,
    without_poison,
)

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome", "headless_shell")


def cell(dataset, attack, defense, ca, asr, *, seed=0, seconds=1.0, status="ok", **changes):
    """One stored cell, as tsguard bench writes it."""
    settings = {"n_epochs": 40, "batch_size": 16, "learning_rate": 0.003, "weight_decay": 0.01}
    is_clean = attack == "none"
    config = {
        "dataset": dataset,
        "max_train": None,
        "max_test": None,
        "attack": attack,
        "attack_parameters": {},
        "mode": "none" if is_clean else "dirty",
        "rate": 0.0 if is_clean else 0.1,
        "defense": defense,
        "defense_parameters": {},
        "backbone": "fcn",
        "settings": settings,
        "clean_share": None,
        "seed": seed,
    } | changes
    row = {
        "format": 1,
        "status": status,
        "config": config,
        "metrics": None,
        "error": None,
        "versions": {"tsguard": "0.1.0", "torch": "2.0"},
        "finished": "2025-01-01T00:00:00+00:00",
    }
    if status == "failed":
        return row | {"error": "ValueError: <b>too short</b>", "traceback": "..."}
    metrics = {"clean_accuracy": ca, "attack_success_rate": asr, "robust_accuracy": None}
    if not is_clean:
        metrics["robust_accuracy"] = 1 - asr
    if defense == "e2abl":
        metrics |= {"isolation_precision": 0.5, "isolation_recall": 1.0, "suspected": 0.2}
    return row | {
        "metrics": metrics,
        "data": {
            "n_train": 100,
            "n_test": 50,
            "n_channels": 1,
            "n_timepoints": 20,
            "n_classes": 2,
            "n_poisoned": 10,
            "target": "1",
            "poisoned_set": f"{dataset}{attack}{seed}",
        },
        "seconds": seconds,
        "total_seconds": seconds + 1,
        "peak_memory_mb": 500.0,
        "peak_gpu_memory_mb": None,
        "device": {"kind": "cpu", "name": "Abacus", "threads": 1, "cores": 2, "host": "h"},
        "warnings": [],
    }


#: Data set → (CA, ASR) of undefended, oracle, e2abl under patch; then under hum.
SCORES = {
    "Wine": [((0.9, 1.0), (0.8, 0.0), (0.7, 0.1)), ((0.9, 0.2), (0.9, 0.0), (0.9, 0.0))],
    "Crop": [((0.8, 0.8), (0.9, 0.0), (0.8, 0.0)), ((0.7, 0.9), (0.8, 0.1), (0.6, 0.2))],
    "Trace": [((1.0, 0.6), (1.0, 0.2), (0.9, 0.1)), ((0.6, 0.7), (0.8, 0.0), (0.7, 0.4))],
}
METHODS = ("undefended", "oracle", "e2abl")


@pytest.fixture
def rows():
    """Three data sets, two attacks, three ways to train, clean data, and one failed cell."""
    found = [
        cell(dataset, attack, method, ca, asr, seconds=2.0 if method == "e2abl" else 1.0)
        for dataset, attacks in SCORES.items()
        for attack, scores in zip(("patch", "hum"), attacks, strict=True)
        for method, (ca, asr) in zip(METHODS, scores, strict=True)
    ]
    found += [cell("Wine", "none", "undefended", 0.9, None)]
    found += [cell("Wine", "none", "e2abl", 0.85, None, seconds=3.0)]
    return [*found, cell("Coffee", "patch", "e2abl", None, None, status="failed")]


@pytest.fixture
def folder(rows, tmp_path):
    """The same as files, and one that cannot be read."""
    (tmp_path / "cells").mkdir()
    for row in rows:
        write_row(cell_path(tmp_path, row["config"]), row)
    (tmp_path / "cells" / "torn.json").write_text('{"format": 1, "conf')
    return tmp_path


def line(table, name):
    """One line of a table by its first column."""
    return dict(table.set_index(table.columns[0]).loc[name])


# --- numbers, by hand


@pytest.mark.parametrize(
    ("values", "text"),
    [([0.5], "50.0"), ([0.1, 0.3], "20.0 ± 14.1"), ([np.nan, 1.0], "100.0"), ([np.nan], "-")],
)
def test_mean_and_spread(values, text):
    assert mean_spread(pd.Series(values)) == text


def test_scores_by_attack(rows):
    attacked = to_frame(rows).query("attack != 'none'")
    table = crossed(attacked, "defense", "attack", "clean_accuracy")
    assert list(table.columns) == ["defense", "hum", "patch", "all"]
    assert list(table["defense"]) == list(METHODS)
    # patch: .9 .8 1.0; hum: .9 .7 .6
    assert line(table, "undefended")["patch"] == "90.0 ± 10.0"
    assert line(table, "undefended")["hum"] == "73.3 ± 15.3"
    assert line(table, "undefended")["all"] == "81.7 ± 14.7"


def test_the_best_of_every_column(rows):
    attacked = to_frame(rows).query("attack != 'none'")
    highest = line(best(attacked, "attack", "clean_accuracy"), "best")
    assert highest == {"hum": "oracle", "patch": "oracle, undefended", "all": "oracle"}
    lowest = line(best(attacked, "attack", "attack_success_rate"), "best")
    assert lowest == {"hum": "oracle", "patch": "e2abl, oracle", "all": "oracle"}


def test_references_do_not_compete(rows):
    texts = [section.text for section in setup_sections(to_frame(rows), {})]
    assert not any("best defense" in text for text in texts)  # one defense only
    for row in [row for row in rows if row["config"]["defense"] == "e2abl"]:
        other = json.loads(json.dumps(row))
        other["config"]["defense"] = "abl"
        rows.append(other)
    sections = list(setup_sections(to_frame(rows), {}))
    table = next(one.table for one in sections if one.title.startswith("ASR by attack"))
    assert line(table, "best") == {"hum": "abl, e2abl", "patch": "abl, e2abl", "all": "abl, e2abl"}


def test_overview_is_over_conditions_in_which_the_attack_takes(rows):
    taking = where_it_takes(to_frame(rows).query("attack != 'none'"))
    table = overview(taking)  # all but hum on Wine, where the undefended ASR is 0.2
    assert set(table["cells"]) == {"5"}
    assert line(table, "undefended")["CA"] == "80.0 ± 15.8"  # .9 .8 .7 1.0 .6
    assert line(table, "undefended")["ASR"] == "80.0 ± 15.8"  # 1 .8 .9 .6 .7
    assert line(table, "e2abl")["ASR"] == "16.0 ± 15.2"  # .1 0 .2 .1 .4
    assert line(table, "e2abl")["precision"] == "50.0 ± 0.0"
    assert line(table, "oracle")["precision"] == "-"


def test_nobody_knows_whether_it_takes_without_an_undefended_run(rows):
    frame = to_frame(rows).query("attack != 'none' and defense != 'undefended'")
    assert len(where_it_takes(frame)) == len(frame)


def test_conditions_that_lack_a_defense_are_not_compared(rows):
    frame = to_frame([row for row in rows if row["config"]["attack"] != "none"])
    assert len(complete(frame)) == len(frame) == 18
    lacking = frame.drop(index=frame.query("dataset == 'Crop' and defense == 'oracle'").index[0])
    assert len(complete(lacking)) == 15


def test_ranks_by_hand(rows):
    taking = where_it_takes(to_frame(rows).query("attack != 'none'"))
    # Means within data sets: Wine .9 .8 .7; Crop .75 .85 .7; Trace .8 .9 .8.
    matrix = score_matrix(taking, "clean_accuracy")
    assert matrix.loc["Crop"].tolist() == pytest.approx([0.75, 0.85, 0.7])
    table = ranks(taking, "clean_accuracy")
    assert list(table["defense"]) == ["oracle", "undefended", "e2abl"]
    assert line(table, "oracle")["mean rank"] == f"{(2 + 1 + 1) / 3:.2f}"
    assert line(table, "undefended")["mean rank"] == f"{(1 + 2 + 2.5) / 3:.2f}"
    assert line(table, "oracle")["best alone"] == "2"
    # Low is good: oracle 0, .05, .1; e2abl .1, .1, .25; undefended comes last everywhere.
    by_asr = ranks(taking, "attack_success_rate")
    assert list(by_asr["defense"]) == ["oracle", "e2abl", "undefended"]
    assert list(by_asr["mean rank"]) == ["1.00", "2.00", "3.00"]


def test_harm_without_poison(rows):
    table = without_poison(to_frame(rows).query("rate == 0"))
    assert line(table, "e2abl")["difference"] == "-5.0"
    assert line(table, "e2abl")["suspected"] == "20.0"
    assert line(table, "undefended")["difference"] == "-"


def test_cost_is_relative_to_undefended(rows):
    table = cost(to_frame(rows))
    assert line(table, "e2abl")["relative"] == "2.00"  # 2 six times, and 3
    assert line(table, "e2abl")["mean seconds"] == f"{15 / 7:.1f}"
    assert line(table, "oracle")["relative"] == "1.00"
    assert line(table, "oracle")["memory (MB)"] == "500"


def test_what_was_trained_differently_is_not_averaged(rows):
    settings = rows[0]["config"]["settings"] | {"n_epochs": 5}
    more = [
        cell("Wine", "patch", "undefended", 0.1, 0.1, settings=settings),
        cell("Wine", "patch", "e2abl", 0.1, 0.1, defense_parameters={"recovery_rate": 0.5}),
        cell("Wine", "patch", "e2abl", 0.1, 0.1, attack_parameters={"length": 0.2}),
    ]
    frame = to_frame([*rows, *more])
    assert set(frame["setup"]) == {"fcn (n_epochs=40)", "fcn (n_epochs=5)"}
    assert {"e2abl", "e2abl (recovery_rate=0.5)"} <= set(frame["defense"])
    assert {"patch", "patch (length=0.2)"} <= set(frame["attack"])


# --- figures


def test_figures_show_every_defense(rows):
    taking = where_it_takes(to_frame(rows).query("attack != 'none'"))
    legend = scatter(taking).legends[0]
    assert [text.get_text() for text in legend.get_texts()] == list(METHODS)
    matrix = score_matrix(taking, "attack_success_rate")
    texts = {text.get_text() for text in critical_difference(matrix, "x").axes[0].texts}
    assert set(METHODS) <= texts


# --- files


class Page(HTMLParser):
    """What a page links to, and whether its tags are closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.links, self.tags = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name in ("src", "href")]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_needs_nothing_from_elsewhere(folder, capsys):
    assert main(["report", str(folder), "--json"]) == 0
    written = json.loads(capsys.readouterr().out)
    assert (written["ok"], written["failed"]) == (20, 1)
    text = (folder / "report" / "report.html").read_text()
    page = Page(text)
    assert page.open == []
    assert page.tags.count("img") == 3  # scatter and two diagrams of ranks
    assert all(link.startswith("data:image/svg+xml;base64,") for link in page.links)
    assert "script" not in page.tags
    assert not re.search(r"https?:|//|url\(|@import", re.sub(r"base64,[\w+/=]+", "", text))
    assert "default-src 'none'" in text


def test_failures_are_listed_and_escaped(folder, capsys):
    main(["report", str(folder)])
    html = (folder / "report" / "report.html").read_text()
    markdown = (folder / "report" / "report.md").read_text()
    assert "ValueError: &lt;b&gt;too short&lt;/b&gt;" in html
    for text in (html, markdown):
        assert "Coffee" in text
        assert "torn.json" in text
    assert "pip install tsguard[bench]" in capsys.readouterr().out or has("pyarrow")


def test_poisoned_sets_that_differ_are_pointed_out(folder):
    main(["report", str(folder)])
    assert "Different poisoned sets" not in (folder / "report" / "report.md").read_text()
    row = cell("Wine", "patch", "nad", 0.9, 0.1)
    row["data"]["poisoned_set"] = "another"
    write_row(cell_path(folder, row["config"]), row)
    main(["report", str(folder)])
    assert "Different poisoned sets" in (folder / "report" / "report.md").read_text()


def test_markdown_and_csv_hold_the_same_numbers(folder):
    assert main(["report", str(folder), "--out", str(folder / "elsewhere")]) == 0
    markdown = (folder / "elsewhere" / "report.md").read_text()
    assert "| undefended | 5 | 80.0 ± 15.8 | 80.0 ± 15.8 |" in markdown
    for name in re.findall(r"!\[.*\]\((.*)\)", markdown):
        assert (folder / "elsewhere" / name).read_text().startswith("<?xml")
    frame = pd.read_csv(folder / "elsewhere" / "cells.csv")
    assert len(frame) == 20
    assert frame["clean_accuracy"].mean() == pytest.approx(to_frame_mean(folder))


def to_frame_mean(folder):
    files = (folder / "cells").glob("*-*.json")
    metrics = [json.loads(file.read_text())["metrics"] for file in files]
    return np.mean([one["clean_accuracy"] for one in metrics if one])


def has(module):
    return importlib.util.find_spec(module) is not None


@pytest.mark.skipif(not has("pyarrow"), reason="pyarrow is missing; pip install tsguard[bench]")
def test_parquet_holds_what_csv_holds(folder):
    main(["report", str(folder)])
    parquet = pd.read_parquet(folder / "report" / "cells.parquet")
    csv = pd.read_csv(folder / "report" / "cells.csv")
    assert list(parquet.columns) == list(csv.columns)
    np.testing.assert_array_equal(parquet["clean_accuracy"], csv["clean_accuracy"])


def test_without_matplotlib_there_are_tables_only(folder, capsys, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "matplotlib" else find(name)
    )
    assert main(["report", str(folder)]) == 0
    assert "pip install tsguard[plot]" in capsys.readouterr().out
    text = (folder / "report" / "report.html").read_text()
    assert "<img" not in text
    assert "80.0 ± 15.8" in text


def test_a_folder_without_results_is_refused(tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 2
    assert "must hold results of tsguard bench" in capsys.readouterr().err


def test_a_report_is_written_whole_or_not_at_all(folder, tmp_path, capsys, monkeypatch):
    out = tmp_path / "page"
    out.mkdir()
    (out / "mine.txt").write_text("kept")
    write_parquet = _write._write_parquet

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(_write, "_write_parquet", full)
    assert main(["report", str(folder), "--out", str(out)]) == 2
    assert "no space left on device" in capsys.readouterr().err
    assert [path.name for path in out.iterdir()] == ["mine.txt"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cells", "page"]
    monkeypatch.setattr(_write, "_write_parquet", write_parquet)
    assert main(["report", str(folder), "--out", str(out)]) == 0
    assert {"mine.txt", "report.html"} <= {path.name for path in out.iterdir()}
    assert main(["report", str(folder), "--out", str(out / "mine.txt")]) == 2


def test_a_folder_with_failures_only_is_reported(tmp_path):
    row = cell("Coffee", "patch", "e2abl", None, None, status="failed")
    (tmp_path / "cells").mkdir()
    write_row(cell_path(tmp_path, row["config"]), row)
    assert main(["report", str(tmp_path), "--aeon"]) == 0
    assert "Coffee" in (tmp_path / "report" / "report.md").read_text()


def test_tables_in_markdown_keep_their_columns():
    table = pd.DataFrame({"a": ["x|y"], "b": ["1"]})
    text = to_markdown("T", [Section("S", table=table)])
    assert r"| x\|y | 1 |" in text
    assert "x|y" in to_html("T", [Section("S", table=table)], {})


# --- aeon


def test_aeon_reads_the_export(folder, monkeypatch):
    from aeon.benchmarking import results_loaders
    from aeon.visualisation import plot_critical_difference

    row = cell("Wine", "patch", "oracle", 0.6, 0.3, seed=1)
    write_row(cell_path(folder, row["config"]), row)
    assert main(["report", str(folder), "--aeon"]) == 0
    for name in METHODS:  # aeon reads results of estimators that it has heard of
        monkeypatch.setitem(results_loaders.NAME_ALIASES, name, [])
    place = folder / "report" / "aeon" / "fcn-patch-dirty-0.1"
    values, datasets = results_loaders.get_estimator_results_as_array(
        list(METHODS), datasets=["Crop", "Trace"], path=str(place / "clean")
    )
    assert datasets == ["Crop", "Trace"]
    np.testing.assert_array_equal(values, [[0.8, 0.9, 0.8], [1.0, 1.0, 0.9]])
    triggered = results_loaders.get_estimator_results(
        "e2abl", num_resamples=None, path=str(place / "triggered")
    )
    assert {name: list(scores) for name, scores in triggered["e2abl"].items()} == {
        "Crop": [1.0],
        "Trace": [0.9],
        "Wine": [0.9],
    }
    # A second seed, on Wine only.
    both = results_loaders.get_estimator_results(
        "oracle", ["Wine"], num_resamples=2, path=str(place / "clean")
    )
    assert list(both["oracle"]["Wine"]) == [0.8, 0.6]
    with pytest.raises(ValueError, match="Missing resamples for Crop"):
        results_loaders.get_estimator_results("oracle", num_resamples=2, path=str(place / "clean"))
    assert plot_critical_difference(values, list(METHODS)) is not None


# --- a browser


@pytest.mark.skipif(
    not any(map(shutil.which, BROWSERS)), reason=f"no headless browser: none of {BROWSERS}"
)
def test_a_browser_shows_it_on_a_phone(folder, tmp_path):
    """The page in a frame as wide as a phone: nothing sticks out, figures are drawn."""
    main(["report", str(folder)])
    page = folder / "report" / "report.html"
    script = """<script>
    addEventListener("load", () => {
      const page = frames[0].document, images = [...page.images];
      document.title = JSON.stringify({
        width: page.documentElement.scrollWidth,
        images: images.filter(one => one.naturalWidth > 100 && one.width <= 360).length,
        size: parseFloat(getComputedStyle(page.querySelector("td")).fontSize),
        rows: page.querySelectorAll("tr").length,
        links: performance.getEntriesByType("resource").map(one => one.name),
      });
    });
    </script>"""
    content = page.read_text().replace("&", "&amp;").replace('"', "&quot;")
    frame = f'<iframe width="360" height="700" srcdoc="{content}"></iframe>'
    (tmp_path / "phone.html").write_text(f"<!DOCTYPE html><body>{frame}{script}</body>")
    found = browse(tmp_path / "phone.html", tmp_path)
    assert found["width"] <= 360
    assert found["images"] == 3
    assert found["size"] >= 14
    assert found["rows"] > 30
    assert found["links"] == []


def browse(page, profile):
    """Return what a page's script wrote into its title."""
    browser = next(filter(None, map(shutil.which, BROWSERS)))
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    command += [f"--user-data-dir={profile / 'profile'}", "--virtual-time-budget=5000"]
    process = subprocess.run(
        [*command, page.as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    title = re.search(r"<title>(\{.*?\})</title>", process.stdout)
    assert title, process.stdout[-2000:]
    return json.loads(title[1])


def test_help_stays_quick():
    code = "import sys; from tsguard._cli import main; sys.argv = ['tsguard', 'bench', '--help']\n"
    code += "try: main()\nexcept SystemExit: pass\n"
    code += "assert not {'torch', 'aeon', 'pandas', 'matplotlib'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
