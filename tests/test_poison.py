"""Poisoning: how many rows, which rows, which labels, and nothing else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsguard.attacks import NoiseTrigger, PatchTrigger, poison

relaxed = settings(deadline=None, max_examples=50)


def make_data(n_samples=40, classes=("a", "b", "c"), n_timepoints=20, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_samples, 2, n_timepoints)).astype(np.float32)
    y = np.array([classes[i % len(classes)] for i in range(n_samples)])
    return X, y


@relaxed
@given(
    n_samples=st.integers(2, 60),
    rate=st.floats(0, 1),
    mode=st.sampled_from(["dirty", "clean", "all_to_all"]),
    seed=st.integers(0, 100),
)
@pytest.mark.filterwarnings("ignore:mode .* can stamp only")
def test_properties(n_samples, rate, mode, seed):
    X, y = make_data(n_samples)
    X_before, y_before = X.copy(), y.copy()
    target = None if mode == "all_to_all" else "b"
    p = poison(X, y, NoiseTrigger(), rate=rate, target=target, mode=mode, random_state=seed)

    pool = {"dirty": y != "b", "clean": y == "b", "all_to_all": y == y}[mode]
    wanted = max(1, round(rate * n_samples)) if rate > 0 else 0
    assert p.is_poisoned.sum() == min(wanted, pool.sum())
    assert not (p.is_poisoned & ~pool).any()
    np.testing.assert_array_equal(X, X_before)
    np.testing.assert_array_equal(y, y_before)
    np.testing.assert_array_equal(p.y_clean, y)
    assert p.X[~p.is_poisoned].tobytes() == X[~p.is_poisoned].tobytes()
    np.testing.assert_array_equal(p.y[~p.is_poisoned], y[~p.is_poisoned])
    if p.is_poisoned.any():
        np.testing.assert_array_equal(p.X[p.is_poisoned], NoiseTrigger().apply(X[p.is_poisoned]))
    np.testing.assert_array_equal(p.y[p.is_poisoned], p.target_of(y[p.is_poisoned]))
    assert p.X.dtype == np.float32
    assert p.X.flags.c_contiguous
    assert p.y.dtype == y.dtype
    assert (p.rate, p.mode, p.target, p.trigger) == (rate, mode, target, NoiseTrigger())


@pytest.mark.parametrize("labels", [[3, 5, 9], [-1.0, 0.0, 2.0], ["a", "long name", "z"]])
def test_labels_by_mode(labels):
    X, y = make_data(30, labels)
    dirty = poison(X, y, "noise", rate=0.3, target=labels[1], random_state=0)
    assert (dirty.y[dirty.is_poisoned] == labels[1]).all()
    assert (dirty.y_clean[dirty.is_poisoned] != labels[1]).all()

    clean = poison(X, y, "noise", rate=0.3, target=labels[1], mode="clean", random_state=0)
    assert (clean.y == y).all()
    assert (clean.y[clean.is_poisoned] == labels[1]).all()

    moved = poison(X, y, "noise", rate=1.0, mode="all-to-all", random_state=0)
    following = dict(zip(labels, [*labels[1:], labels[0]], strict=True))
    assert moved.y.tolist() == [following[label] for label in labels * 10]
    assert moved.mode == "all_to_all"
    assert dirty.y.dtype == clean.y.dtype == moved.y.dtype == y.dtype


def test_several_targets_are_dealt_out_to_the_classes():
    X, y = make_data(40, ("a", "b", "c", "d"))
    p = poison(X, y, "noise", rate=1.0, target=("b", "a"), random_state=0)
    np.testing.assert_array_equal(p.target_of(["a", "b", "c", "d"]), ["b", "a", "b", "a"])
    np.testing.assert_array_equal(p.y, p.target_of(y))
    assert p.target == ("b", "a")
    own = poison(X, y, "noise", rate=0.5, target=["a", "b"], random_state=0)
    # Class a is dealt to a and b to b: there is nothing to poison in them.
    assert set(own.y_clean[own.is_poisoned]) == {"c", "d"}
    assert poison(X, y, "noise", target=np.array(["c"]), random_state=0).target == "c"


def test_cover_samples_carry_the_trigger_and_keep_their_label():
    X, y = make_data(60)
    p = poison(X, y, "noise", rate=0.1, cover_rate=0.05, target="b", random_state=0)
    plain = poison(X, y, "noise", rate=0.1, target="b", random_state=0)
    np.testing.assert_array_equal(p.is_poisoned, plain.is_poisoned)
    assert (p.is_poisoned.sum(), p.is_cover.sum()) == (6, 3)
    assert not (p.is_poisoned & p.is_cover).any()
    np.testing.assert_array_equal(p.y[p.is_cover], y[p.is_cover])
    assert (y[p.is_cover] != "b").all()
    touched = p.is_poisoned | p.is_cover
    np.testing.assert_array_equal(p.X[touched], NoiseTrigger().apply(X[touched]))
    np.testing.assert_array_equal(p.X[~touched], X[~touched])


def test_seed():
    X, y = make_data()
    same = [poison(X, y, "patch", target="a", random_state=1) for _ in range(2)]
    other = poison(X, y, "patch", target="a", random_state=2)
    np.testing.assert_array_equal(same[0].is_poisoned, same[1].is_poisoned)
    np.testing.assert_array_equal(same[0].X, same[1].X)
    assert (same[0].is_poisoned != other.is_poisoned).any()


def test_smaller_rate_poisons_a_subset():
    X, y = make_data()
    few, many = (
        poison(X, y, "patch", rate=rate, target="a", random_state=1).is_poisoned
        for rate in (0.1, 0.3)
    )
    assert not (few & ~many).any()


def test_two_dimensional_input_becomes_a_panel():
    X, y = make_data()
    p = poison(X[:, 0], y, PatchTrigger(), target="a", random_state=0)
    assert p.X.shape == (40, 1, 20)


def test_target_is_a_plain_label():
    X, y = make_data(classes=(0, 1, 2))
    p = poison(X, y, "patch", target=np.int64(2), random_state=0)
    assert type(p.target) is int


def test_warns_when_class_is_too_small():
    X, y = make_data(10, ("a", "b"))
    with pytest.warns(UserWarning, match="can stamp only") as caught:
        p = poison(X, y, "noise", rate=0.8, target="a", mode="clean", random_state=0)
    assert str(caught[0].message) == (
        "mode 'clean' can stamp only the 5 samples that fit it, not the 8 that rate=0.8 and "
        "cover_rate=0.0 ask for; poison comes first, see is_poisoned and is_cover for the true "
        "numbers."
    )
    assert caught[0].filename == __file__
    np.testing.assert_array_equal(p.is_poisoned, y == "a")


def test_warns_of_series_the_trigger_cannot_change():
    X, y = make_data(4, ("a", "b"))
    X[1] = 7.0
    with pytest.warns(UserWarning, match=r"^the trigger leaves 1 of the 2 poisoned series unch"):
        p = poison(X, y, "patch", rate=0.5, target="a", random_state=0)
    assert p.is_poisoned[1]
    np.testing.assert_array_equal(p.X[1], X[1])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"target": "d"},
            "target must be one of the classes ['a', 'b', 'c'], got 'd'; "
            "name the class that the attacker wants answered.",
        ),
        (
            {},
            "target must be one of the classes ['a', 'b', 'c'], got None; "
            "name the class that the attacker wants answered.",
        ),
        (
            {"target": "a", "mode": "drity"},
            "mode must be one of ['all_to_all', 'clean', 'dirty'], got 'drity'; "
            "did you mean 'dirty'?",
        ),
        (
            {"target": "a", "mode": "all_to_all"},
            "target must be None in mode 'all_to_all', got 'a'; "
            "every class is mapped to the next one.",
        ),
        (
            {"target": ("a", "a")},
            "several targets must be different classes, got ['a', 'a']; name each once.",
        ),
        (
            {"target": ("a", "b"), "mode": "clean"},
            "several targets must come with mode 'dirty', got mode 'clean'; without changed "
            "labels one trigger cannot mean several classes.",
        ),
    ],
)
def test_value_errors(parameters, message):
    X, y = make_data()
    with pytest.raises(ValueError, match="must") as caught:
        poison(X, y, "patch", **parameters)
    assert str(caught.value) == message


@pytest.mark.parametrize("rate", [-0.1, 1.1])
def test_rate_is_a_fraction(rate):
    X, y = make_data()
    with pytest.raises(ValueError, match="rate must be"):
        poison(X, y, "patch", rate=rate, target="a")


def test_lengths_must_agree():
    X, y = make_data()
    with pytest.raises(ValueError, match="39"):
        poison(X, y[:-1], "patch", target="a")


def test_trigger_type():
    X, y = make_data()
    with pytest.raises(TypeError, match=r"^trigger must be a Trigger or the name of one, got int"):
        poison(X, y, 3, target="a")
    with pytest.raises(TypeError, match=r"got the class PatchTrigger; make one with PatchTrigger"):
        poison(X, y, PatchTrigger, target="a")
