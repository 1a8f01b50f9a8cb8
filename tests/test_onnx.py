"""ONNX files: they answer what torch answers, hold nothing else, and never half of it."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError
from torch import nn

import tsguard._onnx
from tsguard import E2ABLClassifier, export_onnx, save
from tsguard._cli import main
from tsguard.defenses import StandardClassifier
from tsguard_vision import StandardImageClassifier
from tsguard_vision import load_dataset as load_images

pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")

DOCS = Path(__file__).parent.parent / "docs" / "onnx.md"


def open_session(path):
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def answers(path, X):
    return open_session(path).run(["probabilities"], {"X": X})[0]


@pytest.fixture(scope="module")
def fcn(waves):
    X, y = waves
    return E2ABLClassifier("fcn", n_epochs=2, random_state=0).fit(3 * X + 5, y)


@pytest.fixture(scope="module")
def exported(fcn, tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "fcn.onnx"
    export_onnx(fcn, path)
    return path


# --- same answers


@pytest.mark.parametrize("backbone", ["fcn", "resnet1d", "inceptiontime"])
def test_series_are_answered_as_torch_answers_them(backbone, waves, tmp_path):
    X, y = waves
    X = 100 * X + np.float32([[7], [-3]])  # raw units: the graph has to scale
    classifier = StandardClassifier(backbone, n_epochs=3, random_state=0).fit(X, y)
    export_onnx(classifier, tmp_path / "model.onnx")
    for n_samples in (1, 2, 60):  # traced with 2
        got = answers(tmp_path / "model.onnx", X[:n_samples])
        assert got.shape == (n_samples, 3)
        np.testing.assert_allclose(got, classifier.predict_proba(X[:n_samples]), atol=1e-5)
    assert len(set(got.argmax(axis=1))) > 1  # not one answer for all


def test_images_are_answered_as_torch_answers_them(tmp_path):
    data = load_images("digits")
    images, y = data.X_train[:80], data.y_train[:80]
    classifier = StandardImageClassifier("wideresnet16_1", n_epochs=2, random_state=0)
    export_onnx(classifier.fit(images, y), tmp_path / "model.onnx")
    got = answers(tmp_path / "model.onnx", images.astype(np.float32))
    np.testing.assert_allclose(got, classifier.predict_proba(images), atol=1e-5)


def test_a_module_of_your_own(waves, tmp_path):
    X, y = waves
    own = nn.Sequential(nn.Conv1d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 22, 3))
    classifier = StandardClassifier(own, n_epochs=2, random_state=0).fit(X, y)
    export_onnx(classifier, tmp_path / "model.onnx")
    got = answers(tmp_path / "model.onnx", X)
    np.testing.assert_allclose(got, classifier.predict_proba(X), atol=1e-5)


def test_the_classifier_stays_as_it_was(fcn, waves, tmp_path):
    before = fcn.predict_proba(waves[0])
    hooks = [len(module._forward_hooks) for module in fcn.network_.modules()]
    export_onnx(fcn, tmp_path / "model.onnx")
    assert (fcn.predict_proba(waves[0]) == before).all()
    assert [len(module._forward_hooks) for module in fcn.network_.modules()] == hooks
    assert fcn.scale_[0].shape == (1, 2, 1)


# --- what is in the file


def test_input_and_output(exported):
    (given,), (put_out,) = open_session(exported).get_inputs(), open_session(exported).get_outputs()
    assert (given.name, given.type, given.shape) == ("X", "tensor(float)", ["n_samples", 2, 24])
    assert (put_out.name, put_out.shape) == ("probabilities", ["n_samples", 3])


def test_metadata(exported, fcn):
    metadata = json.loads(open_session(exported).get_modelmeta().custom_metadata_map["tsguard"])
    assert metadata["class"] == "E2ABLClassifier"
    assert metadata["classes"] == fcn.classes_.tolist() == ["fast", "medium", "slow"]
    assert metadata["versions"] == {"tsguard": tsguard.__version__, "torch": torch.__version__}


@pytest.mark.parametrize("classes", [[1, 2, 3], [b"a", b"b", b"c"]])
def test_labels_of_other_kinds(classes, waves, tmp_path):
    classifier = StandardClassifier("fcn", n_epochs=1, random_state=0)
    classifier.fit(waves[0], np.array(classes)[np.arange(60) % 3])
    export_onnx(classifier, tmp_path / "model.onnx")
    session = open_session(tmp_path / "model.onnx")
    metadata = json.loads(session.get_modelmeta().custom_metadata_map["tsguard"])
    assert metadata["classes"] in ([1, 2, 3], ["a", "b", "c"])


def test_nothing_of_this_machine_is_in_the_file(exported):
    content = exported.read_bytes()
    for folder in {Path(torch.__file__).parents[1], Path(tsguard.__file__).parents[1]}:
        assert str(folder).encode() not in content


def test_the_trap_head_is_not_in_the_file(exported):
    assert b"trap" not in exported.read_bytes()


# --- what is refused, and never half a file


def test_not_fitted(tmp_path):
    with pytest.raises(NotFittedError, match="classifier must be fitted before it is exported"):
        export_onnx(E2ABLClassifier(), tmp_path / "model.onnx")


def test_no_classifier(tmp_path):
    with pytest.raises(TypeError, match="classifier must be a classifier of tsguard, got Linear"):
        export_onnx(nn.Linear(2, 2), tmp_path / "model.onnx")


@pytest.mark.parametrize("name", ["onnxscript", "onnxruntime"])
def test_extra_missing(name, fcn, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r"pip install tsguard\[onnx\]"):
        export_onnx(fcn, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_out_must_be_an_onnx_file(fcn, tmp_path):
    with pytest.raises(ValueError, match=r"out must be a \.onnx file, got .*data\.csv"):
        export_onnx(fcn, tmp_path / "data.csv")
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(FileExistsError, match="which is a directory"):
        export_onnx(fcn, tmp_path / "folder.onnx")
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="out could not be written"):
        export_onnx(fcn, tmp_path / "file" / "model.onnx")


class Branching(nn.Module):
    """Asks a value which way to go: ONNX would know one way only."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(48, 3)

    def forward(self, x):
        x = x.flatten(1)
        return self.linear(x if x.sum() > 0 else -x)


