"""`tsguard bench`: what a grid may hold, and that no cell is lost or run twice."""

import copy
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from tsguard import load_dataset
from tsguard._bench._cell import Machine, run_cell
from tsguard._bench._cost import CostModel, archive_sizes, count_kinds, duration, estimate
from tsguard._bench._grid import MODES, Grid, read_grid
from tsguard._bench._names import fill_settings
from tsguard._bench._results import cell_path, read_row, read_rows, trigger_path, write_row
from tsguard._bench._run import run_grid
from tsguard._bench._workers import Workers, _in_chunks, each_result
from tsguard._cli import main
from tsguard._datasets import subsample
from tsguard._experiment import Experiment, list_methods
from tsguard.attacks import PatchTrigger

TINY = """
datasets = ["ItalyPowerDemand"]
attacks = ["patch"]
defenses = ["undefended", "oracle", "e2abl"]
backbones = ["fcn"]
max_train = 40
max_test = 40
[settings]
n_epochs = 2
"""

has_dask = pytest.mark.skipif(
    importlib.util.find_spec("distributed") is None,
    reason="dask.distributed is missing; pip install tsguard[bench]",
)


@pytest.fixture
def grid_file(tmp_path):
    """Write a grid: the text of TINY with some lines replaced."""

    def write(text=TINY, **lines):
        for key, value in lines.items():
            kept = [line for line in text.splitlines() if not line.startswith(f"{key} =")]
            text = "\n".join([f"{key} = {value}", *kept])
        path = tmp_path / "grid.toml"
        path.write_text(text)
        return path

    return write


def stored(folder):
    """Everything of the cells that must not depend on when and how they were run."""
    keys = ("config", "status", "metrics", "data")
    return {path.name: {key: row[key] for key in keys} for path, row in read_rows(folder)}


# --- the grid file


def test_cells_are_the_product_and_clean_data_is_run_once(grid_file):
    path = grid_file(
        attacks='["patch", "hum"]',
        modes='["dirty", "clean"]',
        rates="[0, 0.1, 0.05]",
        seeds="[0, 1]",
        defenses='["undefended", "oracle", "nad"]',
    )
    cells = read_grid(path).cells()
    attacked = [one for one in cells if one["rate"] > 0]
    clean = [one for one in cells if one["rate"] == 0]
    assert len(attacked) == 2 * 2 * 2 * 2 * 3  # attacks, modes, rates, seeds, defenses
    assert len(clean) == 2 * 2  # seeds, defenses without the oracle
    assert {one["attack"] for one in clean} == {"none"}
    assert {one["clean_share"] for one in cells if one["defense"] == "nad"} == {0.05}
    assert {one["clean_share"] for one in cells if one["defense"] != "nad"} == {None}
    assert len({cell_path(path, one) for one in cells}) == len(cells)
    json.dumps(cells)


def test_names_are_spelled_as_their_owners_do_and_defaults_are_filled_in(grid_file):
    grid = read_grid(grid_file(datasets='["gunpoint", "italypowerdemand"]'))
    assert grid.datasets == ("GunPoint", "ItalyPowerDemand")
    written = read_grid(grid_file("[settings]\nn_epochs = 40\n" + "\n", **CORE))
    omitted = read_grid(grid_file("", **CORE))
    assert written.cells() == omitted.cells()
    assert omitted.settings == fill_settings({})


CORE = {"datasets": '["GunPoint"]', "attacks": '["patch"]'}


def test_parameters_may_need_long_series_or_many_channels(grid_file):
    patch = "{position = 900, length = 300, channels = [0, 70]}"
    grid = read_grid(grid_file(attack_parameters=f"{{patch = {patch}}}"))
    assert grid.cells()[0]["attack_parameters"]["position"] == 900


