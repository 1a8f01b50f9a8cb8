"""The documentation site: complete, true, and built without a warning."""

import csv
import importlib
import importlib.util
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sklearn.base import clone

import tsguard
import tsguard_vision
from tsguard._bench._grid import read_grid
from tsguard._cli import main
from tsguard._experiment import list_methods
from tsguard.defenses import _registry, list_defenses

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
CONFIGURATION = (ROOT / "mkdocs.yml").read_text()
TOOLS = ("mkdocs", "material", "mkdocstrings", "mkdocstrings_handlers")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome", "headless_shell")


def blocks_of(name):
    """Return the fenced blocks of a page in order: language and text."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", (DOCS / name).read_text(), re.MULTILINE | re.DOTALL)


def run_python(text, name, names):
    exec(compile(text, name, "exec"), names)


# --- complete


def test_every_page_is_in_the_navigation():
    nav = re.search(r"^nav:\n(.*?)^\S", CONFIGURATION, re.MULTILINE | re.DOTALL)[1]
    listed = re.findall(r"([\w./-]+\.md)$", nav, re.MULTILINE)
    assert len(listed) == len(set(listed))
    assert sorted(listed) == [page.relative_to(DOCS).as_posix() for page in PAGES]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_links_resolve(page):
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert missing == []
    assert all((page.parent / target).resolve().is_relative_to(DOCS) for target in targets)


def documented():
    """Return what the pages of the reference document: objects by the path they are named by."""
    paths = [
        path
        for page in (DOCS / "reference").glob("*.md")
        for path in re.findall(r"^::: ([\w.]+)$", page.read_text(), re.MULTILINE)
    ]
    assert len(paths) == len(set(paths)), "each thing has one place"
    found = {}
    for path in paths:
        module, name = path.rsplit(".", 1)
        found[path] = getattr(importlib.import_module(module), name)
    return found


PUBLIC = (tsguard, tsguard.attacks, tsguard.defenses, tsguard.testing)
PUBLIC += (tsguard_vision, tsguard_vision.attacks)


@pytest.mark.parametrize("module", PUBLIC, ids=lambda module: module.__name__)
def test_every_public_name_is_in_the_reference(module):
    text = "".join(page.read_text() for page in (DOCS / "reference").glob("*.md"))
    there = [id(one) for one in documented().values()]
    for name in module.__all__:
        one = getattr(module, name)
        if isinstance(one, type(tsguard)):
            assert f"`{one.__name__}`" in text or f"::: {one.__name__}." in text
        else:
            assert id(one) in there, f"{module.__name__}.{name} is not in docs/reference"


# --- true


def test_front_page_runs_as_written(capsys):
    ((_, text),) = [block for block in blocks_of("index.md") if block[0] == "python"]
    assert len([line for line in text.splitlines() if line.strip()]) <= 10
    run_python(text, "index.md", {})
    assert capsys.readouterr().out.startswith("1\n")


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """An empty folder to work in, with the bundled data sets only."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TSGUARD_DATA", raising=False)
    return tmp_path


def test_tutorial_is_true(elsewhere, capsys):
    """Every block in turn: run it, and compare the next one, where that shows what comes out."""
    names, out = {}, ""
    for language, text in blocks_of("tutorial.md"):
        if language == "python":
            run_python(text, "tutorial.md", names)
            out = capsys.readouterr().out
        elif language == "csv":
            Path("decisions.csv").write_text(text)
        elif text.startswith("tsguard"):
            quick = ["--backbone", "fcn", "--epochs", "10"] if " scan " in text else []
            assert main([*text.split()[1:], *quick]) == (3 if "power_scan\n" in text else 0)
            out = capsys.readouterr().out
        elif text.startswith("index,label"):
            same_table(Path("power_scan/suspects.csv").read_text(), text, {"suspicion": 0.05})
        elif text.startswith("index,id"):
            same_table(out, text, {"probability": 0.5, "trigger_score": 0.3})
        elif language == "text":
            same_words(out, text)
    assert Path("power_scan/report.html").exists()
    assert set(names["poisoned"].is_poisoned.nonzero()[0]) == {55, 56, 3, 39, 51, 6, 2}


def same_table(found, shown, tolerances):
    """Compare tables: columns with a tolerance as numbers, all others as text, rows as a set."""
    found, shown = (sorted(csv.DictReader(io.StringIO(one)), key=index) for one in (found, shown))
    for row, expected in zip(found, shown, strict=True):
        for column, value in expected.items():
            if column in tolerances:
                assert float(row[column]) == pytest.approx(float(value), abs=tolerances[column])
            else:
                assert row[column] == value


def index(row):
    return int(row["index"])


def same_words(found, shown):
    """Compare what is printed, numbers with decimals roughly."""
    number = r"\d\.\d+"
    plain = re.sub(number, "#", shown).strip()
    assert re.sub(number, "#", found).startswith(plain)
    for value, expected in zip(re.findall(number, found), re.findall(number, shown), strict=False):
        assert float(value) == pytest.approx(float(expected), abs=0.05)


@pytest.fixture
def own_list_of_defenses(monkeypatch):
    """What is registered in a test is forgotten after it."""
    monkeypatch.setattr(_registry, "_KINDS", dict(_registry._KINDS))


