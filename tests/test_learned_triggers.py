"""Triggers learned without a generator: patterns found on a surrogate, and the morph."""

import json

import naive
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from sklearn.exceptions import NotFittedError

from tsguard import attacks
from tsguard.attacks import (
    EvolutionTrigger,
    FrequencyTrigger,
    GradientSignTrigger,
    MorphTrigger,
)
from tsguard.attacks._morph import morph

# numba compiles within the first example, so no example can have a deadline.
relaxed = settings(deadline=None, max_examples=50)

quick = {"surrogate_epochs": 6}
few = {"n_points": 4, "n_candidates": 10, "n_series": 40}
TRIGGERS = {
    "gradient_sign": GradientSignTrigger(n_steps=40, **quick),
    "evolution": EvolutionTrigger(n_generations=12, **few, **quick),
    "frequency": FrequencyTrigger(n_frequencies=2, **quick),
    "morph": MorphTrigger(),
}
KINDS = sorted(TRIGGERS)
PATTERNS = ["evolution", "frequency", "gradient_sign"]


@pytest.fixture(scope="module")
def learned(waves):
    return {kind: one.fit(*waves, "fast", random_state=0) for kind, one in TRIGGERS.items()}


def global_state():
    return np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002


# --- every trigger


@pytest.mark.parametrize("kind", KINDS)
def test_same_seed_same_trigger_and_globals_stay(kind, learned, waves):
    before = global_state()
    again = TRIGGERS[kind].fit(*waves, "fast", random_state=0)
    assert global_state() == before
    assert again == learned[kind]
    assert not TRIGGERS[kind].is_fitted


