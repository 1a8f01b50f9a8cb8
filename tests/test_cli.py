"""The command line: what it prints, writes and refuses."""

import json
import os
import re
import subprocess
import sys
import time

import matplotlib.image
import pytest

from tsguard import __version__
from tsguard._cli import main
from tsguard._demo import format_table
from tsguard.attacks import Trigger, list_triggers

FAST = ["demo", "--dataset", "ItalyPowerDemand", "--backbone", "fcn"]
SCORES = {"clean_accuracy", "attack_success_rate", "robust_accuracy"}
ISOLATION = {"isolation_precision", "isolation_recall", "recovery_accuracy", "suspected_target"}


PLUGIN = """
from dataclasses import dataclass
from typing import ClassVar
from tsguard.attacks import LearnedTrigger

@dataclass(frozen=True)
class LevelTrigger(LearnedTrigger):
    kind: ClassVar[str] = "level"

    def _learn(self, knowledge):
        return {"level": knowledge.X.mean(axis=(0, 2))}

    def _stamp_learned(self, X, out, weights):
        out[:] = X
        out[:, :, :3] = weights["level"][:, None]
"""


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """Standard output and folder of one small demo, run as a user runs it.

    Its trigger is a user's own and has to be learned: the longest way there is.
    """
    out = tmp_path_factory.mktemp("demo")
    (out / "plugin.py").write_text(PLUGIN)
    own = ["--plugin", str(out / "plugin.py"), "--attack", "level"]
    command = [sys.executable, "-m", "tsguard", *FAST, *own, "--out", str(out), "--json"]
    process = subprocess.run(command, capture_output=True, text=True, check=True)
    return process, out


def test_json_has_exactly_the_promised_keys(demo):
    report = json.loads(demo[0].stdout)
    assert list(report) == [
        "dataset",
        "attack",
        "rate",
        "target",
        "n_train",
        "n_poisoned",
        "undefended",
        "oracle",
        "e2abl",
        "seconds",
    ]
    assert set(report["undefended"]) == set(report["oracle"]) == SCORES
    assert set(report["e2abl"]) == SCORES | ISOLATION
    assert set(report["seconds"]) == {"undefended", "oracle", "e2abl"}
    assert (report["n_train"], report["n_poisoned"]) == (67, 7)
    assert all(0 <= report[m][s] <= 1 for m in ("undefended", "oracle", "e2abl") for s in SCORES)


def test_progress_goes_to_stderr(demo):
    assert "epoch" in demo[0].stderr
    assert demo[0].stdout.count("\n") == 1


def test_report_and_plots_are_written(demo):
    process, out = demo
    stored = json.loads((out / "report.json").read_text())
    printed = json.loads(process.stdout)
    assert {key: stored[key] for key in printed} == printed
    assert stored["versions"]["tsguard"] == __version__
    for name in ("trigger.png", "suspicion.png", "losses.png"):
        pixels = matplotlib.image.imread(out / name)
        assert pixels.shape[0] > 300
        assert pixels.std() > 0.05  # something is drawn


def test_list_attacks(nothing_stays, capsys, tmp_path):
    (tmp_path / "plugin.py").write_text(PLUGIN)
    assert main(["demo", "--list-attacks", "--plugin", str(tmp_path / "plugin.py")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list_triggers()
    assert "level" in list_triggers()
    assert next(line for line in lines if line.startswith("patch ")).endswith("in turn.")


def test_plugin_may_be_a_module(nothing_stays, monkeypatch, tmp_path, capsys):
    (tmp_path / "tsguard_test_plugin.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    assert main(["demo", "--list-attacks", "--plugin", "tsguard_test_plugin"]) == 0
    assert "level" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("none.py", None, "no such file"),
        ("no_such_module", None, "no such module"),
        ("no_such_package.module", None, "no such module"),
        ("wrong.py", "1 / 0", "ZeroDivisionError (division by zero) while importing it"),
        ("needs.py", "import no_such_module", "ModuleNotFoundError (No module named"),
        ("syntax.py", "def", "SyntaxError"),
    ],
)
def test_bad_plugins(name, text, reason, nothing_stays, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if text is not None:
        (tmp_path / name).write_text(text)
    assert main(["demo", "--plugin", name]) == 2
    message = capsys.readouterr().err
    assert message.startswith("tsguard: error: plugin must be a Python file (.py) or the name of a")
    assert f"got {name!r}: {reason}" in message
    assert f"tsguard_plugin_{name[:-3]}" not in sys.modules


def test_a_trigger_file_imports_nothing(tmp_path):
    """Only --plugin does: a file may name what it likes."""
    (tmp_path / "trigger.json").write_text('{"kind": "antigravity", "module": "this"}')
    with pytest.raises(ValueError, match="trigger must be one of"):
        Trigger.load(tmp_path / "trigger.json")
    assert not {"antigravity", "this"} & set(sys.modules)


def test_table_names_what_was_found(demo):
    table = format_table(json.loads(demo[0].stdout))
    assert "7 of 67 training samples" in table
    assert all(method in table for method in ("undefended", "oracle", "e2abl"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset", "ItalyPowerDemnd"], "ItalyPowerDemand"),
        (["--attack", "pach"], "patch"),
        (["--backbone", "fnc"], "did you mean 'fcn'"),
        (["--rate", "1.5"], "rate must be"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, message, capsys, tmp_path):
    assert main([*FAST, "--out", str(tmp_path), *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("tsguard: error: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err


def test_a_folder_that_cannot_be_written_is_refused_before_training(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    start = time.perf_counter()
    assert main([*FAST, "--out", str(tmp_path / "file")]) == 2
    assert time.perf_counter() - start < 5
    assert "file" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["demo", "--nonsense"], ["demo", "--rate", "much"]])
def test_usage_errors_are_one_line_and_exit_with_2(arguments, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert re.fullmatch(r"tsguard: error: .*; see tsguard.* --help\.\n", capsys.readouterr().err)


def doctor(stdout):
    return subprocess.run(
        [sys.executable, "-m", "tsguard", "doctor"],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )


def test_a_result_that_cannot_be_printed():
    with open("/dev/full", "w") as full:
        process = doctor(full)
    assert process.returncode == 2
    assert process.stderr.startswith("tsguard: error: the result could not be printed (no space")
    assert process.stderr.count("\n") == 1


def test_a_reader_that_has_seen_enough():
    reader, writer = os.pipe()
    os.close(reader)
    process = doctor(writer)
    os.close(writer)
    assert (process.returncode, process.stderr) == (0, "")


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (KeyboardInterrupt(), 130, "tsguard: stopped"),
        (MemoryError("3 TiB"), 2, "tsguard: error: there is too little memory (3 TiB)."),
    ],
)
def test_no_traceback_where_a_command_is_stopped(error, code, message, monkeypatch, capsys):
    def stop(*_, **__):
        raise error

    monkeypatch.setattr("tsguard._doctor.examine", stop)
    assert main(["doctor"]) == code
    assert capsys.readouterr().err == f"{message}\n"


def test_help_is_quick_and_imports_nothing_heavy():
    code = "import sys; from tsguard._cli import main; sys.argv = ['tsguard', '--help']\n"
    code += "try: main()\nexcept SystemExit: pass\n"
    code += "assert not {'torch', 'aeon', 'tsai', 'numba'} & set(sys.modules), 'heavy import'"
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert "demo" in process.stdout
