"""tsguard_vision: input, networks, triggers, classifiers, files, data sets, demo."""

import functools
import json
import re
import runpy
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score
from sklearn.utils import estimator_checks as checks

import tsguard
import tsguard_vision
from tsguard import evaluate_isolation
from tsguard._cli import main
from tsguard._demo import find_demo
from tsguard._exceptions import DatasetNotFoundError
from tsguard._persistence import _registry
from tsguard.attacks import LearnedTrigger, Trigger
from tsguard.attacks._notes import notes_of
from tsguard.defenses import NADClassifier, SpectralSignaturesClassifier
from tsguard_vision import (
    ABLImageClassifier,
    E2ABLImageClassifier,
    ImageInputs,
    StandardImageClassifier,
    attacks,
    evaluate,
    load,
    load_dataset,
    poison,
    save,
    subset,
)
from tsguard_vision._backbones import Augment, ResNet18, WideResNet16, build_backbone
from tsguard_vision._experiment import ImageExperiment
from tsguard_vision._images import check_images, to_unit
from tsguard_vision._views import image_views
from tsguard_vision.attacks._base import overlay
from tsguard_vision.attacks._warps import _dither

TRIGGERS = attacks.list_triggers()
QUICK = {"surrogate_epochs": 1, "n_steps": 3, "n_attack_steps": 3}
KINDS = [E2ABLImageClassifier, StandardImageClassifier, ABLImageClassifier]


@functools.cache
def digits():
    return subset(load_dataset("digits"), 320, 120, random_state=0)


@functools.cache
def learned(name):
    """Return a trigger, learned quickly from a few digits where it must be learned."""
    trigger = attacks.get_trigger(name)
    trigger = attacks.get_trigger(name, **{k: v for k, v in QUICK.items() if hasattr(trigger, k)})
    if isinstance(trigger, LearnedTrigger):
        trigger = trigger.fit(digits().X_train[:60], digits().y_train[:60], 3, random_state=0)
    return trigger


@pytest.fixture(scope="module")
def fitted():
    data = digits()
    poisoned = poison(data.X_train, data.y_train, "badnets", rate=0.1, target=3, random_state=0)
    classifier = E2ABLImageClassifier(
        "wideresnet16_1", n_epochs=8, batch_size=16, random_state=0, device="cpu"
    )
    return classifier.fit(poisoned.X, poisoned.y), poisoned


def tiny(kind, **parameters):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        own = torch.nn.Sequential(
            torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(144, 10)
        )
    return kind(**{"backbone": own, "n_epochs": 2, "random_state": 0, "device": "cpu"} | parameters)


# -- input --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (np.zeros((3, 8, 8)), ValueError, r"must have shape \(n_samples, n_channels"),
        (np.zeros((0, 1, 8, 8)), ValueError, "none of them 0, got"),
        (np.full((1, 1, 2, 2), np.nan), ValueError, "must hold finite values"),
        (np.full((1, 1, 2, 2), 256), ValueError, "must lie between 0 and 255, got 256"),
        (np.full((1, 1, 2, 2), 1.5), ValueError, "must lie between 0 and 1, got 1.5"),
        (np.array([["a"]]), TypeError, "must hold integers or real numbers"),
        ([[1, 2], [3]], TypeError, "must hold images of one size"),
    ],
)
def test_images_that_are_none_are_refused(X, error, message):
    with pytest.raises(error, match=message):
        check_images(X, unit=True)


def test_images_keep_their_type():
    X = np.arange(8, dtype=np.uint8).reshape(1, 2, 2, 2)
    assert check_images(X) is X
    assert check_images(X.astype(np.int64)).dtype == np.uint8
    assert check_images(X.astype(np.float64)).dtype == np.float32


# -- networks -----------------------------------------------------------------------------------


def test_backbones_have_the_size_of_their_papers():
    sizes = [sum(p.numel() for p in kind(3, 10).parameters()) for kind in (ResNet18, WideResNet16)]
    assert sizes[0] == 11_173_962
    assert 170_000 < sizes[1] < 180_000


def test_augmentation_moves_and_mirrors_in_training_only():
    torch.manual_seed(0)
    X = torch.rand(64, 2, 8, 16)
    assert Augment("crop+flip").eval()(X) is X
    assert Augment(None).train()(X) is X
    padded = torch.nn.functional.pad(X, (2, 2, 1, 1))
    moved = Augment("crop").train()(X)
    for one, source in zip(moved, padded, strict=True):
        windows = [source[:, i : i + 8, j : j + 16] for i in range(3) for j in range(5)]
        assert any(torch.equal(one, window) for window in windows)
    both = Augment("crop+flip").train()(X)
    kept = [
        any(torch.equal(one, s[:, i : i + 8, j : j + 16]) for i in range(3) for j in range(5))
        for one, s in zip(both, padded, strict=True)
    ]
    assert 16 < sum(kept) < 48


