"""The classifiers as estimators: conventions, attributes, bad input, hard cases."""

import inspect
import re
import threading

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from tsguard import E2ABLClassifier, attacks, evaluate, load_dataset, poison
from tsguard._e2abl import _believed_classes
from tsguard.defenses import StandardClassifier

CLASSIFIERS = [
    E2ABLClassifier(backbone="fcn", n_epochs=4, random_state=0),
    E2ABLClassifier(backbone="fcn", n_epochs=4, random_state=0, suspicion="loss_drop"),
    StandardClassifier(backbone="fcn", n_epochs=4, random_state=0),
]
each_classifier = pytest.mark.parametrize(
    "classifier", CLASSIFIERS, ids=["auto", "loss_drop", "standard"]
)


@pytest.fixture(scope="module")
def fitted(waves):
    X, y = waves
    poisoned = poison(X, y, attacks.PatchTrigger(), rate=0.1, target="slow", random_state=0)
    classifier = E2ABLClassifier(backbone="fcn", n_epochs=10, random_state=0)
    return classifier.fit(poisoned.X, poisoned.y), poisoned


# -- conventions --------------------------------------------------------------------------------


@each_classifier
def test_learns_and_answers_in_the_given_labels(classifier, waves):
    X, y = waves
    classifier = clone(classifier).set_params(n_epochs=12).fit(X, y)
    assert classifier.classes_.tolist() == ["fast", "medium", "slow"]
    assert classifier.score(X, y) > 0.9
    probabilities = classifier.predict_proba(X)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert (classifier.classes_[probabilities.argmax(axis=1)] == classifier.predict(X)).all()


def test_fit_leaves_the_global_generators_alone(waves):
    np.random.seed(1)  # noqa: NPY002
    expected = np.random.RandomState(1).random_sample(3)
    clone(CLASSIFIERS[0]).fit(*waves)
    np.testing.assert_array_equal(np.random.random_sample(3), expected)  # noqa: NPY002


@pytest.mark.parametrize("unit", [1e-13, 1e-30, 1e13])
def test_the_unit_of_the_series_does_not_matter(unit, fitted):
    classifier, poisoned = fitted
    other = clone(classifier).fit((poisoned.X.astype(float) * unit).astype(np.float32), poisoned.y)
    np.testing.assert_array_equal(other.suspect_mask_, classifier.suspect_mask_)
    X = (poisoned.X.astype(float) * unit).astype(np.float32)
    assert (other.predict(X) == classifier.predict(poisoned.X)).mean() > 0.95


def test_series_that_single_precision_blurs_are_told(waves):
    X, y = waves
    with pytest.warns(UserWarning, match=r"X must vary by much more.*mean away first"):
        clone(CLASSIFIERS[2]).fit(20 * X.astype(float) + 1e8, y)


def test_fit_inside_no_grad(waves):
    with torch.no_grad():
        clone(CLASSIFIERS[2]).fit(*waves)


def test_labels_of_another_kind_are_no_wrong_answers(waves):
    X, y = waves
    classifier = clone(CLASSIFIERS[2]).fit(X, (y == "slow").astype(int))
    for other in (y, y.astype(object)):
        with pytest.raises(ValueError, match=r"y must hold labels of the kind.*got texts"):
            classifier.score(X, other)
        with pytest.raises(ValueError, match=r"y must hold labels of the kind.*got texts"):
            evaluate(classifier, X, other)


def test_a_class_that_is_not_recovered_is_never_the_given_one():
    predicted = np.array([[2, 2, 1, 0, 1], [2, 0, 0, 0, 1], [1, 0, 0, 0, 2]])
    codes = np.array([0, 0, 0, 0, 2])
    # Another last answer; a given label with an earlier other one, twice; none: the larger class.
    believed = _believed_classes(predicted, codes, np.array([5, 3, 4]))
    assert believed.tolist() == [1, 2, 1, 2, 1]


