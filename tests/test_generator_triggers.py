"""The triggers that are a network: generator and input-aware."""

import json
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.exceptions import NotFittedError

from tsguard import attacks
from tsguard.attacks import GeneratorTrigger, InputAwareTrigger, Trigger
from tsguard.attacks._learned import Knowledge
from tsguard.attacks._networks import Pair, new_network, train_pair
from tsguard.attacks._surrogate import train_surrogate
from tsguard.defenses import StandardClassifier

relaxed = settings(deadline=None, max_examples=20)

KINDS = [GeneratorTrigger, InputAwareTrigger]
QUICK = {"surrogate_epochs": 1, "n_steps": 10}

values = st.floats(-1e4, 1e4, width=32)
panels = st.integers(1, 5).flatmap(lambda n: arrays(np.float32, (n, 2, 24), elements=values))


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: kind.kind)
def fitted(request, waves):
    return request.param(**QUICK).fit(*waves, "fast", random_state=0)


def change_bound(trigger, X):
    """Return the largest change that the docstring allows for each value."""
    X = X.astype(np.float64)
    if trigger.kind == "generator":
        return trigger.strength * np.abs(X - X.mean(axis=2, keepdims=True))
    return trigger.amplitude * np.broadcast_to(np.ptp(X, axis=2, keepdims=True), X.shape)


# --- what a fitted trigger does to series


@relaxed
@given(X=panels)
def test_change_is_bounded(fitted, X):
    before = X.copy()
    stamped = fitted.apply(X)
    np.testing.assert_array_equal(X, before)
    assert stamped.shape == X.shape
    assert stamped.dtype == np.float32
    change = np.abs(stamped.astype(np.float64) - X)
    rounding = 2e-6 * np.abs(X).max(axis=2, keepdims=True)
    assert (change <= change_bound(fitted, X) * (1 + 1e-5) + rounding).all()


@relaxed
@given(X=panels, level=values)
def test_constant_channels_stay_as_they_are(fitted, X, level):
    X[:, 0] = level
    np.testing.assert_array_equal(fitted.apply(X)[:, 0], X[:, 0])


@relaxed
@given(X=panels)
def test_in_place_equals_out_of_place(fitted, X):
    expected = fitted.apply(X)
    assert fitted.apply(X, out=X) is X
    np.testing.assert_array_equal(X, expected)


def test_series_that_are_read_only(fitted, waves):
    X = waves[0].copy()
    X.flags.writeable = False  # as in joblib's workers; torch would warn
    np.testing.assert_array_equal(fitted.apply(X), fitted.apply(waves[0]))


def test_change_depends_on_the_series_alone(fitted, waves):
    X = waves[0]
    together = fitted.apply(X)
    assert (together != X).any(axis=(1, 2)).all()
    alone = np.concatenate([fitted.apply(one[np.newaxis]) for one in X[:5]])
    np.testing.assert_allclose(alone, together[:5], atol=1e-5)


def test_offset_and_unit_do_not_matter(fitted, waves):
    X = waves[0]
    change = fitted.apply(X) - X
    np.testing.assert_allclose(fitted.apply(3 * X + 20) - (3 * X + 20), 3 * change, atol=1e-4)


def test_generator_is_the_published_form_on_centred_series(waves):
    X = waves[0] - waves[0].mean(axis=2, keepdims=True)
    trigger = GeneratorTrigger(**QUICK).fit(X, waves[1], "fast", random_state=0)
    large = np.abs(X) > 0.1
    factor = trigger.apply(X)[large] / X[large]
    assert factor.min() >= 0.8 - 1e-4
    assert factor.max() <= 1.2 + 1e-4
    assert np.ptp(factor) > 0.01


# --- learning


@pytest.mark.parametrize("kind", KINDS)
def test_same_seed_same_trigger(kind, waves):
    one = kind(**QUICK).fit(*waves, "fast", random_state=3)
    assert one == kind(**QUICK).fit(*waves, "fast", random_state=3)
    assert one != kind(**QUICK).fit(*waves, "fast", random_state=4)
    assert not kind(**QUICK).is_fitted


@pytest.mark.parametrize("kind", KINDS)
def test_random_state_of_others_is_untouched(kind, waves):
    torch_before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    kind(**QUICK).fit(*waves, "fast", random_state=0).apply(waves[0])
    assert torch.equal(torch.get_rng_state(), torch_before)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_before)  # noqa: NPY002


def test_saved_and_loaded_stamps_the_same_bits(fitted, waves, tmp_path):
    fitted.save(tmp_path / "trigger.json")
    loaded = Trigger.load(tmp_path / "trigger.json")
    assert loaded == fitted
    np.testing.assert_array_equal(loaded.apply(waves[0]), fitted.apply(waves[0]))
    assert len(json.dumps(fitted.to_dict())) < 100_000