def test_trap_head_sits_on_the_first_stage_behind_the_augmentation(fitted):
    assert fitted[0].network_.attach_at == "backbone.stage1"
    deeper = tiny(E2ABLImageClassifier, backbone="wideresnet16_1", attach_at=2, n_epochs=1)
    deeper.fit(digits().X_train[:40], digits().y_train[:40])
    assert deeper.network_.attach_at == "backbone.stage3"


def test_unknown_backbones_are_refused_with_advice(monkeypatch):
    with pytest.raises(ValueError, match="got 'resnet'; did you mean 'resnet18'"):
        tiny(StandardImageClassifier, backbone="resnet").fit(digits().X_train, digits().y_train)
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(ImportError, match=r"pip install 'tsguard\[vision\]'"):
        build_backbone("torchvision:resnet18", torch.zeros(2, 3, 8, 8), 10, 0)
    with pytest.raises(ImportError, match="torchvision must be installed"):
        load_dataset("mnist", download=True)


def test_backbones_of_torchvision_are_built_by_name(monkeypatch):
    models = types.SimpleNamespace(
        list_models=lambda module: ["own18"],
        get_model=lambda name, weights, num_classes: ResNet18(3, num_classes),
    )
    monkeypatch.setitem(sys.modules, "torchvision", types.SimpleNamespace(models=models))
    assert isinstance(build_backbone("torchvision:own18", torch.zeros(2, 3, 8, 8), 7, 0), ResNet18)
    with pytest.raises(ValueError, match="did you mean one of \\['own18'\\]"):
        build_backbone("torchvision:own1", torch.zeros(2, 3, 8, 8), 7, 0)
    with pytest.raises(ValueError, match="X must have 3 channels"):
        build_backbone("torchvision:own18", torch.zeros(2, 1, 8, 8), 7, 0)


# -- triggers -----------------------------------------------------------------------------------


def test_there_are_ten_attacks_and_tsguard_does_not_list_them():
    assert len(TRIGGERS) == 10
    assert not set(TRIGGERS) & set(tsguard.attacks.list_triggers())
    with pytest.raises(ValueError, match="trigger must be one of"):
        attacks.get_trigger("patch")


@pytest.mark.parametrize("name", TRIGGERS)
def test_trigger_keeps_form_range_and_input(name):
    trigger, X = learned(name), digits().X_test[:20]
    before = X.copy()
    stamped = trigger.apply(X, random_state=0)
    assert stamped.dtype == np.uint8
    assert stamped.shape == X.shape
    np.testing.assert_array_equal(X, before)
    assert (stamped != X).any(axis=(1, 2, 3)).all()
    np.testing.assert_array_equal(trigger.apply(X, random_state=0), stamped)
    real = trigger.apply(to_unit(X))
    assert real.dtype == np.float32
    assert real.min() >= 0
    assert real.max() <= 1
    np.testing.assert_allclose(real, stamped / 255, atol=0.51 / 255)
    np.testing.assert_allclose(trigger.apply(to_unit(X[3:5])), real[3:5], atol=1e-5)
    inside = X.copy()
    assert trigger.apply(inside, out=inside) is inside
    np.testing.assert_array_equal(inside, stamped)


@pytest.mark.parametrize("name", TRIGGERS)
def test_trigger_survives_a_file(name, tmp_path):
    trigger = learned(name)
    trigger.save(tmp_path / "trigger.json")
    again = Trigger.load(tmp_path / "trigger.json")
    assert again == trigger
    assert hash(again) == hash(trigger)
    X = digits().X_test[:5]
    np.testing.assert_array_equal(again.apply(X), trigger.apply(X))
    np.testing.assert_array_equal(again.for_training(X, 0), trigger.for_training(X, 0))
    json.dumps(trigger.to_dict(), allow_nan=False)


@pytest.mark.parametrize("name", TRIGGERS)
def test_trigger_is_documented_like_those_for_series(name):
    notes = notes_of(type(attacks.get_trigger(name)))
    assert "x'" in notes.formula
    assert notes.strength