def test_own_defense_runs_as_written(own_list_of_defenses, elsewhere, capsys):
    example, use, _ = (text for language, text in blocks_of("add-your-own-defense.md"))
    assert example.count("\n") < 40
    names = {"__name__": "my_defense"}
    run_python(example, "add-your-own-defense.md", names)
    run_python(use, "add-your-own-defense.md", names)
    scores = re.findall(r"(\w+Classifier) [\d.]+ ([\d.]+)", capsys.readouterr().out)
    success = {name: float(share) for name, share in scores}
    assert success["StandardClassifier"] > 0.5
    assert 0.1 < success["NeighbourVoteClassifier"] < success["StandardClassifier"]
    assert success["E2ABLClassifier"] < 0.1
    own = names["NeighbourVoteClassifier"](backbone="fcn", n_epochs=1, random_state=0)
    assert clone(own).get_params() == own.get_params()
    fitted = own.fit(names["poisoned"].X, names["poisoned"].y)
    assert list(fitted.history_["epoch"]) == [0]


def test_own_defense_works_by_name(own_list_of_defenses, elsewhere, monkeypatch):
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    example, _, grid = (text for _, text in blocks_of("add-your-own-defense.md"))
    Path("my_defense.py").write_text(example)
    Path("grid.toml").write_text(f"{grid}\n[settings]\nn_epochs = 1\n")
    assert "neighbour_vote" in read_grid(Path("grid.toml")).defenses
    assert main(["bench", "grid.toml", "--out", "results"]) == 0
    rows = [json.loads(path.read_text()) for path in Path("results/cells").glob("*.json")]
    assert {row["config"]["defense"] for row in rows} >= {"neighbour_vote"}
    assert all(row["status"] == "ok" for row in rows)
    for name in ("undefended", "standard", "My Defense"):
        with pytest.raises(ValueError, match="name of a defense must be"):
            _registry.register_defense(name, _registry._KINDS["neighbour_vote"])
    with pytest.raises(TypeError, match="must be a class of classifiers of tsguard"):
        _registry.register_defense("no_class", dict)
    assert set(list_methods()) == {*_registry.REFERENCES, *list_defenses()}


def test_notebooks_page_names_every_notebook():
    text = (DOCS / "notebooks.md").read_text()
    there = [path.name for path in (ROOT / "notebooks").glob("*.ipynb")]
    assert [name for name in there if f"`{name}`" not in text] == []


# --- built


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site."""
    missing = [name for name in TOOLS if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"{missing[0]} is missing; pip install tsguard[docs]")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    result = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert result.returncode == 0, result.stderr[-4000:]
    return folder


def test_site_loads_nothing_from_elsewhere(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > len(PAGES)
    loads = r"<(?:script|img|iframe|source)[^>]*src=\"?https?:|<link[^>]*href=\"?https?:"
    assert [page for page in pages if re.search(loads, page.read_text())] == []
    styles = [*site.rglob("*.css")]
    assert [one for one in styles if re.search(r"url\([\"']?https?:", one.read_text())] == []


def test_site_holds_no_raw_data_or_code(site):
    there = {path.relative_to(site).as_posix() for path in site.rglob("*.*")}
    assert not [one for one in there if one.endswith((".jsonl", ".py"))]
    assert not [one for one in there if one.startswith("results/") and one.endswith(".json")]


def test_docstrings_leave_no_restructuredtext(site):
    for page in (site / "reference").glob("*.html"):
        text = re.sub(r"<pre.*?</pre>", "", page.read_text(), flags=re.DOTALL)
        assert not re.search(r":(class|func|meth|mod):|\]_|\.\. \[", text), page.name


@pytest.mark.skipif(
    not any(map(shutil.which, BROWSERS)), reason=f"no headless browser: none of {BROWSERS}"
)
@pytest.mark.parametrize(
    "page", ["index.html", "reference/attacks.html", "results/detection.html", "decisions.html"]
)
def test_pages_fit_a_phone(site, page, tmp_path):
    """Shown 360 pixels wide, wide tables scroll within the page and nothing else sticks out."""
    script = """<script>
    addEventListener("load", () => setTimeout(() => {
      const page = frames[0].document, root = page.documentElement;
      document.title = JSON.stringify({
        width: root.scrollWidth,
        text: page.querySelector("article").innerText.length,
        loaded: frames[0].performance.getEntriesByType("resource").map(one => one.name),
      });
    }, 1000));
    </script>"""
    frame = f'<iframe width="360" height="700" src="{(site / page).as_uri()}"></iframe>'
    (tmp_path / "phone.html").write_text(f"<!DOCTYPE html><body>{frame}{script}</body>")
    browser = next(filter(None, map(shutil.which, BROWSERS)))
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    command += ["--allow-file-access-from-files", "--virtual-time-budget=8000"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", (tmp_path / "phone.html").as_uri()]
    process = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = json.loads(re.search(r"<title>(\{.*?\})</title>", process.stdout)[1])
    assert found["width"] <= 360
    assert found["text"] > 1000
    assert [name for name in found["loaded"] if not name.startswith("file:")] == []
