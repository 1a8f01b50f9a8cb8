"""Saved models: everything comes back, and no file can do more than be refused."""

import builtins
import copy
import hashlib
import io
import json
import os
import pickle
import re
import shutil
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import tsguard
from tsguard import E2ABLClassifier, attacks, defenses, load, poison, save
from tsguard._identity import digest_of_values
from tsguard._persistence import _registry
from tsguard._persistence._registry import attributes_of, known_classes
from tsguard.defenses import StandardClassifier

HOW_TO = (Path(__file__).parent.parent / "docs" / "save-and-load.md").read_text()
FILES = ["arrays.npz", "model.json", "weights.safetensors"]
# Other tests may have imported packages that build on tsguard and put their classes on the list.
OURS = {name for name, one in known_classes().items() if one.__module__.startswith("tsguard.")}


@pytest.fixture(scope="module")
def fitted(waves):
    X, y = waves
    poisoned = poison(X, y, attacks.PatchTrigger(), rate=0.1, target="slow", random_state=0)
    classifier = E2ABLClassifier("fcn", n_epochs=4, random_state=0)
    return classifier.fit(poisoned.X, poisoned.y)


@pytest.fixture(scope="module")
def saved(fitted, tmp_path_factory):
    """A folder that tests copy, never change."""
    folder = tmp_path_factory.mktemp("models") / "model"
    save(fitted, folder)
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "model")


def assert_same_model(first, second, X):
    """Everything public is equal; predictions to the last bit."""
    assert type(first) is type(second)
    np.testing.assert_array_equal(first.predict_proba(X), second.predict_proba(X))
    np.testing.assert_array_equal(first.predict(X), second.predict(X))
    assert first.predict(X).dtype == second.predict(X).dtype
    ours, theirs = ({k for k in vars(one) if k.endswith("_")} for one in (first, second))
    assert ours == theirs
    for name in ours - {"network_"}:
        assert_same_value(getattr(first, name), getattr(second, name))


def assert_same_value(first, second):
    assert type(first) is type(second)
    if isinstance(first, pd.DataFrame):
        pd.testing.assert_frame_equal(first, second)
    elif isinstance(first, np.ndarray):
        assert first.dtype == second.dtype
        np.testing.assert_array_equal(first, second)
    elif isinstance(first, dict):
        assert list(first) == list(second)
        for key in first:
            assert_same_value(first[key], second[key])
    elif isinstance(first, tuple):
        for one, other in zip(first, second, strict=True):
            assert_same_value(one, other)
    else:
        assert first == second


# -- everything comes back -----------------------------------------------------------------------


def test_a_suspicious_fit_comes_back(fitted, saved, waves):
    X, y = waves
    assert fitted.suspected_target_ == "slow"  # else this test would show little
    loaded = load(saved)
    assert_same_model(fitted, loaded, X)
    assert loaded.score(X, y) == fitted.score(X, y)
    assert loaded.get_params() == {**fitted.get_params(), "device": "cpu"}
    assert not loaded.network_.training


@pytest.mark.parametrize("name", sorted(OURS))
def test_every_class_comes_back(name, waves, tmp_path):
    """If this fails for a new attribute, add it to ``_persistence/_registry.py``."""
    X, y = waves
    kind = known_classes()[name]
    parameters = kind._get_test_params()
    classifier = kind(**parameters[0] if isinstance(parameters, list) else parameters)
    if getattr(kind, "needs_clean_subset", False):
        classifier.set_params(clean_indices=np.arange(12))
    classifier.fit(X, y)
    save(classifier, tmp_path / "model")
    assert_same_model(classifier, load(tmp_path / "model"), X)


@pytest.mark.parametrize(
    "labels",
    [
        np.array([7, -3, 2**40]),
        np.array([1, 2, 200], np.uint8),
        np.array([0.0, 2.0, -1.0], np.float32),
        np.array([True, False, True]),
        np.array(["ja", "nein", "größer"], dtype="<U20"),
        np.array([b"a", b"\xff", b"c"]),
        np.array(["a", "b", "c"], dtype=object),
        np.array([3, 1, 2], dtype=object),
    ],
    ids=lambda labels: str(labels.dtype),
)
def test_labels_keep_their_dtype(labels, waves, tmp_path):
    X, _ = waves
    y = labels[np.arange(60) % 3]
    classifier = E2ABLClassifier("fcn", n_epochs=1, random_state=0, isolation_rate=0.1)
    classifier.set_params(suspicion="loss_drop").fit(X[:, 0], y)
    save(classifier, tmp_path / "model")
    assert_same_model(classifier, load(tmp_path / "model"), X[:, 0])