@pytest.mark.parametrize("kind", PATTERNS)
def test_another_seed_another_trigger(kind, learned, waves):
    assert TRIGGERS[kind].fit(*waves, "fast", random_state=1) != learned[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_json_keeps_every_bit(kind, learned, waves):
    X, _ = waves
    restored = attacks.Trigger.from_dict(json.loads(json.dumps(learned[kind].to_dict())))
    assert restored == learned[kind]
    np.testing.assert_array_equal(restored.apply(X), learned[kind].apply(X))


@pytest.mark.parametrize("kind", KINDS)
def test_in_place_equals_out_of_place(kind, learned, waves):
    X, _ = waves
    panel, before = X.copy(), X.copy()
    stamped = learned[kind].apply(panel)
    np.testing.assert_array_equal(panel, before)
    assert stamped.dtype == np.float32
    assert learned[kind].apply(panel, out=panel) is panel
    np.testing.assert_array_equal(panel, stamped)


@pytest.mark.parametrize("kind", KINDS)
def test_one_series_is_stamped_as_among_many(kind, learned, waves):
    X, _ = waves
    np.testing.assert_array_equal(learned[kind].apply(X[7:8]), learned[kind].apply(X)[7:8])


@pytest.mark.parametrize("kind", KINDS)
def test_constant_channels_stay_as_they_are(kind, learned, waves):
    X = waves[0][:5].copy()
    X[:, 0] = np.float32(0.3)
    stamped = learned[kind].apply(X)
    np.testing.assert_array_equal(stamped[:, 0], X[:, 0])
    assert (stamped[:, 1] != X[:, 1]).any()


@pytest.mark.parametrize("kind", KINDS)
def test_must_be_learned_first(kind, waves):
    with pytest.raises(NotFittedError, match="must be learned before it is applied"):
        TRIGGERS[kind].apply(waves[0])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_timepoints", [1, 2, 8])
def test_short_series_and_all_to_all(kind, n_timepoints, waves):
    X, y = waves[0][..., :n_timepoints], waves[1]
    trigger = TRIGGERS[kind].fit(X, y, mode="all_to_all", random_state=0)
    stamped = trigger.apply(X)
    assert np.isfinite(stamped).all()
    changed = (stamped != X).any(axis=(1, 2)).mean()
    if n_timepoints == 1:  # one step has no range
        assert changed == 0
    elif n_timepoints == 2 and kind == "morph":  # two steps can only rise or fall
        assert changed > 0
    else:
        assert changed > 0.99


@pytest.mark.parametrize(
    ("trigger", "message"),
    [
        (GradientSignTrigger(n_steps=0), "n_steps must be"),
        (GradientSignTrigger(learning_rate=0), "learning_rate must be"),
        (EvolutionTrigger(n_points=0), "n_points must be"),
        (EvolutionTrigger(n_candidates=4), "n_candidates must be an integer of at least 5"),
        (EvolutionTrigger(n_generations=1.5), "n_generations must be"),
        (EvolutionTrigger(n_series=0), "n_series must be"),
        (FrequencyTrigger(n_frequencies=0), "n_frequencies must be"),
        (MorphTrigger(n_prototypes=0), "n_prototypes must be"),
        (MorphTrigger(strength=1.5), "strength must be"),
        (GradientSignTrigger(amplitude=2), "amplitude must be"),
        (EvolutionTrigger(amplitude=2), "amplitude must be"),
        (FrequencyTrigger(amplitude=-1), "amplitude must be"),
        (FrequencyTrigger(surrogate_epochs=0), "surrogate_epochs must be an integer of at least 1"),
    ],
)
def test_parameters_are_checked_before_anything_is_learned(trigger, message, waves):
    with pytest.raises(ValueError, match=message):
        trigger.fit(*waves, "fast", random_state=0)


# --- patterns


def stamped_answers(trigger, waves, X):
    """Return the mean probability of "fast" that the trigger's own surrogate gives."""
    from tsguard.attacks._learned import Knowledge
    from tsguard.attacks._surrogate import train_surrogate

    panel, codes = waves[0], np.unique(waves[1], return_inverse=True)[1]
    knowledge = Knowledge(X=panel, codes=codes, wanted=0 * codes, n_classes=3, seed=0)
    logits = train_surrogate(trigger, knowledge)(torch.from_numpy(X))
    return float(logits.softmax(dim=1)[:, 0].mean())


@pytest.mark.parametrize("kind", PATTERNS)
def test_surrogate_moves_towards_the_target(kind, learned, waves):
    X = waves[0][waves[1] != "fast"]
    plain = stamped_answers(learned[kind], waves, X)
    stamped = stamped_answers(learned[kind], waves, learned[kind].apply(X))
    # The same pattern upside down is as large and should help less.
    mirrored = stamped_answers(learned[kind], waves, 2 * X - learned[kind].apply(X))
    assert stamped > 1.5 * plain
    assert stamped > mirrored


@pytest.mark.parametrize("kind", PATTERNS)
def test_patterns_are_bounded_and_reach_their_bound(kind, learned):
    peaks = np.abs(learned[kind].weights["pattern"]).max(axis=1)
    amplitude = learned[kind].amplitude
    assert (peaks <= amplitude * (1 + 1e-6)).all()
    assert peaks.max() > 0.5 * amplitude


@pytest.mark.parametrize("kind", PATTERNS)
def test_change_is_the_pattern_times_the_range(kind, learned, waves):
    X, _ = waves
    span = np.ptp(X, axis=2, keepdims=True)
    expected = X + span * learned[kind].weights["pattern"]
    np.testing.assert_allclose(learned[kind].apply(X), expected, atol=1e-5)


@pytest.mark.parametrize("n_points", [1, 4, 100])
def test_evolution_changes_few_steps(n_points, waves):
    trigger = EvolutionTrigger(
        n_points=n_points, n_generations=1, n_candidates=5, surrogate_epochs=1
    )
    X, _ = waves
    changed = (trigger.fit(*waves, "fast", random_state=0).apply(X) != X).any(axis=(0, 1))
    assert 1 <= changed.sum() <= n_points


def test_more_generations_are_not_worse(learned, waves):
    """Selection keeps the best candidate; with the same seed both begin with the same ones."""
    short = EvolutionTrigger(n_generations=1, **few, **quick)
    X = waves[0][waves[1] != "fast"]
    chances = [
        stamped_answers(trigger, waves, trigger.apply(X))
        for trigger in (short.fit(*waves, "fast", random_state=0), learned["evolution"])
    ]
    assert chances[1] > chances[0]


@pytest.mark.parametrize(("n_timepoints", "n_frequencies"), [(24, 1), (24, 3), (23, 2), (8, 50)])
def test_frequency_changes_only_few_bins(n_timepoints, n_frequencies, waves):
    X, y = waves[0][..., :n_timepoints], waves[1]
    trigger = FrequencyTrigger(n_frequencies=n_frequencies, surrogate_epochs=2)
    change = trigger.fit(X, y, "fast", random_state=0).apply(X).astype(np.float64) - X
    spectrum = np.abs(np.fft.rfft(change)) / n_timepoints
    changed = (spectrum > 1e-5).any(axis=0).sum(axis=1)
    n_bins = n_timepoints // 2
    assert (changed >= 1).all()
    assert (changed <= min(n_frequencies, n_bins)).all()
    assert spectrum[..., 0].max() < 1e-5


def test_frequency_finds_the_frequency_that_tells_the_classes_apart(waves):
    """Classes differ in bins 1, 2 and 3 of 24 steps; the rest is noise."""
    trigger = FrequencyTrigger(n_frequencies=1, surrogate_epochs=20)
    pattern = trigger.fit(*waves, "fast", random_state=0).weights["pattern"]
    assert set(np.abs(np.fft.rfft(pattern)).argmax(axis=1)) <= {1, 2, 3, 4}


# --- morph


scaled_panels = arrays(
    np.float32,
    array_shapes(min_dims=3, max_dims=3, max_side=6),
    elements=st.floats(-100, 100, width=32),
)


@relaxed
@given(scaled_panels, st.integers(1, 4), st.floats(0, 1, width=32), st.data())
def test_morph_equals_twin(X, n_prototypes, strength, data):
    values = st.floats(0, 1, width=32)
    shape = (n_prototypes, *X.shape[1:])
    prototypes = data.draw(arrays(np.float32, shape, elements=values))
    belongs = np.arange(n_prototypes) % 2
    wanted = np.where(n_prototypes > 1, 1 - belongs, belongs)
    out = np.full_like(X, np.nan)
    morph(X, prototypes, belongs, wanted, np.float32(strength), out)
    expected = naive.morph(X, prototypes, belongs, wanted, np.float32(strength))
    np.testing.assert_array_equal(out, expected)


@relaxed
@given(scaled_panels, st.floats(0, 1, width=32))
def test_morph_stays_in_range_and_near(X, strength):
    y = np.r_[0, 1, np.zeros(len(X), int)]
    both = np.concatenate([X, X[:1], -X[:1]])
    trigger = MorphTrigger(strength=float(strength)).fit(both, y, 1, random_state=0)
    stamped = trigger.apply(X)
    span = np.ptp(X, axis=2, keepdims=True)
    rounding = 1e-6 * np.abs(X).max()
    assert (np.abs(stamped - X) <= strength * span + rounding).all()
    assert (stamped <= X.max(axis=2, keepdims=True) + rounding).all()
    assert (stamped >= X.min(axis=2, keepdims=True) - rounding).all()


def test_morph_goes_from_the_series_to_a_prototype(waves):
    X, y = waves
    source = X[y == "slow"]
    stamped = {
        strength: MorphTrigger(strength=strength).fit(X, y, "fast", random_state=0).apply(source)
        for strength in (0.0, 0.5, 1.0)
    }
    np.testing.assert_array_equal(stamped[0.0], source)
    np.testing.assert_allclose(stamped[0.5], (source + stamped[1.0]) / 2, atol=1e-5)
    scaled = (stamped[1.0] - source.min(axis=2, keepdims=True)) / np.ptp(source, 2, keepdims=True)
    fast = X[y == "fast"]
    members = (fast - fast.min(axis=2, keepdims=True)) / np.ptp(fast, 2, keepdims=True)
    gaps = np.abs(scaled[:, np.newaxis] - members).max(axis=(2, 3))
    assert gaps.min(axis=1).max() < 1e-5  # each has become some member of the wanted class


def test_morph_wants_the_next_class_in_all_to_all(waves):
    X, y = waves
    trigger = MorphTrigger(strength=1.0).fit(X, y, mode="all_to_all", random_state=0)
    names = np.array(["fast", "medium", "slow"])
    wanted = names[(np.searchsorted(names, y) + 1) % 3]
    stamped = trigger.apply(X)
    centres = np.stack([X[y == name].mean(axis=0) for name in names])
    gaps = ((stamped[:, np.newaxis] - centres) ** 2).sum(axis=(2, 3))
    assert (names[gaps.argmin(axis=1)] == wanted).mean() > 0.95


def test_morph_moves_neighbours_to_the_target(waves):
    """With a strong morph, most nearest neighbours among clean series have the target's label."""
    X, y = waves
    stamped = MorphTrigger(strength=0.7).fit(X, y, "fast", random_state=0).apply(X[y == "slow"])
    gaps = ((stamped[:, np.newaxis] - X) ** 2).sum(axis=(2, 3))
    assert (y[gaps.argmin(axis=1)] == "fast").mean() > 0.9


def test_morph_of_equal_series():
    X = np.repeat(np.float32([[[0, 1, 2, 3]], [[3, 2, 1, 0]]]), 4, axis=0)
    trigger = MorphTrigger(strength=1.0).fit(X, np.repeat([0, 1], 4), 1, random_state=0)
    np.testing.assert_array_equal(trigger.apply(X[:4]), X[4:])