def test_every_mode_is_one_that_poison_knows():
    data = subsample(load_dataset("GunPoint"), 40, 20, random_state=0)
    for options in MODES.values():
        experiment = Experiment.prepare(data, PatchTrigger(), 0.1, 0, **options)
        assert experiment.poisoned.is_poisoned.any()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ({"datsets": '["GunPoint"]'}, "a key must be one of .* got 'datsets'; did you mean 'datas"),
        ({"datasets": '["GunPiont"]'}, "got 'GunPiont'; did you mean 'GunPoint'"),
        ({"datasets": '"GunPoint"'}, "datasets must be a list of strings, got 'GunPoint'"),
        ({"datasets": "[]"}, "datasets must be a list"),
        ({"datasets": '[""]'}, "a data set must be at hand, .* got ''"),
        ({"datasets": '["GunPoint", "gunpoint"]'}, "datasets must not repeat anything"),
        ({"attacks": '["pach"]'}, "an attack must be one of .* did you mean 'patch'"),
        ({"attacks": '["patch", "patch"]'}, "attacks must not repeat"),
        ({"modes": '["dirt"]'}, "a mode must be one of .* did you mean 'dirty'"),
        ({"defenses": '["e2bal"]'}, "a defense must be one of .* did you mean 'e2abl'"),
        ({"backbones": '["fnc"]'}, "backbone must be one of .* did you mean 'fcn'"),
        ({"rates": "[1.5]"}, r"rates must be a list of numbers from 0 to 1, got \[1.5\]"),
        ({"rates": "[true]"}, "rates must be a list of numbers"),
        ({"seeds": "[-1]"}, "seeds must be a list of integers from 0"),
        ({"seeds": "[4294967296]"}, r"seeds must be a list of .* got \[4294967296\]"),
        ({"max_train": "1"}, "max_train must be an integer of at least 2, got 1"),
        ({"clean_share": "2"}, "clean_share must be a number from 0 to 1, got 2"),
        ({"settings": "3"}, "settings must be a table, got 3"),
        ({"settings": "{epochs = 3}"}, "a key of .settings. must be .* did you mean 'n_epochs'"),
        ({"settings": "{n_epochs = 0}"}, "'n_epochs' parameter .* must be"),
        ({"settings": '{precision = "float8"}'}, "'precision' parameter .* must be"),
        ({"attack_parameters": "{patch = 1}"}, "attack_parameters.patch must be a table"),
        ({"attack_parameters": "{hum = {}}"}, "a table in .attack_parameters. must be one of"),
        ({"attack_parameters": "{patch = {size = 1}}"}, "parameters of trigger 'patch' must be"),
        ({"attack_parameters": "{patch = {length = 7.5}}"}, "length must be"),
        ({"attack_parameters": "{patch = {length = 1, channels = [2]}}"}, "length must be"),
        ({"attack_parameters": "{patch = {channels = [-1]}}"}, "channels must be"),
        (
            {"attacks": '["morph"]', "attack_parameters": "{morph = {strength = 5.0}}"},
            "strength must be",
        ),
        ({"defense_parameters": "{e2abl = {rate = 1}}"}, "defense_parameters.e2abl. must be one"),
        ({"defense_parameters": "{e2abl = {recovery_rate = 7}}"}, "'recovery_rate' parameter"),
        ({"defense_parameters": "{e2abl = {device = 'cpu'}}"}, "must be one of .* got 'device'"),
        ({"plugins": '["no.py"]'}, "plugin must be a Python file"),
        ({"attacks": "[patch]"}, "must be a TOML file"),
    ],
)
def test_a_bad_grid_is_refused_before_anything_runs(lines, message, grid_file, tmp_path, capsys):
    text = TINY.split("[settings]")[0] if "settings" in lines else TINY
    path, out = grid_file(text, **lines), tmp_path / "out"
    with pytest.raises(ValueError, match=message):
        read_grid(path)
    assert main(["bench", str(path), "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("tsguard: error: ")
    assert error.count("\n") == 1
    assert not out.exists()


def test_datasets_and_attacks_must_be_there(grid_file):
    with pytest.raises(ValueError, match="the key 'attacks' must be there"):
        read_grid(grid_file('datasets = ["GunPoint"]'))


def test_the_docs_show_a_valid_grid_and_list_every_key(grid_file):
    text = (Path(__file__).parent.parent / "docs" / "benchmark.md").read_text()
    example = re.search(r"```toml\n(.*?)```", text, flags=re.DOTALL)[1]
    assert len(read_grid(grid_file(example)).cells()) == 2 * (2 * 2 * 4 + 2 * 3)
    rows = " ".join(line.split("|")[1] for line in text.splitlines() if line.startswith("| `"))
    keys = {one.name for one in fields(Grid)}
    assert keys <= set(re.findall(r"`\[?(\w+)", rows))


def test_the_grids_of_the_repository_are_valid(nothing_stays):
    names = {}
    for path in (Path(__file__).parent.parent / "benchmarks" / "grids").glob("*.toml"):
        grid = read_grid(path)
        names[path.name] = (len(grid.datasets), len(grid.attacks), len(grid.defenses))
    assert names["core.toml"] == (10, 8, 2 + 8)  # two references and eight defenses
    assert names["full.toml"][0] == 128 + 30
    assert "smoke.toml" in names


# --- running


def test_what_is_stored_is_whole_and_not_run_again(grid_file, tmp_path, capsys, monkeypatch):
    path, out = grid_file(), tmp_path / "out"
    command = ["bench", str(path), "--out", str(out), "--json"]
    assert main(command) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"cells": 3, "stored": 0, "run": 3, "failed": 0}
    assert captured.err.count(" left\n") == 3
    assert "3/3 ItalyPowerDemand patch dirty 0.1 fcn e2abl seed 0: CA " in captured.err
    rows = dict(read_rows(out))
    for row in rows.values():
        assert row["status"] == "ok"
        assert row["data"]["n_train"] == 40
        assert row["data"]["n_poisoned"] == 4
        assert row["seconds"] <= row["total_seconds"]
        assert row["peak_memory_mb"] > 50
        assert row["device"]["kind"] == "cpu"
        assert "torch" in row["versions"]
        assert row["config"]["settings"]["n_epochs"] == 2
    # All methods were given the same poisoned set.
    assert len({row["data"]["poisoned_set"] for row in rows.values()}) == 1
    e2abl = next(row for row in rows.values() if row["config"]["defense"] == "e2abl")
    assert {"isolation_precision", "isolation_recall", "suspected"} <= set(e2abl["metrics"])

    before = {file: file.stat().st_mtime_ns for file in rows}
    monkeypatch.setattr("tsguard._bench._run.run_cell", None)  # would fail if it were called
    assert main(command) == 0
    assert json.loads(capsys.readouterr().out) == {"cells": 3, "stored": 3, "run": 0, "failed": 0}
    assert before == {file: file.stat().st_mtime_ns for file, _ in read_rows(out)}


def test_killed_at_any_time_it_goes_on_to_the_same_cells(grid_file, tmp_path):
    path = grid_file(TINY.replace("n_epochs = 2", "n_epochs = 8"), seeds="[0, 1]")
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    command = [sys.executable, "-m", "tsguard", "bench", str(path), "--out", str(killed)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while not list((killed / "cells").glob("*.json")) and process.poll() is None:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    found = stored(killed)
    assert 1 <= len(found) < 6, "the run was over before it was killed"
    # What the killed process may leave half-written counts as nothing, wherever it was killed.
    torn = sorted((killed / "cells").glob("*.json"))[0]
    (killed / "cells" / f"{torn.name}.123.part").write_text(torn.read_text()[:100])
    grid = read_grid(path)
    summary = run_grid(grid, killed)
    assert (summary.stored, summary.run) == (len(found), 6 - len(found))
    run_grid(grid, whole)
    assert stored(killed) == stored(whole)


def test_a_cell_is_whole_or_not_there(tmp_path, monkeypatch):
    row = {"format": 1, "config": {}, "status": "ok", "metrics": {}}
    write_row(tmp_path / "a.json", row)

    def power_cut(*_):
        raise OSError("off")

    monkeypatch.setattr(os, "replace", power_cut)
    for name in ("a.json", "b.json"):
        with pytest.raises(OSError, match="off"):
            write_row(tmp_path / name, row | {"status": "failed"})
    assert read_row(tmp_path / "a.json") == row
    assert read_row(tmp_path / "b.json") is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"format": 0, "config": {}}',
        '{"format": 1, "config": {}, "status": "ok", "metrics": null}',
    ],
)
def test_what_is_no_cell_counts_as_missing(text, tmp_path):
    (tmp_path / "a.json").write_text(text)
    assert read_row(tmp_path / "a.json") is None