def test_fit_leaves_the_number_of_torch_threads_alone():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        X = np.random.default_rng(0).normal(size=(12, 20))
        E2ABLClassifier("fcn", n_epochs=1, random_state=0).fit(X, np.arange(12) % 2)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_integer_labels_stay_integers(waves):
    X, y = waves
    codes = np.where(y == "slow", 7, -3)
    predicted = clone(CLASSIFIERS[2]).fit(X, codes).predict(X)
    assert predicted.dtype == codes.dtype
    assert set(predicted) <= {-3, 7}


def test_same_seed_same_probabilities(waves):
    X, y = waves
    first, second = (clone(CLASSIFIERS[0]).fit(X, y).predict_proba(X) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_settings_that_both_share_have_one_default():
    ours = inspect.signature(E2ABLClassifier).parameters
    baseline = inspect.signature(StandardClassifier).parameters
    assert {name: p.default for name, p in baseline.items()} == {
        name: ours[name].default for name in baseline
    }


@pytest.mark.parametrize("kind", [E2ABLClassifier, StandardClassifier])
def test_documented_defaults_are_the_real_ones(kind):
    documented = dict(re.findall(r"^ {4}(\w+) : .*default=(.+)$", kind.__doc__, flags=re.M))
    real = {name: p.default for name, p in inspect.signature(kind).parameters.items()}
    assert set(documented) == set(real)
    assert {name: eval(text) for name, text in documented.items()} == real


def test_pipeline_grid_search_and_parallel_cross_validation(waves):
    X, y = waves
    flat = X[:, 0]
    pipeline = make_pipeline(FunctionTransformer(), clone(CLASSIFIERS[0]))
    search = GridSearchCV(pipeline, {"e2ablclassifier__n_epochs": [2, 6]}, cv=2).fit(flat, y)
    assert search.best_params_ == {"e2ablclassifier__n_epochs": 6}
    scores = cross_val_score(clone(CLASSIFIERS[2]), X, y, cv=2, n_jobs=2)
    assert scores.shape == (2,)


def test_fits_side_by_side_in_threads_do_not_disturb_each_other(waves):
    X, y = waves
    alone = clone(CLASSIFIERS[2]).fit(X, y).predict_proba(X)
    results = {}

    def fit(name):
        results[name] = clone(CLASSIFIERS[2]).fit(X, y).predict_proba(X)

    threads = [threading.Thread(target=fit, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_allclose(results["a"], alone, atol=1e-5)
    np.testing.assert_allclose(results["b"], alone, atol=1e-5)


# -- what a fit tells ---------------------------------------------------------------------------


def test_attributes_of_a_fit(fitted):
    classifier, poisoned = fitted
    n_samples = len(poisoned.y)
    assert classifier.suspicion_.shape == (n_samples,)
    assert ((classifier.suspicion_ >= 0) & (classifier.suspicion_ <= 1)).all()
    assert classifier.suspect_mask_.dtype == bool
    trusted = ~classifier.suspect_mask_
    assert (classifier.recovered_labels_[trusted] == poisoned.y[trusted]).all()
    report = classifier.sample_report_
    assert list(report) == [
        "index",
        "given_label",
        "suspicion",
        "suspect",
        "recovered_label",
        "why",
    ]
    assert len(report) == n_samples
    assert (report["why"].astype(bool) == report["suspect"]).all()
    history = classifier.history_
    assert {"epoch", "phase", "main_loss", "trap_loss", "n_isolated", "accuracy"} <= set(history)
    assert len(history) == 10
    assert classifier.records_["main_loss"].shape == (10, n_samples)


def test_poison_with_a_plain_trigger_is_found_and_relabelled(fitted):
    classifier, poisoned = fitted
    assert classifier.suspected_target_ == "slow"
    assert classifier.suspect_mask_[poisoned.is_poisoned].all()
    truth = poisoned.y_clean[poisoned.is_poisoned]
    assert (classifier.recovered_labels_[poisoned.is_poisoned] == truth).mean() > 0.8


def test_a_hum_with_right_labels_is_found_left_out_and_without_effect():
    data = load_dataset("GunPoint")
    target, test = data.classes[0], (data.X_test, data.y_test)
    poisoned = poison(
        data.X_train,
        data.y_train,
        attacks.HumTrigger(),
        rate=0.1,
        target=target,
        mode="clean",
        random_state=0,
    )
    undefended = StandardClassifier(backbone="fcn", random_state=0).fit(poisoned.X, poisoned.y)
    classifier = E2ABLClassifier(backbone="fcn", random_state=0).fit(poisoned.X, poisoned.y)
    assert (classifier.suspect_mask_ == poisoned.is_poisoned).all()
    assert (classifier.recovered_labels_ == poisoned.y).all()
    assert classifier.suspected_target_ == target
    scores = [
        evaluate(one, *test, trigger=poisoned.trigger, target=target, mode="clean")
        for one in (undefended, classifier)
    ]
    assert scores[0].attack_success_rate > 0.8
    assert scores[1].attack_success_rate < 0.1
    assert scores[1].clean_accuracy > scores[0].clean_accuracy - 0.03


def test_the_trigger_score_tells_triggered_series_from_clean_ones(fitted, waves):
    classifier, poisoned = fitted
    X, y = waves
    others = X[(y != "slow") & ~poisoned.is_poisoned]
    clean = classifier.trigger_score(others)
    triggered = classifier.trigger_score(poisoned.trigger.apply(others, random_state=1))
    assert clean.shape == (len(others),)
    assert clean.min() >= 0
    assert triggered.max() <= 1
    assert np.quantile(triggered, 0.1) > 0.5 > np.quantile(clean, 0.9)


def test_the_trigger_score_is_the_same_for_many_series_as_for_few(fitted, waves, monkeypatch):
    classifier, _ = fitted
    X, _ = waves
    whole = classifier.trigger_score(X)
    monkeypatch.setattr("tsguard._e2abl.CHUNK", 7)
    np.testing.assert_allclose(classifier.trigger_score(X), whole, atol=1e-5)


def test_nothing_carries_a_trigger_where_nothing_is_suspected(waves):
    X, y = waves
    classifier = E2ABLClassifier(backbone="fcn", n_epochs=1, random_state=0).fit(X, y)
    assert classifier.trigger_filter_ is None
    assert (classifier.trigger_score(X[:3]) == 0).all()


def test_nothing_is_suspected_without_poison(waves):
    classifier = clone(CLASSIFIERS[0]).fit(*waves)
    assert classifier.suspected_target_ is None
    assert not classifier.suspect_mask_.any()


def test_a_fixed_isolation_rate_is_kept(waves):
    X, y = waves
    classifier = clone(CLASSIFIERS[1]).set_params(isolation_rate=0.1, recovery_rate=0.5).fit(X, y)
    assert classifier.suspect_mask_.sum() == 6
    assert classifier.history_["n_isolated"].iloc[-1] == 6


def test_the_user_can_interrupt_and_fit_again(waves, monkeypatch):
    from tsguard._engine import Engine

    classifier = clone(CLASSIFIERS[0])
    with monkeypatch.context() as patch:
        patch.setattr(Engine, "_epoch", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            classifier.fit(*waves)
    with pytest.raises(NotFittedError):
        classifier.predict(waves[0])
    assert classifier.fit(*waves).predict(waves[0]).shape == (60,)


# -- hard cases ---------------------------------------------------------------------------------


@each_classifier
@pytest.mark.parametrize(
    "case", ["one_member", "fifteen", "constant", "two", "unequal", "duplicates"]
)
def test_hard_data_does_not_crash(classifier, case):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(15, 1, 12)), np.arange(15) % 3
    if case == "one_member":
        y[y == 2] = 1
        y[0] = 2
    elif case == "constant":
        X[:4] = 0
        X[4:8] = 5
    elif case == "two":
        X, y = X[:2], y[:2]
    elif case == "unequal":
        X = [series[:, : 5 + i % 7] for i, series in enumerate(X)]
    elif case == "duplicates":
        X[:] = X[0]
    classifier = clone(classifier).set_params(n_epochs=2, batch_size=1).fit(X, y)
    assert set(classifier.predict(X)) <= set(y)


def test_a_single_series_can_be_predicted(waves):
    X, y = waves
    classifier = clone(CLASSIFIERS[2]).fit(X, y)
    np.testing.assert_allclose(
        classifier.predict_proba(X[:1]), classifier.predict_proba(X)[:1], atol=1e-5
    )


def test_unequal_lengths_at_predict_are_stretched(waves):
    X, y = waves
    classifier = clone(CLASSIFIERS[2]).fit(X, y)
    shorter = [series[:, : 12 + i] for i, series in enumerate(X[:5])]
    assert classifier.predict(shorter).shape == (5,)


def test_a_module_of_ones_own_and_data_frames(waves):
    X, y = waves
    module = torch.nn.Sequential(
        torch.nn.Conv1d(1, 4, 3),
        torch.nn.AdaptiveAvgPool1d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(4, 3),
    )
    frame = pd.DataFrame(X[:, 0])
    classifier = E2ABLClassifier(module, attach_at="0", n_epochs=2, random_state=0)
    assert classifier.fit(frame, pd.Series(y)).predict(frame).shape == (60,)


# -- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backbone": "fnc"}, "backbone must be one of .* got 'fnc'; did you mean 'fcn'"),
        (
            {"suspicion": "magic"},
            "The 'suspicion' parameter of E2ABLClassifier must be a str",
        ),
        ({"isolation_rate": 1.5}, r"The 'isolation_rate' parameter .* in the range \[0.0, 1.0\]"),
        ({"recovery_rate": -1}, "The 'recovery_rate' parameter"),
        (
            {"n_epochs": 0},
            "The 'n_epochs' parameter of E2ABLClassifier must be an int",
        ),
        ({"batch_size": 2.5}, "The 'batch_size' parameter"),
        ({"device": "cuda:99"}, "device must be 'auto' or a device of this machine"),
        ({"device": "toaster"}, "device must be 'auto' or a device of this machine"),
        ({"random_state": -1}, "random_state|must be from 0"),
    ],
)
def test_bad_parameters(changes, message, waves):
    with pytest.raises(ValueError, match=message):
        clone(CLASSIFIERS[0]).set_params(**changes).fit(*waves)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda X, y: (np.where(X > 1, np.nan, X), y), "X must .*NaN.*to_panel"),
        (lambda X, y: (X[:0], y[:0]), "X must "),
        (lambda X, y: (X, y[:-1]), "got 59 labels for 60 series"),
        (lambda X, y: (X, np.full(60, "a")), "two classes"),
    ],
)
def test_bad_training_data(spoil, message, waves):
    with pytest.raises(ValueError, match=message):
        clone(CLASSIFIERS[0]).fit(*spoil(*waves))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda X: X[:, :1], "channel"),
        (lambda X: X[:, :, :20], "timepoints"),
        (lambda X: X * np.nan, "NaN"),
    ],
)
def test_bad_data_at_predict(change, message, waves):
    X, y = waves
    classifier = clone(CLASSIFIERS[2]).fit(X, y)
    with pytest.raises(ValueError, match=message):
        classifier.predict(change(X))


@each_classifier
def test_predict_before_fit(classifier, waves):
    if isinstance(classifier, E2ABLClassifier):
        with pytest.raises(NotFittedError, match="fit"):
            clone(classifier).trigger_score(waves[0])
    with pytest.raises(NotFittedError, match="has not been fitted yet"):
        clone(classifier).predict(waves[0])


def test_bfloat16_trains_another_network_of_the_same_kind():
    data = load_dataset("ItalyPowerDemand")
    exact, rough = (
        StandardClassifier("fcn", n_epochs=3, precision=precision, random_state=0).fit(
            data.X_train, data.y_train
        )
        for precision in ("float32", "bfloat16")
    )
    pairs = list(zip(exact.network_.parameters(), rough.network_.parameters(), strict=True))
    assert all(one.dtype == other.dtype for one, other in pairs)
    assert any((one != other).any() for one, other in pairs)
    assert abs(exact.score(data.X_test, data.y_test) - rough.score(data.X_test, data.y_test)) < 0.1
    with pytest.raises(ValueError, match="precision"):
        StandardClassifier("fcn", precision="half").fit(data.X_train, data.y_train)