@pytest.mark.parametrize("targets", [None, "slow", np.array(["fast", "slow"])], ids=str)
def test_suspected_targets_come_back(targets, fitted, tmp_path, waves):
    classifier = pickle.loads(pickle.dumps(fitted))
    classifier.suspected_target_ = (
        targets if targets is None else fitted.classes_[np.searchsorted(fitted.classes_, targets)]
    )
    save(classifier, tmp_path / "model")
    assert_same_model(classifier, load(tmp_path / "model"), waves[0])


@pytest.mark.parametrize("estimate", [None, np.ones((1, 2, 24), np.float32)], ids=["none", "one"])
def test_a_new_attribute_is_one_line(estimate, fitted, waves, tmp_path, monkeypatch):
    axes = (None, "n_channels", "n_timepoints")
    kind = _registry.Array(np.floating, axes, optional=True)
    monkeypatch.setitem(_registry._OPTIONAL, "trigger_estimate_", kind)
    classifier = pickle.loads(pickle.dumps(fitted))
    classifier.trigger_estimate_ = estimate
    save(classifier, tmp_path / "model")
    assert_same_model(classifier, load(tmp_path / "model"), waves[0])
    classifier.trigger_estimate_ = np.ones((1, 2, 23))
    with pytest.raises(ValueError, match=r"trigger_estimate_ must be floating of shape .*2, 24\)"):
        save(classifier, tmp_path / "model")


@pytest.mark.parametrize("backbone", ["inceptiontime", "resnet1d", "tsai:XCM", "tsai:TST"])
def test_backbones_come_back(backbone, waves, tmp_path):
    X, y = waves
    classifier = StandardClassifier(backbone, n_epochs=1, random_state=0).fit(X, y)
    save(classifier, tmp_path / "model")
    loaded = load(tmp_path / "model")
    assert_same_model(classifier, loaded, X)
    assert all(not one.is_meta for one in loaded.network_.state_dict().values())


def test_loaded_model_fits_again_as_if_new(fitted, saved, waves):
    again = load(saved).fit(*waves)
    fresh = clone(fitted).fit(*waves)
    np.testing.assert_array_equal(again.predict_proba(waves[0]), fresh.predict_proba(waves[0]))


def test_parameters_that_are_no_json(waves, tmp_path):
    classifier = StandardClassifier(
        "fcn",
        n_epochs=2,
        learning_rate=np.float32(0.01),
        device=torch.device("cpu"),
        random_state=np.random.RandomState(0),
    ).fit(*waves)
    classifier.set_params(n_epochs=np.int64(2))
    save(classifier, tmp_path / "model")
    loaded = load(tmp_path / "model", device=torch.device("cpu"))
    assert (loaded.n_epochs, loaded.random_state) == (2, None)
    assert loaded.learning_rate == float(np.float32(0.01))
    assert loaded.device == torch.device("cpu")