def test_results_of_another_machine_are_merged_by_copying(grid_file, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    run_grid(read_grid(grid_file(defenses='["undefended"]')), here)
    run_grid(read_grid(grid_file(defenses='["oracle"]')), there)
    shutil.copytree(there, here, dirs_exist_ok=True)
    summary = run_grid(read_grid(grid_file(defenses='["undefended", "oracle"]')), here)
    assert (summary.cells, summary.stored, summary.run) == (2, 2, 0)


def test_a_failed_cell_is_stored_with_its_error_and_retried_when_asked(grid_file, tmp_path, capsys):
    # Nine classes do not fit into five series.
    lines = {"datasets": '["ItalyPowerDemand", "JapaneseVowels"]', "max_train": "5"}
    path, out = grid_file(defenses='["undefended"]', **lines), tmp_path / "out"
    command = ["bench", str(path), "--out", str(out), "--json"]
    assert main(command) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"cells": 2, "stored": 0, "run": 2, "failed": 1}
    assert "FAILED (ValueError: n_train must be at least the number of classes" in captured.err
    failed = [row for _, row in read_rows(out) if row["status"] == "failed"]
    assert failed[0]["config"]["dataset"] == "JapaneseVowels"
    assert "Traceback" in failed[0]["traceback"]
    assert main(command) == 0
    assert json.loads(capsys.readouterr().out)["run"] == 0
    assert main([*command, "--retry-failed"]) == 0
    assert json.loads(capsys.readouterr().out) == {"cells": 2, "stored": 1, "run": 1, "failed": 1}