@pytest.mark.parametrize("name", TRIGGERS)
def test_trigger_takes_colour_images_that_are_not_square(name):
    X = np.random.default_rng(0).integers(0, 256, (3, 3, 10, 12), dtype=np.uint8)
    trigger = learned(name)
    if isinstance(trigger, LearnedTrigger):
        with pytest.raises(ValueError, match="X must hold images of shape"):
            trigger.apply(X)
        with pytest.raises(NotFittedError, match="must be learned before"):
            attacks.get_trigger(name).apply(X)
    else:
        assert trigger.apply(X).shape == X.shape


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("badnets", {"size": 0}),
        ("badnets", {"corner": "middle"}),
        ("blended", {"amplitude": 2}),
        ("blended", {"seed": -1}),
        ("sig", {"frequency": 0}),
        ("low_frequency", {"cutoff": 0}),
        ("wanet", {"grid": 1}),
        ("bpp", {"levels": 1}),
    ],
)
def test_bad_parameters_are_named(name, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        attacks.get_trigger(name, **wrong).apply(digits().X_test[:2])


def test_wrong_out_is_refused():
    X = digits().X_test[:2]
    with pytest.raises(ValueError, match="C-contiguous uint8 array of shape"):
        attacks.BadNetsTrigger().apply(X, out=np.empty(X.shape, np.float32))


def test_patch_changes_its_corner_only():
    X = digits().X_test[:10]
    changed = attacks.BadNetsTrigger(size=0.25, corner="top left").apply(X) != X
    assert not changed[:, :, 2:].any()
    assert not changed[:, :, :, 2:].any()
    assert attacks.BadNetsTrigger().apply(X)[0, 0, -2:, -2:].tolist() == [[255, 0], [0, 255]]


def test_clean_label_attack_prepares_training_images_only():
    data, trigger = digits(), learned("clean_label")
    p = poison(data.X_train, data.y_train, trigger, rate=0.05, target=3, mode="clean")
    assert (p.y == p.y_clean).all()
    before, after = (one[p.is_poisoned].astype(int) for one in (data.X_train, p.X))
    assert (before[:, :, :-2] != after[:, :, :-2]).any()
    assert np.abs(before - after)[:, :, :-2].max() <= 17
    tested = trigger.apply(data.X_test)
    np.testing.assert_array_equal(tested[:, :, :-2], data.X_test[:, :, :-2])


def test_overlay_agrees_with_numpy():
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (4, 2, 3, 5), dtype=np.uint8)
    keep = rng.random((2, 3, 5), np.float32)
    pattern = rng.random((2, 3, 5), np.float32) - np.float32(0.3)
    out = np.empty_like(X)
    overlay(X, pattern, keep, out)
    expected = np.clip(keep.astype(float) * X + 255.0 * pattern, 0, 255)
    assert np.abs(out - expected).max() <= 0.501


def test_dithering_agrees_with_the_textbook():
    image = np.random.default_rng(0).random((4, 5)).astype(np.float32)
    work = np.pad(image, ((0, 1), (1, 1)))[None, None]
    expected = work[0, 0].copy()
    for i in range(4):
        for j in range(1, 6):
            old = expected[i, j]
            new = np.round(old * 3) / 3 if 0 <= old <= 1 else float(old > 1)
            error, expected[i, j] = old - new, new
            for di, dj, part in ((0, 1, 7), (1, -1, 3), (1, 0, 5), (1, 1, 1)):
                expected[i + di, j + dj] += error * part / 16
    _dither(work, 3)
    np.testing.assert_allclose(work[0, 0, :4, 1:6], expected[:4, 1:6], atol=1e-5)


# -- classifiers --------------------------------------------------------------------------------


def test_e2abl_finds_the_backdoor(fitted):
    classifier, poisoned = fitted
    data = digits()
    scores = evaluate(classifier, data.X_test, data.y_test, trigger=poisoned.trigger, target=3)
    assert scores.clean_accuracy > 0.8
    assert scores.attack_success_rate < 0.2
    found = evaluate_isolation(classifier, poisoned)
    assert found.isolation_recall > 0.8
    assert found.isolation_precision > 0.8
    assert classifier.suspected_target_ == 3
    assert len(classifier.sample_report_) == len(poisoned.y)
    assert classifier._sample_shape == (1, 8, 8)
    stamped = classifier.trigger_score(poisoned.trigger.apply(data.X_test))
    assert stamped.mean() > classifier.trigger_score(data.X_test).mean() + 0.5