def test_same_model_same_bytes(fitted, saved, tmp_path):
    save(load(saved), tmp_path / "again")
    assert fitted.network_ is not None
    for name in ("arrays.npz", "weights.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (saved / name).read_bytes()


def test_loading_reads_nothing_else_and_no_pickle(saved, monkeypatch, waves):
    def refuse(*_args, **_options):
        raise AssertionError("not needed for loading")

    opened = []
    real_open = io.open

    def spy(path, *args, **options):
        opened.append(str(path))
        return real_open(path, *args, **options)

    monkeypatch.setattr("tsguard._datasets.load_dataset", refuse)
    monkeypatch.setattr("socket.socket.connect", refuse)
    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    monkeypatch.setattr(torch, "load", refuse)
    monkeypatch.setattr(io, "open", spy)
    loaded = load(saved)
    assert {os.path.basename(path) for path in opened} <= set(FILES)
    assert loaded.predict(waves[0]).shape == (60,)
    assert sorted(path.name for path in saved.iterdir()) == FILES


def test_what_was_trained_on_a_gpu_loads_on_the_cpu(fitted, waves, tmp_path):
    """There may be no GPU here; then only what the file says about it is tested."""
    gpu = "cuda" if torch.cuda.is_available() else "cpu"
    classifier = clone(fitted).set_params(device=gpu, n_epochs=1).fit(*waves)
    classifier.set_params(device="cuda")
    classifier.device_ = "cuda"
    save(classifier, tmp_path / "model")
    loaded = load(tmp_path / "model")
    assert (loaded.device, loaded.device_) == ("cpu", "cuda")
    assert_same_model(classifier.set_params(device="cpu"), loaded, waves[0])


def test_device_that_is_not_there(saved):
    with pytest.raises(ValueError, match="device must be 'auto' or a device of this machine"):
        load(saved, device="cuda:99")
    assert load(saved, device="auto").device == "auto"


# -- a backbone of one's own -----------------------------------------------------------------------


def own_module(width=4, n_channels=2):
    return torch.nn.Sequential(
        torch.nn.Conv1d(n_channels, width, 3),
        torch.nn.AdaptiveAvgPool1d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(width, 3),
    )


def test_own_module_comes_back_with_the_module(waves, tmp_path):
    X, y = waves
    classifier = E2ABLClassifier(own_module(), attach_at="0", n_epochs=1, random_state=0).fit(X, y)
    save(classifier, tmp_path / "model")
    told = json.loads((tmp_path / "model" / "model.json").read_text())
    assert told["module"] == "torch.nn.modules.container.Sequential"
    module = own_module()
    before = module[0].weight.clone()
    assert_same_model(classifier, load(tmp_path / "model", "cpu", backbone=module), X)
    assert (module[0].weight == before).all()
    with pytest.raises(ValueError, match=r"backbone must be given .* build the torch.*Sequential"):
        load(tmp_path / "model")
    with pytest.raises(TypeError, match="backbone must be a torch module or None, got str"):
        load(tmp_path / "model", backbone="fcn")
    with pytest.raises(
        ValueError, match=r"weights must fit .* of shape \(4,\) for backbone.0.bias"
    ):
        load(tmp_path / "model", backbone=own_module(width=5))
    with pytest.raises(ValueError, match="backbone must build a network for 2 channel"):
        load(tmp_path / "model", backbone=own_module(n_channels=3))


def test_module_for_a_named_backbone_is_refused(saved):
    with pytest.raises(ValueError, match=r"backbone must be left out .*'fcn'"):
        load(saved, backbone=own_module())


def test_module_with_hidden_state_is_not_saved(waves, tmp_path):
    class Hidden(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = own_module()
            self.shift = 0.0

        def forward(self, x):
            return self.inner(x) + self.shift * torch.arange(3.0)

    classifier = StandardClassifier(Hidden(), n_epochs=1, random_state=0).fit(*waves)
    save(classifier, tmp_path / "good")
    classifier.network_.backbone.shift = 1.0
    with pytest.raises(
        ValueError, match=r"backbone must keep its whole state .*Hidden, whose copy"
    ):
        save(classifier, tmp_path / "bad")
    assert not (tmp_path / "bad").exists()


# -- what cannot be saved, and where --------------------------------------------------------------


def test_unfitted_and_unknown_are_refused(fitted, tmp_path):
    class Mine(StandardClassifier):
        pass

    with pytest.raises(NotFittedError, match=r"must be fitted before it is saved.*call fit first"):
        save(clone(fitted), tmp_path / "model")
    for other in (Mine(), "model", None):
        with pytest.raises(TypeError, match=r"classifier must be one of \['.*E2ABLClassifier'"):
            save(other, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_bad_parameters_and_labels_are_refused(fitted, waves, tmp_path):
    classifier = pickle.loads(pickle.dumps(fitted)).set_params(n_epochs=0)
    with pytest.raises(ValueError, match="The 'n_epochs' parameter"):
        save(classifier, tmp_path / "model")
    labels = np.array([(1, 2), (3, 4), None], dtype=object)[:2]
    classifier = StandardClassifier("fcn", n_epochs=1).fit(waves[0], labels[np.arange(60) % 2])
    with pytest.raises(ValueError, match=r"classes_ must be .* got \(1, 2\)"):
        save(classifier, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_only_models_are_replaced(fitted, folder, tmp_path):
    (tmp_path / "empty").mkdir()
    save(fitted, tmp_path / "empty")
    changed = load(folder).set_params(verbose=True)
    save(changed, folder)
    assert load(folder).verbose
    assert sorted(path.name for path in folder.iterdir()) == FILES
    (folder / "notes.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "model.json").write_text("{}")
    for taken in (folder, tmp_path / "file", tmp_path / "other"):
        with pytest.raises(FileExistsError, match="folder must be new, empty or hold a model"):
            save(fitted, taken)
    assert (folder / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("step", ["write_bytes", "rename"])
def test_a_failed_save_leaves_what_was_there(step, fitted, folder, tmp_path, monkeypatch):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    calls = []
    real = getattr(type(folder), step)

    def fail_the_second_time(self, *args):
        calls.append(self)
        if len(calls) == 2:
            raise OSError("disk full")
        return real(self, *args)

    monkeypatch.setattr(type(folder), step, fail_the_second_time)
    with pytest.raises(OSError, match="disk full"):
        save(fitted, folder)
    monkeypatch.undo()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert list(tmp_path.iterdir()) == [folder]


def test_missing_folders_and_files(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"folder must hold a model .* got no file"):
        load(tmp_path / "nowhere")
    (folder / "arrays.npz").unlink()
    with pytest.raises(FileNotFoundError, match=r"got no file .*arrays\.npz"):
        load(folder)


# -- damaged and hostile files ---------------------------------------------------------------------


def sign(folder, change=lambda told: None):
    """Change the description and make all checksums right again, as an attacker can."""
    told = json.loads((folder / "model.json").read_text())
    for name in ("arrays.npz", "weights.safetensors"):
        data = (folder / name).read_bytes()
        told["files"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    change(told)
    told["sha256"] = digest_of_values(told, allow_nan=False)
    (folder / "model.json").write_text(json.dumps(told))


def damage(data, rng):
    """Flip, delete, insert or cut bytes at random."""
    spoiled = bytearray(data)
    at = int(rng.integers(len(data)))
    match rng.integers(4):
        case 0:
            spoiled[at] ^= 1 << int(rng.integers(8))
        case 1:
            del spoiled[at : at + int(rng.integers(1, 50))]
        case 2:
            spoiled[at:at] = rng.bytes(int(rng.integers(1, 50)))
        case 3:
            del spoiled[at:]
    return bytes(spoiled)


@pytest.mark.parametrize("spoil", ["nan", "length"])
def test_arrays_that_can_not_be_are_refused(spoil, tmp_path, fitted, waves):
    classifier = copy.copy(fitted)
    value = np.full(len(fitted.suspicion_), np.nan) if spoil == "nan" else fitted.suspicion_
    classifier.suspicion_ = value
    classifier.trigger_filter_ = np.zeros(3)
    if spoil == "nan":
        with pytest.raises(ValueError, match="'suspicion_' has values that are not finite"):
            save(classifier, tmp_path / "model")  # which reads what it wrote
        return
    save(classifier, tmp_path / "model")
    with pytest.raises(ValueError, match=r"trigger_filter_ must have shape"):
        load(tmp_path / "model").trigger_score(waves[0])


@pytest.mark.parametrize("name", FILES)
def test_random_damage_is_found(name, folder, fitted, waves):
    original = (folder / name).read_bytes()
    rng = np.random.default_rng(FILES.index(name))
    messages = []
    for _ in range(150):
        (folder / name).write_bytes(damage(original, rng))
        try:
            loaded = load(folder)
        except (ValueError, OSError) as error:
            messages.append(str(error))
        else:  # only layout can change unseen, such as a space between two values of the JSON
            assert name == "model.json"
            assert_same_model(fitted, loaded, waves[0])
    assert len(messages) > 140
    assert all(re.search(r"must .*, got .*; ", one, flags=re.DOTALL) for one in messages)


@pytest.mark.parametrize(
    ("old", "new"),
    [('"n_epochs": 4', '"n_epochs": 5'), ('"fast"', '"best"'), ('"learning_rate": 0.003', "")],
)
def test_a_changed_value_is_found(old, new, folder):
    path = folder / "model.json"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(
        ValueError, match=r"model.json must be as tsguard.save wrote it, got a dama"
    ):
        load(folder)


def places(value, path=()):
    """Walk through all entries of nested JSON."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, one in items:
        yield (*path, key)
        if isinstance(one, dict | list):
            yield from places(one, (*path, key))


HOSTILE = [None, True, -1, 0, 2, 10**9, 10**30, 1.5, 1e308, "", "fcn", "tsai:FCN", "O", "<U999999"]
HOSTILE += ["../../etc/passwd", "os.system", "auto", [], {}, [1], {"array": True}, [[]] * 3]


def assert_sound(classifier):
    """What is loaded fits together, whatever its values."""
    n_samples = classifier.metadata_["n_cases"]
    for name in ("suspicion_", "suspect_mask_", "recovered_labels_", "sample_report_"):
        assert len(getattr(classifier, name)) == n_samples
    assert set(classifier.recovered_labels_) <= set(classifier.classes_)
    assert all(rows.shape[1:] == (n_samples,) for rows in classifier.records_.values())
    assert set(vars(classifier)) >= attributes_of(E2ABLClassifier)[1]
    shape = (3, classifier.n_channels_, min(classifier.n_timepoints_, 10**4))
    if shape[2] == classifier.n_timepoints_:
        assert set(classifier.predict(np.zeros(shape))) <= set(classifier.classes_)
    clone(classifier)._validate_params()


def test_hostile_descriptions_are_refused_or_sound(folder, monkeypatch):
    """Values are replaced, removed and moved, and the checksum is right again."""
    original = (folder / "model.json").read_text()
    ways = list(places(json.loads(original)))
    rng = np.random.default_rng(0)

    def refuse(*_args, **_options):
        raise AssertionError("runs code from a file")

    monkeypatch.setattr(os, "system", refuse)
    monkeypatch.setattr(builtins, "eval", refuse)
    messages = []
    for _ in range(300):
        *path, last = ways[rng.integers(len(ways))]

        def change(told, path=path, last=last):
            for key in path:
                told = told[key]
            if rng.random() < 0.2:
                del told[last]
            else:
                told[last] = HOSTILE[rng.integers(len(HOSTILE))]

        (folder / "model.json").write_text(original)
        try:
            sign(folder, change)
        except (ValueError, KeyError, TypeError):
            continue
        try:
            loaded = load(folder)
        except (ValueError, OSError) as error:
            messages.append(str(error))
        else:
            assert_sound(loaded)
    assert len(messages) > 150
    assert all(re.search(r"must .*[,.] got ", one, re.IGNORECASE | re.DOTALL) for one in messages)


def change_tensor(folder, name, change):
    path = folder / "weights.safetensors"
    tensors = safetensors.torch.load(path.read_bytes())
    tensors[name] = change(tensors[name])
    path.write_bytes(safetensors.torch.save({k: v for k, v in tensors.items() if v is not None}))
    sign(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda one: one[:-1].clone(), r"got torch.float32 of shape \(2,\) for trap.linear.bias"),
        (lambda one: one.double(), r"got torch.float64 of shape \(3,\)"),
        (lambda one: None, "got nothing for trap.linear.bias where it has torch.float32"),
    ],
)
def test_tensors_that_do_not_fit(change, message, folder):
    change_tensor(folder, "trap.linear.bias", change)
    with pytest.raises(ValueError, match=f"weights must fit the backbone, {message}"):
        load(folder)


def test_hostile_arrays_are_refused_or_sound(folder):
    """Shapes, types and bytes of the arrays are altered, and the checksums are right again."""
    original = (folder / "arrays.npz").read_bytes()
    rng = np.random.default_rng(0)
    n_refused = 0
    for step in range(200):
        if step % 2:
            (folder / "arrays.npz").write_bytes(damage(original, rng))
        else:
            with np.load(io.BytesIO(original)) as file:
                arrays = dict(file)
            name = list(arrays)[rng.integers(len(arrays))]
            one = arrays.pop(name)
            other = [one[:-1], one[None], one.astype(complex), one.astype(str), one.T, -5 - one * 1]
            other += [one.astype(">i2"), one.astype(bool), np.zeros(0), one.astype("f8")]
            if pick := rng.integers(len(other) + 1):
                arrays[name] = other[pick - 1]
            np.savez(folder / "arrays.npz", **arrays)
        sign(folder)
        try:
            loaded = load(folder)
        except (ValueError, OSError):
            n_refused += 1
        else:
            assert_sound(loaded)
    assert 100 < n_refused < 200


def write_member(folder, name, header, compression=zipfile.ZIP_STORED):
    """Replace a member of the npz by a header that nothing (or zeros) follows."""
    with zipfile.ZipFile(io.BytesIO((folder / "arrays.npz").read_bytes())) as file:
        members = {one.filename: file.read(one) for one in file.infolist()}
    members[name] = header
    with zipfile.ZipFile(folder / "arrays.npz", "w", compression) as file:
        for key, data in members.items():
            file.writestr(key, data)
    sign(folder)


def npy_header(descr, shape):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": descr, "fortran_order": False, "shape": shape}
    )
    return stream.getvalue()


class Bomb:
    def __reduce__(self):
        return (os.mkdir, ("exploded",))


@pytest.mark.parametrize(
    ("data", "compression"),
    [
        (npy_header("<f8", (10**13,)), zipfile.ZIP_STORED),
        (npy_header("<f8", (10**7,)), zipfile.ZIP_STORED),
        (npy_header("<f8", (-1, -(10**6))), zipfile.ZIP_STORED),
        (npy_header("<U9999999", (60,)), zipfile.ZIP_STORED),
        (npy_header("|O", (60,)) + pickle.dumps([Bomb()] * 60), zipfile.ZIP_STORED),
        (npy_header("<f8", (10**7,)) + bytes(8 * 10**7), zipfile.ZIP_DEFLATED),
    ],
    ids=["huge", "large", "negative", "wide", "pickle", "compressed"],
)
def test_bombs_are_refused(data, compression, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_member(folder, "suspicion_.npy", data, compression)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"arrays.npz must be as tsguard.save wrote it"):
            load(folder)
        assert tracemalloc.get_traced_memory()[1] < 2e7  # the files have 1 MB
    finally:
        tracemalloc.stop()
    assert not (tmp_path / "exploded").exists()


def test_huge_declared_sizes_take_no_memory(folder):
    """A length of series that no weight depends on cannot be checked; it must cost nothing."""
    sign(folder, lambda told: told["sizes"].update(n_timepoints=10**12))
    with pytest.raises(ValueError, match="'sizes' describe samples of more than 268435456 values"):
        load(folder)
    sign(folder, lambda told: told["sizes"].update(n_timepoints=10**8))
    assert load(folder).n_timepoints_ == 10**8
    sign(folder, lambda told: told.update(backbone="tsai:FCN"))
    with pytest.raises(ValueError, match="series must have at most 1048576 values"):
        load(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "folder must hold a model written by tsguard.save"),
        (
            {"format_version": 2, "tsguard_version": "9.0"},
            "at most 1, got 2, written by .* 9.0; up",
        ),
        ({"format_version": 0}, "damaged"),
        ({"class": "Learner"}, "'class' is none of"),
        ({"backbone": "tsai:..os"}, "the backbone is 'tsai:..os'"),
        ({"classes": {"dtype": "<i8", "values": [2, 1, 0]}}, "not sorted and different"),
        ({"classes": {"dtype": "<i8", "values": ["a", "b", "c"]}}, "not all of dtype <i8"),
        ({"classes": {"dtype": "<U9999999", "values": ["a", "b", "c"]}}, "more than"),
        ({"classes": {"dtype": "|O", "values": ["a", 1, "c"]}}, "'classes' are no labels"),
    ],
    ids=str,
)
def test_descriptions_that_are_refused(change, message, folder):
    sign(folder, lambda told: told.update(change))
    with pytest.raises(ValueError, match=message):
        load(folder)


@pytest.mark.parametrize("text", ["[" * 10**5, "[]", "{}", '{"a": NaN}', "1" * 10**5, "\xff", ""])
def test_files_that_are_no_description(text, folder):
    (folder / "model.json").write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match=r" must .*tsguard\.save"):
        load(folder)


def test_pipes_and_folders_in_place_of_files(folder):
    (folder / "weights.safetensors").unlink()
    os.mkfifo(folder / "weights.safetensors")
    with pytest.raises(FileNotFoundError, match="got no file"):
        load(folder)


def test_registry_is_what_is_public():
    public = {name for name in defenses.__all__ if name.endswith("Classifier")}
    assert public | {"E2ABLClassifier"} == OURS
    assert tsguard.save is save


# -- docs/save-and-load.md -------------------------------------------------------------------------


def test_how_to_runs_as_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"```python\n(.*?)```", HOW_TO, flags=re.DOTALL)
    exec(compile(block, "save-and-load.md", "exec"), {})
    assert "why" in capsys.readouterr().out


def test_format_is_documented(saved):
    told = json.loads((saved / "model.json").read_text())
    for name in [*FILES, *told, *told["network"], *told["sizes"], *told["attributes"]]:
        assert f"`{name}`" in HOW_TO