def test_a_learned_trigger_is_learned_once(grid_file, tmp_path):
    text = TINY + "[attack_parameters.morph]\nn_prototypes = 2\n"
    text = text.replace('"e2abl"', '"spectral"')
    grid = read_grid(grid_file(text, attacks='["morph"]', rates="[0.1, 0.05]"))
    run_grid(grid, tmp_path)
    assert len(list((tmp_path / "triggers").iterdir())) == 1
    sets = {(row["config"]["rate"], row["data"]["poisoned_set"]) for _, row in read_rows(tmp_path)}
    assert len(sets) == 2  # one for each rate, whatever the defense
    # Without the stored trigger the same one is learned again.
    config = grid.cells()[0]
    os.remove(trigger_path(tmp_path, config))
    os.remove(cell_path(tmp_path, config))
    run_grid(grid, tmp_path)
    again = {(row["config"]["rate"], row["data"]["poisoned_set"]) for _, row in read_rows(tmp_path)}
    assert again == sets


def test_a_trigger_that_cannot_be_learned_fails_its_cells(grid_file, tmp_path):
    grid = read_grid(grid_file(attacks='["morph"]', max_train="2", defenses='["undefended"]'))
    summary = run_grid(replace(grid, datasets=("JapaneseVowels",)), tmp_path)
    assert (summary.run, summary.failed) == (1, 1)
    assert "n_train" in next(read_rows(tmp_path))[1]["error"]


