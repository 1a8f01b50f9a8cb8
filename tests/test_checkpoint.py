"""Fits that are killed go on, and end as if nothing had happened.

Run as a script, this file is the process that is killed: it reads one task a line, forks for each
and says how the child ended. So what takes seconds to import is imported once.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone

from tsguard import E2ABLClassifier, attacks, defenses, load, load_dataset, poison, save
from tsguard import _checkpoint as module
from tsguard._checkpoint import Checkpoint
from tsguard._cli import main
from tsguard._engine import Engine
from tsguard._identity import _plain

SMALL = {"backbone": "fcn", "n_epochs": 6, "random_state": 0}
SHARE = module.LARGEST_SHARE  # before tests let every epoch be written
VOUCHED = {"clean_indices": list(range(20, 32))}


def cases():
    """Return all classifiers for series by a short name."""
    kinds = {name: type(defenses.get_defense(name)) for name in defenses.list_defenses()}
    made = {
        name: kind(**SMALL, **(VOUCHED if kind.needs_clean_subset else {}))
        for name, kind in kinds.items()
    }
    return made | {
        "e2abl": E2ABLClassifier(**SMALL),
        "e2abl_loss_drop": E2ABLClassifier(**SMALL, suspicion="loss_drop"),
    }


def poisoned_series():
    data = load_dataset("ItalyPowerDemand")
    target = data.classes[0]
    patch = attacks.PatchTrigger()
    return poison(data.X_train, data.y_train, patch, rate=0.1, target=target, random_state=0)


def images():
    from tsguard_vision import load_dataset

    data = load_dataset("digits")
    return data.X_train[:40], data.y_train[:40]


# -- the process that is killed -----------------------------------------------------------------


def serve():
    """Do what the lines of the standard input say."""
    torch.set_num_threads(1)
    from tsguard_vision import E2ABLImageClassifier

    known = cases()
    known["images"] = E2ABLImageClassifier("wideresnet16_1", n_epochs=3, random_state=0)
    poisoned = poisoned_series()
    known["e2abl"].fit(poisoned.X, poisoned.y)  # compile once, for all children
    for line in sys.stdin:
        task = json.loads(line)
        data = images() if task["case"] == "images" else (poisoned.X, poisoned.y)
        classifier = clone(known[task["case"]]).set_params(**task["parameters"])
        start = time.monotonic()
        child = os.fork()
        if child == 0:
            fit_and_save(classifier, data, task)
        if task["after"] is not None:
            time.sleep(task["after"])
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        answer = {"code": os.waitstatus_to_exitcode(status), "took": time.monotonic() - start}
        sys.stdout.write(f"{json.dumps(answer)}\n")
        sys.stdout.flush()


def fit_and_save(classifier, data, task):
    """Fit in a child and end it; a state is written after every epoch."""
    module.SHORTEST_PAUSE, module.LARGEST_SHARE = 0.0, 1e9
    try:
        if task["at"] is not None:
            die_at_file_operation(task["at"], task["checkpoint"])
        classifier.fit(*data, checkpoint=task["checkpoint"])
        save(classifier, task["out"])
    except BaseException as error:
        sys.stderr.write(f"{error!r}\n")
        os._exit(1)
    os._exit(0)


def die_at_file_operation(number, folder):
    """Let this process be killed right before it touches the folder for the nth time."""
    left = [number]

    def watch(event, arguments):
        touches = ("open", "os.rename", "os.remove", "os.mkdir")
        if event in touches and str(arguments[0]).startswith(folder):
            left[0] -= 1
            if left[0] <= 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


# -- killing ------------------------------------------------------------------------------------


class Host:
    """Talks to the process above."""

    def __init__(self, process):
        self.process = process

    def fit(self, case, checkpoint, out, *, at=None, after=None, **parameters):
        task = {"case": case, "checkpoint": checkpoint and str(checkpoint), "out": str(out)}
        task |= {"at": at, "after": after, "parameters": parameters}
        self.process.stdin.write(f"{json.dumps(task)}\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def fit_killed(self, case, folder, kills, **parameters):
        """Fit, be killed as often as ``kills`` says, and return the model of the last process."""
        died = 0
        for kill in kills:
            answer = self.fit(case, folder / "kept", folder / "model", **kill, **parameters)
            died += answer["code"] == -signal.SIGKILL
        answer = self.fit(case, folder / "kept", folder / "model", **parameters)
        assert answer["code"] == 0
        return died, load(folder / "model")


@pytest.fixture(scope="module")
def host():
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    # The layer of Numba's threads that outlives a fork.
    environment["NUMBA_THREADING_LAYER"] = "workqueue"
    process = subprocess.Popen(
        [sys.executable, __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    with process:
        yield Host(process)
        process.kill()


@pytest.fixture(scope="module")
def undisturbed(host, tmp_path_factory):
    """Return the model of a fit that nobody kills and that keeps nothing, and how long it took."""
    known = {}

    def fit(case):
        if case not in known:
            out = tmp_path_factory.mktemp("undisturbed") / case
            answer = host.fit(case, None, out)
            assert answer["code"] == 0
            known[case] = load(out), answer["took"]
        return known[case]

    return fit


def assert_same_fit(first, second):
    """All weights and attributes are equal, to the last bit."""
    weights, others = (one.network_.state_dict() for one in (first, second))
    assert list(weights) == list(others)
    assert all(torch.equal(weights[name], others[name]) for name in weights)
    names = {name for name in vars(first) if name.endswith("_")}
    assert names == {name for name in vars(second) if name.endswith("_")}
    for name in names - {"network_", "fit_time_millis_", "metadata_"}:
        one, other = getattr(first, name), getattr(second, name)
        if isinstance(one, pd.DataFrame):
            pd.testing.assert_frame_equal(one, other, check_exact=True)
        else:
            np.testing.assert_equal(one, other, err_msg=name)


def test_the_process_compares_what_it_should(undisturbed):
    model, _ = undisturbed("e2abl")
    assert model.suspect_mask_.any()  # the fit isolates, or it would show little
    assert len(model.records_["trap_loss"]) == SMALL["n_epochs"]
    with pytest.raises(AssertionError):
        assert_same_fit(model, undisturbed("e2abl_loss_drop")[0])


@pytest.mark.parametrize("case", ["e2abl", "abl"])
def test_killed_at_random_file_operations(case, host, undisturbed, tmp_path):
    rng = np.random.default_rng(sum(case.encode()))
    kills = [{"at": int(at)} for at in rng.integers(2, 20, size=6)]
    died, model = host.fit_killed(case, tmp_path, kills)
    assert died >= 4
    assert_same_fit(model, undisturbed(case)[0])


@pytest.mark.parametrize("case", ["e2abl", "abl"])
def test_killed_at_random_times(case, host, undisturbed, tmp_path):
    expected, seconds = undisturbed(case)
    kills = [
        {"after": float(share) * seconds}
        for share in np.random.default_rng(1).uniform(0.1, 0.9, size=3)
    ]
    died, model = host.fit_killed(case, tmp_path, kills)
    assert died >= 1
    assert_same_fit(model, expected)


@pytest.mark.parametrize("case", sorted(set(cases()) - {"e2abl", "abl"}))
def test_every_classifier_goes_on(case, host, undisturbed, tmp_path):
    rng = np.random.default_rng(sum(case.encode()))
    kills = [{"at": int(at)} for at in rng.integers(8, 30, size=2)]
    died, model = host.fit_killed(case, tmp_path, kills)
    assert died >= 1
    assert_same_fit(model, undisturbed(case)[0])


def test_image_classifier_goes_on(host, undisturbed, tmp_path):
    pytest.importorskip("tsguard_vision")  # lets images be loaded
    died, model = host.fit_killed("images", tmp_path, [{"at": 12}])
    assert died == 1
    assert_same_fit(model, undisturbed("images")[0])


def test_every_file_operation_of_a_short_fit(host, tmp_path):
    """Not at random: every single moment between two operations is survived."""
    short, model = {"n_epochs": 2}, tmp_path / "model"
    host.fit("standard", None, model, **short)
    expected = load(model)
    for at in range(1, 100):
        folder = tmp_path / str(at)
        killed = host.fit("standard", folder, model, at=at, **short)["code"] == -signal.SIGKILL
        if not killed:
            break
        assert host.fit("standard", folder, model, **short)["code"] == 0
        assert_same_fit(load(model), expected)
        assert sorted(os.listdir(folder)) == ["checkpoint.json", "lock", "run-0.safetensors"]
    assert 15 < at < 40


def test_drawn_seed_is_kept(host, tmp_path):
    died, model = host.fit_killed("standard", tmp_path, [{"at": 15}], random_state=None)
    assert died == 1
    seed = json.loads((tmp_path / "kept" / "checkpoint.json").read_bytes())["seed"]
    assert host.fit("standard", None, tmp_path / "other", random_state=seed)["code"] == 0
    assert_same_fit(model, load(tmp_path / "other"))


# -- in this process: what the folder may be -----------------------------------------------------


@pytest.fixture(autouse=True)
def every_epoch(monkeypatch):
    monkeypatch.setattr(module, "SHORTEST_PAUSE", 0.0)
    monkeypatch.setattr(module, "LARGEST_SHARE", 1e9)


def standard(**changes):
    return defenses.StandardClassifier("fcn", n_epochs=3, random_state=0).set_params(**changes)


class Stopped(BaseException):
    """As Ctrl-C would be."""


def stop_after(monkeypatch, n_epochs):
    """Let the next fits be stopped once they have kept so many epochs."""
    left, keep = [n_epochs], Checkpoint.keep

    def keep_and_stop(self, capture, *, finished):
        keep(self, capture, finished=finished)
        left[0] -= 1
        if left[0] == 0:
            raise Stopped

    monkeypatch.setattr(Checkpoint, "keep", keep_and_stop)


@pytest.fixture
def stopped(waves, tmp_path, monkeypatch):
    """Return the folder of a fit that was stopped after two of three epochs."""
    with monkeypatch.context() as patched:
        stop_after(patched, 2)
        with pytest.raises(Stopped):
            standard().fit(*waves, checkpoint=tmp_path / "kept")
    return tmp_path / "kept"


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_fit_without_checkpoint_writes_nothing(waves, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Checkpoint, "keep", lambda *_: pytest.fail("kept"))
    standard().fit(*waves)
    assert os.listdir(tmp_path) == []


def test_interruption_by_an_exception_goes_on_and_trains_only_the_rest(waves, stopped, monkeypatch):
    assert sorted(contents(stopped)) == ["checkpoint.json", "lock", "run-0-epoch-2.safetensors"]
    kept, keep = [], Checkpoint.keep
    monkeypatch.setattr(Checkpoint, "keep", lambda *a, **k: (kept.append(1), keep(*a, **k))[1])
    classifier = standard(verbose=True, device="cpu").fit(*waves, checkpoint=str(stopped))
    assert len(kept) == 1
    assert_same_fit(classifier, standard().fit(*waves))
    assert "_checkpoint" not in vars(classifier)


def test_finished_fit_is_loaded_at_once(waves, tmp_path, monkeypatch):
    first = standard(random_state=None).fit(*waves, checkpoint=tmp_path)
    before = contents(tmp_path)
    monkeypatch.setattr(Checkpoint, "keep", lambda *_: pytest.fail("trained"))
    assert_same_fit(first, standard(random_state=None).fit(*waves, checkpoint=tmp_path))
    assert contents(tmp_path) == before


def test_random_state_object_is_advanced_as_ever(waves, stopped, tmp_path):
    first, second = (np.random.RandomState(3) for _ in range(2))
    standard(random_state=first).fit(*waves, checkpoint=tmp_path / "objects")
    standard(random_state=second).fit(*waves)
    assert first.randint(1000) == second.randint(1000)


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"n_epochs": 4}, "n_epochs is 3 there and 4 here"),
        ({"random_state": None}, "random_state is 0 there and None here"),
        ({"backbone": "resnet1d"}, "backbone is 'fcn' there and 'resnet1d' here"),
        ({"learning_rate": 0.1}, "learning_rate is 0.003 there and 0.1 here"),
    ],
)
def test_other_parameters_are_refused(changes, difference, waves, stopped):
    before = contents(stopped)
    with pytest.raises(ValueError, match=rf"checkpoint must belong to this fit.*\({difference}\)"):
        standard(**changes).fit(*waves, checkpoint=stopped)
    assert contents(stopped) == before


def test_other_class_version_and_data_are_refused(waves, stopped, monkeypatch):
    X, y = waves
    before = contents(stopped)
    with pytest.raises(ValueError, match="class is 'StandardClassifier' there"):
        E2ABLClassifier("fcn", n_epochs=3, random_state=0).fit(X, y, checkpoint=stopped)
    changed = X.copy()
    changed[7, 0, 3] += 1e-3
    with pytest.raises(ValueError, match=r"X is 'sha256 .* there"):
        standard().fit(changed, y, checkpoint=stopped)
    with pytest.raises(ValueError, match=r"y is 'sha256 .* there"):
        standard().fit(X, y[::-1], checkpoint=stopped)
    with monkeypatch.context() as patched:
        patched.setattr("tsguard._identity.__version__", "9.9")
        with pytest.raises(ValueError, match=r"tsguard is '0\..* there and '9.9' here"):
            standard().fit(X, y, checkpoint=stopped)
    assert contents(stopped) == before
    standard().fit(X, y, checkpoint=stopped)


def test_clean_indices_and_own_backbones_are_compared(waves, tmp_path):
    def tuned(rows):
        return defenses.FinePruningClassifier("fcn", n_epochs=1, clean_indices=rows, random_state=0)

    tuned([3, 4, 5]).fit(*waves, checkpoint=tmp_path / "rows")
    tuned(np.array([3, 4, 5])).fit(*waves, checkpoint=tmp_path / "rows")
    with pytest.raises(ValueError, match="clean_indices is 'array"):
        tuned([3, 4, 6]).fit(*waves, checkpoint=tmp_path / "rows")

    def own(bias):
        layer = torch.nn.Linear(48, 3)
        for value in layer.parameters():
            torch.nn.init.constant_(value, bias)
        return standard(backbone=torch.nn.Sequential(torch.nn.Flatten(), layer))

    own(0.1).fit(*waves, checkpoint=tmp_path / "own")
    own(0.1).fit(*waves, checkpoint=tmp_path / "own")
    with pytest.raises(ValueError, match="backbone is 'Sequential"):
        own(0.2).fit(*waves, checkpoint=tmp_path / "own")


def test_any_type_of_weights_has_a_checksum():
    module_of = {kind: torch.nn.Linear(3, 2).to(kind) for kind in (torch.bfloat16, torch.float64)}
    told = {kind: _plain(one) for kind, one in module_of.items()}
    assert all(text.startswith("Linear sha256") for text in told.values())
    for one in module_of.values():
        torch.nn.init.zeros_(one.bias)
    assert all(_plain(one) != told[kind] for kind, one in module_of.items())


@pytest.mark.parametrize("name", ["checkpoint.json", "run-0-epoch-2.safetensors"])
@pytest.mark.parametrize("damage", ["shortened", "altered", "empty", "gone"])
def test_damage_is_told(name, damage, waves, stopped):
    path = stopped / name
    data = path.read_bytes()
    middle = len(data) // 2
    flipped = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes({"shortened": data[:-9], "altered": flipped, "empty": b""}[damage])
    before = contents(stopped)
    with pytest.raises(ValueError, match=rf"checkpoint must be as fit wrote it.*{name}.*begin"):
        standard().fit(*waves, checkpoint=stopped)
    assert contents(stopped) == before


def rewrite(folder, change):
    """Alter the index with a checksum that is right."""
    path = folder / "checkpoint.json"
    index = json.loads(path.read_bytes())
    change(index)
    index["sha256"] = module.digest_of_values(index, allow_nan=True)
    path.write_text(json.dumps(index))


@pytest.mark.parametrize(
    "change",
    [
        lambda index: index["runs"][0]["epochs"].pop(),
        lambda index: index["runs"][0]["epochs"].extend([{}] * 5),
        lambda index: index["runs"][0].pop("finished"),
        lambda index: index["runs"][0].update(finished=True),
        lambda index: index["runs"][0].update(file="../../secret"),
        lambda index: index.update(runs=3),
        lambda index: index.update(seed="x"),
        lambda index: index["runs"].append(index["runs"][0]),
    ],
)
def test_states_that_make_no_sense_are_refused(change, waves, stopped):
    rewrite(stopped, change)
    with pytest.raises(ValueError, match="checkpoint must be as fit wrote it"):
        standard().fit(*waves, checkpoint=stopped)


def test_newer_format_is_refused(waves, stopped):
    rewrite(stopped, lambda index: index.update(format_version=2))
    with pytest.raises(ValueError, match=r"must be at most 1, got 2; update tsguard"):
        standard().fit(*waves, checkpoint=stopped)


def test_folder_of_something_else_is_left_alone(waves, tmp_path):
    (tmp_path / "thesis.tex").write_text("dear")
    with pytest.raises(FileExistsError, match=r"new or empty.*\(thesis.tex\); choose another"):
        standard().fit(*waves, checkpoint=tmp_path)
    with pytest.raises(FileExistsError, match=r"\(a file\)"):
        standard().fit(*waves, checkpoint=tmp_path / "thesis.tex")
    assert os.listdir(tmp_path) == ["thesis.tex"]
    with pytest.raises(TypeError, match="checkpoint must be the path of a folder or None, got int"):
        standard().fit(*waves, checkpoint=3)
    with pytest.raises(TypeError):
        standard().fit(*waves, tmp_path / "by position")


def test_folder_in_use_is_refused(waves, stopped):
    pytest.importorskip("fcntl")
    other = Checkpoint(stopped)
    other._take_lock()
    with pytest.raises(BlockingIOError, match="one fit at a time"):
        standard().fit(*waves, checkpoint=stopped)
    other.close()
    standard().fit(*waves, checkpoint=stopped)


def test_disk_that_is_full_is_one_sentence_and_costs_one_epoch(waves, stopped, monkeypatch):
    def full(path, data):
        path.write_bytes(data[:10])
        raise OSError(28, "No space left on device", str(path))

    before = contents(stopped)
    with monkeypatch.context() as patched:
        patched.setattr(module, "_write_through", full)
        with pytest.raises(OSError, match=r"checkpoint could not be written .*free some space"):
            standard().fit(*waves, checkpoint=stopped)
    assert before.items() <= contents(stopped).items()
    assert_same_fit(standard().fit(*waves, checkpoint=stopped), standard().fit(*waves))


def test_another_verdict_than_before_is_told(waves, tmp_path, monkeypatch):
    classifier = E2ABLClassifier("fcn", n_epochs=4, suspicion="loss_drop", random_state=0)
    with monkeypatch.context() as patched:
        stop_after(patched, 3)
        with pytest.raises(Stopped):
            clone(classifier).fit(*waves, checkpoint=tmp_path)
    monkeypatch.setattr(
        "tsguard._isolation.LossDropIsolation._isolate",
        lambda self, targets, records: targets.assign(main_weight=np.zeros(len(targets.given))),
    )
    with pytest.raises(ValueError, match=r"fit must come to the same labels.*'main_weight'"):
        clone(classifier).fit(*waves, checkpoint=tmp_path)


def test_states_are_written_at_first_then_rarely(waves, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SHORTEST_PAUSE", 1000.0)
    written, write = [], Checkpoint._write
    monkeypatch.setattr(
        Checkpoint,
        "_write",
        lambda self, state: (written.append(len(state.epochs)), write(self, state)),
    )
    standard(n_epochs=5).fit(*waves, checkpoint=tmp_path)
    assert written == [1, 5]


def test_copies_of_a_folder_go_on(waves, stopped, tmp_path):
    copy = shutil.copytree(stopped, tmp_path / "elsewhere")
    assert_same_fit(standard().fit(*waves, checkpoint=copy), standard().fit(*waves))


# -- tsguard scan ---------------------------------------------------------------------------------


@pytest.fixture
def scanning(tmp_path, monkeypatch):
    """Return what runs ``tsguard scan`` on a poisoned file; it keeps its training in ``kept``."""
    monkeypatch.chdir(tmp_path)
    poisoned = poisoned_series()
    np.savez("data.npz", X=poisoned.X, y=poisoned.y)
    fast = ["--backbone", "fcn", "--epochs", "4", "--device", "cpu", "--checkpoint", "kept"]
    return lambda *options: main(["scan", "data.npz", *fast, *options])


def test_scan_goes_on_and_then_removes_what_it_kept(scanning, monkeypatch, capsys):
    assert scanning("--out", "whole") == 3
    assert not Path("kept").exists()
    with monkeypatch.context() as patched:
        stop_after(patched, 3)
        with pytest.raises(Stopped):
            scanning("--out", "out")
    assert "run-0-epoch-3.safetensors" in os.listdir("kept/training")
    assert not Path("out").exists()

    assert scanning("--out", "out", "--seed", "1") == 2
    assert "random_state is 0 there and 1 here" in capsys.readouterr().err
    epochs, epoch = [], Engine._epoch
    monkeypatch.setattr(Engine, "_epoch", lambda *a: (epochs.append(1), epoch(*a)))
    assert scanning("--out", "out") == 3
    assert len(epochs) == 1
    assert_same_fit(load("out/model"), load("whole/model"))
    assert not Path("kept").exists()


def test_scan_leaves_what_is_not_its_own(scanning, capsys):
    Path("kept").mkdir()
    Path("kept/thesis.tex").write_text("dear")
    assert scanning("--out", "out") == 3
    assert os.listdir("kept") == ["thesis.tex"]
    assert scanning("--out", "new", "--checkpoint", "new/kept") == 2
    assert scanning("--out", "other", "--no-train") == 2
    message = capsys.readouterr().err
    assert "checkpoint must not be inside out, got new/kept" in message
    assert "checkpoint must be left out where nothing is trained" in message
    assert sorted(os.listdir()) == ["data.npz", "kept", "out"]


HOW_TO = (Path(__file__).parent.parent / "docs" / "save-and-load.md").read_text()


def test_format_is_documented(stopped):
    assert all(name in HOW_TO for name in ("`checkpoint.json`", "`run-0.safetensors`", "`lock`"))
    index = json.loads((stopped / "checkpoint.json").read_bytes())
    assert all(f"`{name}`" in HOW_TO for name in index)
    assert all(f"`{name}`" in HOW_TO for name in index["runs"][0])
    assert f"at most {SHARE:.0%}".replace("%", " %") in HOW_TO


def test_example_runs_as_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"```py\n(.*?)```", HOW_TO, flags=re.DOTALL)
    exec(compile(block, "save-and-load.md", "exec"), {})
    assert os.listdir() == ["my_checkpoint"]


if __name__ == "__main__":
    serve()
