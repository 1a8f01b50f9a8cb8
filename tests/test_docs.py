"""The README's Python runs as written, and its commands are those that CI runs."""

import re
import sys
from pathlib import Path

import pandas as pd
import pytest

from tsguard._bench._grid import read_grid
from tsguard._bench._results import cell_path, read_row
from tsguard._cli import main
from tsguard._report._frame import to_frame
from tsguard.attacks import _base, get_trigger, list_triggers

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
OWN_ATTACK = (ROOT / "docs" / "add-your-own-attack.md").read_text()
GALLERY = ROOT / "docs" / "attacks.md"


def test_python_blocks_run(capsys):
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})
    assert "attack_success_rate" in capsys.readouterr().out


def test_shell_blocks_are_one_line_each():
    blocks = re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)
    assert len(blocks) == 2
    assert all(block.count("\n") == 1 for block in blocks)


@pytest.mark.parametrize("path", [ROOT / "README.md", *(ROOT / "docs").glob("*.md")], ids=str)
def test_links_between_files_resolve(path):
    targets = re.findall(r"\]\((?!http)([^)#]+)", path.read_text())
    missing = [target for target in targets if not (path.parent / target).exists()]
    assert missing == []


# --- docs/add-your-own-attack.md


@pytest.fixture
def own_list_of_triggers(monkeypatch):
    """What is defined in a test is forgotten after it."""
    monkeypatch.setattr(_base, "_KINDS", dict(_base._KINDS))


def test_own_attack_runs_as_written(own_list_of_triggers, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    example, use = re.findall(r"```python\n(.*?)```", OWN_ATTACK, flags=re.DOTALL)
    assert example.count("\n") < 30
    names = {"__name__": "my_attack"}
    for block in (example, use):  # the second one calls check_trigger
        exec(compile(block, "add-your-own-attack.md", "exec"), names)
    assert (tmp_path / "freeze.png").stat().st_size > 10_000


def test_own_attack_works_by_name(own_list_of_triggers, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    example = re.search(r"```python\n(.*?)```", OWN_ATTACK, flags=re.DOTALL)
    Path("my_attack.py").write_text(example[1])
    command = re.search(r"tsguard (demo .*--list-attacks)", OWN_ATTACK)
    assert main(command[1].split()) == 0
    assert re.search(r"^freeze +Repeat one value", capsys.readouterr().out, flags=re.MULTILINE)
    assert type(get_trigger("freeze")).__module__ == "tsguard_plugin_my_attack"


# --- docs/attacks.md


def test_gallery_shows_every_trigger():
    """Write it anew with `python benchmarks/trigger_gallery.py`."""
    text = GALLERY.read_text()
    sections = re.findall(r"^## `(\w+)`", text, flags=re.MULTILINE)
    built_in = [
        name
        for name in list_triggers()
        if type(get_trigger(name)).__module__.startswith("tsguard.")
    ]
    assert sections == built_in
    for name in built_in:
        assert f"](images/trigger_{name}.png)" in text
        assert (GALLERY.parent / "images" / f"trigger_{name}.png").stat().st_size <= 60_000


def test_gallery_says_what_the_docstrings_say(monkeypatch):
    """Write it anew with `python benchmarks/trigger_gallery.py`."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    from trigger_gallery import describe

    text = GALLERY.read_text()
    for name in re.findall(r"^## `(\w+)`", text, flags=re.MULTILINE):
        assert describe(name) in text, "run python benchmarks/trigger_gallery.py"


# --- docs/results/core, disturbances: written by `tsguard report RESULTS --out docs/results/core`


@pytest.mark.parametrize("name", ["core", "disturbances"])
def test_the_table_has_every_cell_of_the_committed_grid(name, nothing_stays):
    names = ["dataset", "attack", "mode", "rate", "defense", "backbone", "seed"]
    stored = pd.read_csv(ROOT / "docs" / "results" / name / "cells.csv")[names]
    wanted = read_grid(ROOT / "benchmarks" / "grids" / f"{name}.toml").cells()
    assert sorted(map(tuple, stored.to_numpy().tolist())) == sorted(
        tuple(config[name] for name in names) for config in wanted
    )


def test_cells_restored_from_the_core_table_give_the_same_table(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import restore_cells

    grid = ROOT / "benchmarks" / "grids" / "core.toml"
    table = ROOT / "docs" / "results" / "core" / "cells.csv"
    arguments = ["restore_cells.py", str(grid), str(table), "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", arguments)
    restore_cells.main()
    rows = [read_row(cell_path(tmp_path, config)) for config in read_grid(grid).cells()]
    restored = to_frame(rows)[pd.read_csv(table, nrows=0).columns]
    assert restored.to_csv(index=False) == table.read_text()


def test_readme_shows_the_core_table_as_it_was_written():
    report = (ROOT / "docs" / "results" / "core" / "report.md").read_text()
    shown = README.split("<!-- core table -->\n")[1].split("<!-- end of table -->")[0]
    assert shown.count("\n") == 2 + 10
    assert shown in report