def test_a_trigger_of_ones_own(grid_file, tmp_path):
    (tmp_path / "own.py").write_text(
        "from dataclasses import dataclass\nfrom typing import ClassVar\n"
        "from tsguard.attacks import PatchTrigger\n\n@dataclass(frozen=True)\n"
        "class BenchOwnTrigger(PatchTrigger):\n    kind: ClassVar[str] = 'bench_own'\n"
    )
    path = grid_file(plugins='["own.py"]', attacks='["bench_own"]', defenses='["undefended"]')
    assert run_grid(read_grid(path), tmp_path / "out").failed == 0


# --- the experiment


def test_every_method_of_the_harness_has_a_name():
    names = list_methods()
    assert names[:4] == ["undefended", "oracle", "e2abl", "loss_drop"]
    assert {"nad", "spectral", "standard"} <= set(names)
    assert len(names) == len(set(names))


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_clean_subset_is_clean(share):
    data = subsample(load_dataset("ItalyPowerDemand"), 60, 20, random_state=0)
    experiment = Experiment.prepare(data, PatchTrigger(), 0.2, 0, cover_rate=0.1)
    rows = experiment.clean_indices(share)
    poisoned = experiment.poisoned
    assert not (poisoned.is_poisoned | poisoned.is_cover)[rows].any()
    assert set(poisoned.y[rows]) == set(data.classes)
    assert len(rows) == {0.0: 2, 0.3: 18, 1.0: 60 - 12 - 6}[share]
    np.testing.assert_array_equal(rows, experiment.clean_indices(share))


# --- cost


def measured_row(dataset, backbone, defense, seconds, n_train=100, length=10, n_epochs=5):
    config = {
        "dataset": dataset,
        "max_train": None,
        "backbone": backbone,
        "defense": defense,
        "settings": {"n_epochs": n_epochs},
    }
    data = {"n_train": n_train, "n_timepoints": length}
    return {"status": "ok", "config": config, "data": data, "total_seconds": seconds}


def test_cost_by_hand():
    model = CostModel()
    model.add(measured_row("A", "fcn", "undefended", 10.0))  # 5,000 values × epochs
    model.add(measured_row("A", "fcn", "nad", 30.0))
    model.add(measured_row("B", "fcn", "undefended", 5.0, n_train=50))  # 2,500
    model.add(measured_row("A", "deep", "undefended", 40.0))
    assert model.rate("fcn", "undefended") == 15 / 7500
    assert model.rate("deep", "nad") == pytest.approx(40 / 5000 * (30 / 5000) / (15 / 7500))
    assert model.rate("deep", "abl") is None
    assert model.predict(("B", None, "fcn", "undefended", 10)) == pytest.approx(500 * 10 * 0.002)
    assert model.size("C", None) == (1000 + 500) / 2
    config = measured_row("A", "deep", "abl", 0.0)["config"]
    other = copy.deepcopy(config) | {"defense": "undefended"}
    assert model.total(count_kinds([config, other, other])) == (80.0, 1)


def test_sizes_of_the_archives_are_known(tmp_path):
    sizes = archive_sizes()
    full = read_grid(Path(__file__).parent.parent / "benchmarks" / "grids" / "full.toml")
    assert set(full.datasets) == set(sizes)
    assert (len(sizes), sizes["FordA"], sizes["GunPoint"]) == (158, (3601, 500), (50, 150))
    config = measured_row("FordA", "fcn", "abl", 1.0)["config"]
    found = estimate([config], tmp_path, None, 1)
    assert found["sizes_assumed"] == []
    assert (found["cells"], found["unknown"]) == (1, 1)