class Counting(Branching):
    """Asks for the number of samples."""

    def forward(self, x):
        rows = [x[i].flatten() for i in range(len(x))]
        return self.linear(torch.stack(rows))


@pytest.mark.parametrize("own", [Branching, Counting])
def test_networks_that_onnx_cannot_express(own, waves, tmp_path, capfd):
    X, y = waves
    classifier = StandardClassifier(own(), n_epochs=1, random_state=0).fit(X, y)
    (tmp_path / "model.onnx").write_text("an earlier one")
    with pytest.raises(ValueError, match=f"backbone must be .* got {own.__name__} \\(") as caught:
        export_onnx(classifier, tmp_path / "model.onnx")
    assert "\n" not in str(caught.value)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["an earlier one"]
    assert capfd.readouterr() == ("", "")


def test_a_file_with_other_answers_is_refused(fcn, tmp_path, monkeypatch):
    monkeypatch.setattr(tsguard._onnx, "TOLERANCE", -1.0)
    with pytest.raises(ValueError, match="the file's answers differ from torch's"):
        export_onnx(fcn, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


# --- command and docs


def test_command(fcn, waves, tmp_path, capfd):
    save(fcn, tmp_path / "model")
    assert main(["export", str(tmp_path / "model"), str(tmp_path / "a.onnx")]) == 0
    assert capfd.readouterr() == (f"ONNX file: {tmp_path / 'a.onnx'}\n", "")
    X = waves[0]
    np.testing.assert_allclose(answers(tmp_path / "a.onnx", X), fcn.predict_proba(X), atol=1e-5)


@pytest.mark.parametrize(
    ("model", "out", "message"),
    [
        ("nowhere", "a.onnx", "which is not there"),
        ("model", "a.csv", "out must be a .onnx file"),
        ("model", ".", "out must be a .onnx file"),
    ],
)
def test_command_refuses_in_one_line(model, out, message, fcn, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save(fcn, "model")
    assert main(["export", model, out]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("tsguard: error: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_docs_run_as_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in re.findall(r"```python\n(.*?)```", DOCS.read_text(), flags=re.DOTALL):
        exec(compile(block, DOCS.name, "exec"), names)
    assert len(capsys.readouterr().out.splitlines()) == 1
    assert (tmp_path / "model.onnx").exists()