def test_undefended_learns_the_backdoor(fitted):
    data, poisoned = digits(), fitted[1]
    classifier = StandardImageClassifier(
        "wideresnet16_1", n_epochs=8, batch_size=16, random_state=0, device="cpu"
    ).fit(poisoned.X, poisoned.y)
    scores = evaluate(classifier, data.X_test, data.y_test, trigger=poisoned.trigger, target=3)
    assert scores.attack_success_rate > 0.5


@pytest.mark.parametrize("kind", KINDS)
def test_saved_classifier_comes_back(kind, tmp_path):
    data = digits()
    classifier = tiny(kind, backbone="wideresnet16_1", n_epochs=1, augment="crop+flip")
    classifier.fit(data.X_train[:60], data.y_train[:60])
    save(classifier, tmp_path / "model")
    again = load(tmp_path / "model")
    assert type(again) is kind
    assert again.get_params() == classifier.get_params()
    assert (again.n_channels_, again.height_, again.width_) == (1, 8, 8)
    np.testing.assert_array_equal(
        again.predict_proba(data.X_test), classifier.predict_proba(data.X_test)
    )


def test_fitted_e2abl_comes_back_with_its_findings(fitted, tmp_path):
    save(fitted[0], tmp_path)
    again = load(tmp_path)
    np.testing.assert_array_equal(again.suspect_mask_, fitted[0].suspect_mask_)
    X = digits().X_test
    np.testing.assert_array_equal(again.trigger_score(X), fitted[0].trigger_score(X))


def test_model_of_a_package_that_was_not_imported_says_so(fitted, tmp_path, monkeypatch):
    save(fitted[0], tmp_path)
    monkeypatch.setattr(_registry, "_REGISTERED", {})
    with pytest.raises(ValueError, match=r"must be imported before .* 'tsguard_vision'"):
        load(tmp_path)


def test_own_module_and_same_seed_give_the_same_answers():
    data = digits()
    first, second = (
        tiny(E2ABLImageClassifier).fit(data.X_train[:80], data.y_train[:80]) for _ in range(2)
    )
    np.testing.assert_array_equal(
        first.predict_proba(data.X_test), second.predict_proba(data.X_test)
    )


def test_units_of_the_images_do_not_matter():
    data = digits()
    integers, real = (
        tiny(StandardImageClassifier).fit(X[:80], data.y_train[:80]).predict_proba(X[80:])
        for X in (data.X_train, to_unit(data.X_train))
    )
    np.testing.assert_allclose(integers, real, atol=1e-3)


def test_bfloat16_trains(fitted):
    classifier = tiny(StandardImageClassifier, precision="bfloat16")
    classifier.fit(digits().X_train[:40], digits().y_train[:40])
    assert np.isfinite(classifier.history_["loss"]).all()
    plain = tiny(StandardImageClassifier).fit(digits().X_train[:40], digits().y_train[:40])
    assert (classifier.history_["loss"] != plain.history_["loss"]).any()


def test_any_defense_takes_images_with_the_mixin():
    with pytest.raises(TypeError, match=r"must stand before a method .*, got NADClassifier; "):
        type("NAD", (ImageInputs, NADClassifier), {})

    class Spectral(ImageInputs, SpectralSignaturesClassifier):
        """Spectral signatures for images."""

    data = digits()
    spectral = tiny(Spectral).fit(data.X_train[:80], data.y_train[:80])
    assert spectral.predict(data.X_test).shape == (len(data.X_test),)
    assert Spectral().backbone == "resnet18"
    with pytest.raises(ValueError, match=r"backbone must be one of .*'resnet18'"):
        Spectral("inceptiontime", n_epochs=1).fit(data.X_train[:80], data.y_train[:80])


def test_wrong_input_of_the_classifiers_is_refused(fitted):
    with pytest.raises(ValueError, match=r"images of shape \(1, 8, 8\)"):
        fitted[0].predict(np.zeros((2, 1, 9, 8)))
    with pytest.raises(ValueError, match="must have shape"):
        tiny(E2ABLImageClassifier).fit(np.zeros((20, 8)), np.arange(20) % 2)
    for wrong in ({"augment": "flip"}, {"precision": "half"}, {"isolation_rate": 2}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            tiny(E2ABLImageClassifier, **wrong).fit(digits().X_train, digits().y_train)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "check",
    [
        checks.check_estimator_cloneable,
        checks.check_estimator_repr,
        checks.check_estimator_tags_renamed,
        checks.check_get_params_invariance,
        checks.check_mixin_order,
        checks.check_parameters_default_constructible,
        checks.check_set_params,
        checks.check_valid_tag_types,
    ],
    ids=lambda check: getattr(check, "__name__", ""),
)
def test_checks_of_scikit_learn_that_need_no_table(kind, check):
    """The others fit 2-D tables, which are no images."""
    made = kind if check is checks.check_parameters_default_constructible else kind()
    check(kind.__name__, made() if isinstance(made, type) else made)