@pytest.mark.parametrize("command", ["bench no.toml --out x", "bench . --out x"])
def test_what_the_system_refuses_is_one_sentence(command, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(command.split()) == 2
    err = capsys.readouterr().err
    assert re.fullmatch(r"tsguard: error: \S+ could not be read or written \(.+\); .+\.\n", err)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.31, "0.3 s"), (59, "59 s"), (90, "1.5 min"), (7200, "2.0 h")]
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_estimate_runs_nothing(grid_file, tmp_path, capsys):
    out = tmp_path / "out"
    run_grid(read_grid(grid_file(defenses='["undefended"]')), out)
    path = grid_file(defenses='["undefended", "oracle"]', seeds="[0, 1]")
    before = stored(out)
    command = ["bench", str(path), "--out", str(out), "--estimate", "--jobs", "2"]
    capsys.readouterr()
    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["cells"], found["unknown"]) == (3, 2)
    seconds = next(iter(dict(read_rows(out)).values()))["total_seconds"]
    assert found["seconds"] == pytest.approx(seconds / 2)
    assert main(command) == 0
    assert "2 are left out: no cell of their backbone" in capsys.readouterr().out
    assert stored(out) == before


# --- workers


def double(number):
    return 2 * number


def test_chunks_take_tasks_as_they_go():
    taken = []

    def tasks():
        for number in range(20):
            taken.append(number)
            yield (number,)

    results = _in_chunks(double, tasks(), "threading", n_jobs=2)
    assert next(results) == (0, 0)
    assert len(taken) == 8
    assert dict(results) == {number: 2 * number for number in range(1, 20)}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "dsk"}, "engine must be one of .* did you mean 'dask'"),
        ({"jobs": 0}, "jobs must be an integer of at least 1, got 0"),
        ({"address": "tcp://a:1"}, "address must come with engine 'dask' or 'ray'"),
    ],
)
def test_bad_workers(options, message):
    with pytest.raises(ValueError, match=message):
        Workers(**options).checked()


@pytest.mark.parametrize("engine", ["dask", "ray"])
def test_an_engine_that_is_missing_says_so(engine, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r"must be installed for engine .*; run `pip install"):
        list(each_result(double, [(1,)], Workers(engine)))


def kill_self(number):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
def test_a_killed_process_is_one_clear_line():
    with pytest.raises(ChildProcessError, match="a worker process was killed"):
        list(each_result(kill_self, [(n,) for n in range(4)], Workers(jobs=2)))


@pytest.mark.slow
def test_two_processes_do_what_one_does(grid_file, tmp_path):
    grid = read_grid(grid_file())
    run_grid(grid, tmp_path / "one")
    run_grid(grid, tmp_path / "two", workers=Workers(jobs=2))
    assert stored(tmp_path / "one") == stored(tmp_path / "two")


@pytest.mark.slow
@has_dask
@pytest.mark.filterwarnings("ignore")  # of Dask, about ports, workers that vanish and the like
def test_a_dask_worker_may_die(grid_file, tmp_path):
    from distributed import LocalCluster

    grid = read_grid(grid_file(seeds="[0, 1, 2, 3]"))
    out = tmp_path / "dask"
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        victim = cluster.workers[0].pid

        def kill_one():
            while not list((out / "cells").glob("*.json")):
                time.sleep(0.01)
            os.kill(victim, signal.SIGKILL)

        killer = threading.Thread(target=kill_one)
        killer.start()
        workers = Workers("dask", address=cluster.scheduler_address)
        summary = run_grid(grid, out, workers=workers)
        killer.join()
        with pytest.raises(ProcessLookupError):
            os.kill(victim, 0)
    assert (summary.run, summary.failed) == (12, 0)
    rows = [row for _, row in read_rows(out)]
    config = rows[0]["config"]
    assert run_cell(config, None, Machine())["metrics"] == rows[0]["metrics"]


@pytest.mark.slow
@has_dask
@pytest.mark.filterwarnings("ignore")
def test_a_task_that_kills_its_dask_workers_is_an_error_and_the_others_go_on():
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        address = cluster.scheduler_address
        tasks = [(0,), (1,), (2,)]
        found = dict(each_result(kill_if_one, tasks, Workers("dask", address=address)))
    assert (found[0], found[2]) == (0, 4)
    assert type(found[1]).__name__ == "KilledWorker"


def kill_if_one(number):
    return kill_self(number) if number == 1 else 2 * number