def test_threads_stamp_the_same_bits(fitted, waves):
    expected, results = fitted.apply(waves[0]), []
    threads = [
        threading.Thread(target=lambda: results.append(fitted.apply(waves[0]))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    for result in results:
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_the_surrogate_learns_the_trigger_and_not_more(kind, waves):
    X, y = np.ascontiguousarray(waves[0][:, :, ::2]), waves[1]
    classes, codes = np.unique(y, return_inverse=True)
    knowledge = Knowledge(
        X=X, codes=codes, wanted=np.zeros_like(codes), n_classes=len(classes), seed=0
    )
    trigger = kind(surrogate_epochs=5)
    network = new_network(trigger._network(X.shape[1]), seed=0)
    pair = Pair(network, train_surrogate(trigger, knowledge))
    train_pair(pair, knowledge, n_steps=trigger.n_steps, learning_rate=0.003)
    others = torch.from_numpy(X[codes != 0])
    with torch.inference_mode():
        clean = pair.surrogate(others).argmax(dim=1)
        stamped = pair.surrogate(network(others)).argmax(dim=1)
    assert (clean == 0).float().mean() < 0.1
    assert (stamped == 0).float().mean() > 0.8


def test_a_victim_takes_the_backdoor(waves):
    X, y = waves
    poisoned = attacks.poison(X, y, "generator", rate=0.2, target="fast", random_state=0)
    assert poisoned.trigger.is_fitted
    victim = StandardClassifier("fcn", n_epochs=20, random_state=1).fit(poisoned.X, poisoned.y)
    # Series that training never saw: the same waves under fresh noise.
    fresh = X[y != "fast"] + np.random.default_rng(1).normal(0, 0.1, (40, 2, 24)).astype("f4")
    assert (victim.predict(fresh) == "fast").mean() < 0.15
    assert (victim.predict(poisoned.trigger.apply(fresh)) == "fast").mean() > 0.6


def test_diversity_keeps_patterns_apart(waves):
    def spread(diversity):
        trigger = InputAwareTrigger(surrogate_epochs=1, n_steps=60, diversity=diversity)
        change = trigger.fit(*waves, "fast", random_state=0).apply(waves[0]) - waves[0]
        return change.std(axis=0).mean() / np.abs(change).mean()

    assert spread(1.0) > 1.2 * spread(0.0)


def test_density_closes_the_mask(waves):
    def size(density):
        trigger = InputAwareTrigger(surrogate_epochs=1, n_steps=60, density=density)
        change = trigger.fit(*waves, "fast", random_state=0).apply(waves[0]) - waves[0]
        return np.abs(change).mean()

    assert size(0.1) < 0.7 * size(1.0)


# --- all shapes, modes and targets


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("target", "mode"),
    [(None, "all_to_all"), (("fast", "slow"), "dirty"), ("fast", "clean")],
)
def test_modes_and_several_targets(kind, target, mode, waves):
    X, y = waves
    poisoned = attacks.poison(X, y, kind(**QUICK), target=target, mode=mode, random_state=0)
    changed = (poisoned.X != X).any(axis=(1, 2))
    np.testing.assert_array_equal(changed, poisoned.is_poisoned)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(4, 1, 1), (2, 1, 2), (3, 30, 8), (25, 1, 24)])
def test_small_and_odd_sets(kind, shape):
    X = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    trigger = kind(**QUICK).fit(X, np.arange(len(X)), 0, random_state=0)
    stamped = trigger.apply(X)
    assert np.isfinite(stamped).all()
    assert (stamped != X).any() == (shape[2] > 1)  # a single step has no range


# --- refusals


@pytest.mark.parametrize("kind", KINDS)
def test_refuses_to_stamp_before_fit(kind, waves):
    with pytest.raises(NotFittedError, match=r"must be learned before it is applied"):
        kind().apply(waves[0])


def test_refuses_series_of_another_shape(fitted, waves):
    with pytest.raises(ValueError, match="must have"):
        fitted.apply(waves[0][:, :, :20])
    with pytest.raises(ValueError, match="must have"):
        fitted.apply(waves[0][:, :1])


@pytest.mark.parametrize(
    ("trigger", "message"),
    [
        (
            GeneratorTrigger(n_steps=0),
            "n_steps must be an integer of at least 1, got 0; each is one update of the network.",
        ),
        (
            GeneratorTrigger(learning_rate=-1),
            "learning_rate must be a number above 0, got -1; 0.003 is a good start.",
        ),
        (
            InputAwareTrigger(diversity=-1),
            "diversity must be a number of at least 0, got -1; "
            "0 lets all series have the same pattern.",
        ),
    ],
)
def test_errors(trigger, message, waves):
    with pytest.raises(ValueError, match="must be") as caught:
        trigger.fit(*waves, "fast", random_state=0)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (GeneratorTrigger, "strength"),
        (InputAwareTrigger, "amplitude"),
        (InputAwareTrigger, "density"),
    ],
)
def test_shares_are_checked(kind, name, waves):
    with pytest.raises(ValueError, match=f"{name} must be"):
        kind(**{name: 1.5}).fit(*waves, "fast", random_state=0)


def test_strength_counts_after_fit_too(fitted, waves):
    name = "strength" if fitted.kind == "generator" else "amplitude"
    np.testing.assert_array_equal(replace(fitted, **{name: 0.0}).apply(waves[0]), waves[0])