def test_works_in_cross_validation():
    data = digits()
    classifier = tiny(StandardImageClassifier, batch_size=8, n_epochs=12)
    assert clone(classifier).get_params()["augment"] == "crop"
    scores = cross_val_score(classifier, data.X_train, data.y_train, cv=2)
    assert scores.min() > 0.3


def test_views_are_finite_repeatable_and_one_row_per_image():
    for shape in ((30, 3, 12, 9), (30, 1, 3, 3)):
        X = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        first, second = (image_views(X, np.random.default_rng(1)) for _ in range(2))
        blocks = [*first.content, *first.signature]
        assert all(len(block) == 30 and np.isfinite(block).all() for block in blocks)
        assert first.n_values == X[0].size
        for one, other in zip(blocks, [*second.content, *second.signature], strict=True):
            np.testing.assert_array_equal(one, other)


# -- data sets ----------------------------------------------------------------------------------


@pytest.fixture
def sheets(tmp_path):
    """A folder of sheets with 150 training and 100 test images."""
    image = pytest.importorskip("PIL.Image")
    folder = tmp_path / "images" / "own"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for part, n_rows in (("train_0", 1), ("train_1", 1), ("test_0", 1)):
        pixels = rng.integers(0, 256, (32 * n_rows, 3200, 3), dtype=np.uint8)
        image.fromarray(pixels).save(folder / f"{part}.webp", lossless=True)
    y = np.arange(150) % 2
    np.savez(
        folder / "labels.npz",
        y_train=y.astype(np.uint8),
        y_test=np.arange(100, dtype=np.uint8) % 2,
        classes=np.array(["stop", "go"]),
        file_train=np.array([f"0000{c}/{i // 10:05d}_{i:05d}.ppm" for i, c in enumerate(y)]),
    )
    return folder


def test_sheets_are_read_pixel_for_pixel(sheets):
    from PIL import Image

    data = load_dataset("own", root=sheets.parent.parent)
    assert data.X_train.shape == (150, 3, 32, 32)
    assert data.X_test.shape == (100, 3, 32, 32)
    assert data.classes.tolist() == ["go", "stop"]
    assert data.y_train[:3].tolist() == ["stop", "go", "stop"]
    with Image.open(sheets / "train_1.webp") as sheet:
        pixels = np.asarray(sheet.convert("RGB"))
    np.testing.assert_array_equal(data.X_train[107], pixels[:, 7 * 32 : 8 * 32].transpose(2, 0, 1))
    assert len(np.unique(data.groups_train)) == 30


def test_subset_keeps_tracks_whole_and_classes_balanced(sheets):
    data = load_dataset(str(sheets))
    part = subset(data, 60, 20, random_state=1)
    assert 60 <= len(part.y_train) <= 80
    assert 20 <= len(part.y_test) <= 24
    for track in np.unique(part.groups_train):
        assert (part.groups_train == track).sum() == (data.groups_train == track).sum()
    assert abs((part.y_train == "go").mean() - 0.5) < 0.1
    assert subset(data).X_train.shape == data.X_train.shape


def test_damaged_or_missing_sheets_are_refused(sheets):
    from PIL import Image

    (sheets / "train_1.webp").unlink()
    with pytest.raises(ValueError, match=r"must hold 150 images in sheets train_0\.webp"):
        load_dataset(str(sheets))
    Image.new("RGB", (64, 32)).save(sheets / "train_1.webp", lossless=True)
    with pytest.raises(ValueError, match="must be 3200 pixels wide"):
        load_dataset(str(sheets))
    np.savez(sheets / "labels.npz", y_train=np.zeros(3))
    with pytest.raises(ValueError, match="must hold y_train, y_test and classes"):
        load_dataset(str(sheets))
    with pytest.raises(DatasetNotFoundError, match="got 'nowhere'"):
        load_dataset("nowhere")


def test_digits_are_all_there():
    data = load_dataset("digits")
    assert len(data.X_train) + len(data.X_test) == 1797
    assert data.X_train.dtype == np.uint8
    assert data.X_train.max() == 255
    assert set(data.y_test) == set(range(10))


# -- experiment and demo ------------------------------------------------------------------------


def test_experiment_runs_by_name():
    experiment = ImageExperiment.prepare(
        digits(), attacks.BadNetsTrigger(), 0.1, 0, backbone="wideresnet16_1", n_epochs=1
    )
    _, metrics, seconds = experiment.run("oracle")
    assert set(metrics) == {"clean_accuracy", "attack_success_rate", "robust_accuracy"}
    assert seconds > 0
    with pytest.raises(ValueError, match="method must be one of"):
        experiment.run("nonsense")


def test_demo_writes_a_report_and_pictures(tmp_path, monkeypatch, capsys):
    """``tsguard demo --dataset digits``, from the installed entry point on, with one epoch."""
    from tsguard_vision import _demo

    monkeypatch.setattr(_demo, "load_dataset", lambda name: digits())
    quick = functools.partial(_demo.run_demo, n_epochs=1)
    assert find_demo("digits") is _demo.run_demo
    monkeypatch.setattr(_demo, "run_demo", quick)
    assert main(["demo", "--dataset", "digits", "--out", str(tmp_path / "report")]) == 0
    printed = capsys.readouterr().out
    assert "32 of 319 training samples carry the trigger 'badnets'" in printed
    assert [line.split()[0] for line in printed.splitlines()[3:6]] == [
        "undefended",
        "oracle",
        "e2abl",
    ]
    written = {path.name for path in (tmp_path / "report").iterdir()}
    assert written == {"report.json", "trigger.png", "suspicion.png", "losses.png"}
    stored = json.loads((tmp_path / "report" / "report.json").read_text())
    assert (stored["backbone"], stored["seed"]) == ("wideresnet16_1", 0)


def test_benchmark_for_a_gpu_runs_small_and_the_report_reads_it(tmp_path, capsys):
    script = Path(__file__).parent.parent / "benchmarks" / "gpu_images.py"
    small = "--datasets digits --attacks badnets --rates 0.1 --n-train 40 --n-test 40 --epochs 1"
    small += f" --backbone wideresnet16_1 --methods undefended e2abl --out {tmp_path}"
    run = runpy.run_path(str(script))["main"]
    run(small.split())
    assert len(list((tmp_path / "cells").iterdir())) == 2
    capsys.readouterr()
    run(small.split())
    assert capsys.readouterr().out == ""  # everything is there
    assert main(["report", str(tmp_path)]) == 0
    assert "2 cells, 0 failed" in capsys.readouterr().out
    assert "badnets" in (tmp_path / "report" / "report.md").read_text()


def test_demo_says_what_is_wrong(capsys, tmp_path):
    out = ["--out", str(tmp_path)]
    assert main(["demo", "--dataset", "digits", "--attack", "patch", *out]) == 2
    assert "trigger must be one of" in capsys.readouterr().err
    assert main(["demo", "--dataset", "digts", *out]) == 2
    assert "digts" in capsys.readouterr().err


def test_help_of_the_demo_knows_images(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["demo", "--help"])
    assert "'digits': images" in " ".join(capsys.readouterr().out.split())


def test_mixin_takes_over_the_parameters_of_the_other_class():
    assert "gamma" in ABLImageClassifier().get_params()
    assert "gamma" not in StandardImageClassifier().get_params()
    made = ABLImageClassifier()
    assert (made.backbone, made.batch_size, made.augment) == ("resnet18", 128, "crop")
    assert (made.isolation_rate, made.unlearning_rate) == (0.01, 0.005)
    with pytest.raises(TypeError, match="gamma"):
        StandardImageClassifier(gamma=1)

    class Own(ImageInputs, SpectralSignaturesClassifier):
        """One with a constructor of its own keeps it."""

        def __init__(self, backbone="resnet18"):
            super().__init__(backbone, augment=None)

    assert list(Own().get_params()) == ["backbone"]
    assert Own().augment is None


def test_how_to_runs_as_written():
    text = (Path(__file__).parent.parent / "docs" / "images.md").read_text()
    names = {"__name__": "how_to"}
    for block in re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL):
        exec(compile(block.replace("n_epochs=15", "n_epochs=1"), "images.md", "exec"), names)
    assert len(names["clf"].sample_report_) == len(names["data"].y_train)
    assert all(f"| `{name}` |" in text for name in TRIGGERS)


def test_public_names_are_sorted_and_exist():
    for module in (tsguard_vision, attacks):
        assert module.__all__ == sorted(module.__all__)
        assert all(hasattr(module, name) for name in module.__all__)
