"""Metrics on cases small enough to count by hand."""

import json

import numpy as np
import pytest

from tsguard._evaluate import (
    evaluate,
    evaluate_isolation,
    isolation_scores,
    recovery_accuracy,
    trigger_size,
)
from tsguard.attacks import NoiseTrigger, PatchTrigger, poison
from tsguard.attacks._targets import target_labels


class Stub:
    """Answers from two tables, looked up by the first value; stamped series by the second one."""

    def __init__(self, clean, stamped, originals):
        self.clean, self.stamped = np.array(clean), np.array(stamped)
        self.originals = originals
        self.calls = []

    def predict(self, X):
        self.calls.append(len(X))
        answers = []
        for series in X:
            # The last time step carries the row number; a patch at the start leaves it alone.
            row = int(series[0, -1])
            is_clean = np.array_equal(series, self.originals[row])
            answers.append((self.clean if is_clean else self.stamped)[row])
        return np.array(answers)


@pytest.fixture
def X():
    data = np.random.default_rng(0).normal(size=(6, 1, 30)).astype(np.float32)
    data[:, 0, -1] = np.arange(6)
    return data


Y = np.array(["a", "a", "b", "b", "c", "c"])


def test_clean_accuracy_only(X):
    stub = Stub(list("aabbca"), list("aaaaaa"), X)
    result = evaluate(stub, X, Y)
    assert result.to_dict() == {
        "clean_accuracy": 5 / 6,
        "attack_success_rate": None,
        "robust_accuracy": None,
        "n_clean": 6,
        "n_triggered": 0,
    }
    assert stub.calls == [6]


@pytest.mark.parametrize("mode", ["dirty", "clean"])
def test_target_samples_are_left_out(X, mode):
    # Of the four triggered samples (b, b, c, c) three answer the target a, one its true class.
    stub = Stub(list("aabbcc"), list("bbabaa"), X)
    result = evaluate(stub, X, Y, trigger=PatchTrigger(), target="a", mode=mode)
    assert result.clean_accuracy == 1
    assert result.attack_success_rate == 3 / 4
    assert result.robust_accuracy == 1 / 4
    assert (result.n_clean, result.n_triggered) == (6, 4)
    assert stub.calls == [6, 4]
    json.dumps(result.to_dict())


def test_wrong_answers_count_for_neither_side(X):
    stub = Stub(list("aabbcc"), list("aaccbb"), X)
    result = evaluate(stub, X, Y, trigger="patch", target="a")
    assert (result.attack_success_rate, result.robust_accuracy) == (0, 0)


def test_all_to_all_counts_every_sample(X):
    stub = Stub(list("aabbcc"), list("babcaa"), X)
    result = evaluate(stub, X, Y, trigger="patch", mode="all-to-all")
    assert result.attack_success_rate == 4 / 6
    assert result.robust_accuracy == 2 / 6
    assert result.n_triggered == 6


def test_all_to_all_asks_the_classifier_which_class_is_next(X):
    stub = Stub(list("aabbcc"), list("bbccdd"), X)
    stub.classes_ = np.array(list("abcd"))  # no test sample is of class d
    result = evaluate(stub, X, Y, trigger="patch", mode="all_to_all")
    assert result.attack_success_rate == 1


def test_all_to_all_knows_a_class_that_the_attack_used_up(X):
    stub = Stub(list("aabbbb"), list("bbccaa"), X)
    stub.classes_ = np.array(list("ab"))  # its only series of class c was given another label
    result = evaluate(stub, X, Y, trigger="patch", mode="all_to_all")
    assert result.attack_success_rate == 1


def test_several_targets_leave_out_the_classes_that_stay_what_they_are(X):
    # Class a is dealt to target a, b to b, c to a again: only the two c are attacked.
    stub = Stub(list("aabbcc"), list("ccccab"), X)
    result = evaluate(stub, X, Y, trigger="patch", target=("a", "b"))
    assert result.attack_success_rate == 1 / 2
    assert result.n_triggered == 2
    swapped = evaluate(stub, X, Y, trigger="patch", target=["b", "a"])
    assert swapped.attack_success_rate == 1 / 6
    assert swapped.n_triggered == 6


def test_trigger_size_by_hand():
    before = np.array([[[0, 4.0, 0, 0], [7, 7, 7, 7]], [[0, 1, 0, 0], [7, 7, 7, 7]]])
    after = before + np.array([2.0, 0, 0, 0])
    # Ranges 4 and 1: the change is half and twice the range; the constant channel has no unit.
    assert trigger_size(before, after) == pytest.approx(((0.25 + 1) / 2, (0.5 + 2) / 2))
    assert trigger_size(before[:, 1:], after[:, 1:]) == (0, 0)


def test_no_sample_to_attack(X):
    stub = Stub(list("aabbcc"), list("aaaaaa"), X)
    result = evaluate(stub, X[:2], Y[:2], trigger="patch", target="a")
    assert (result.attack_success_rate, result.n_triggered) == (None, 0)
    assert stub.calls == [2]


def test_input_stays_and_two_dimensional_input_stays_so(X):
    class Flat:
        def predict(self, X):
            assert X.ndim == 2
            return np.full(len(X), "a")

    before = X.copy()
    assert evaluate(Flat(), X[:, 0], Y, trigger="patch", target="a").attack_success_rate == 1
    np.testing.assert_array_equal(X, before)


def test_unequal_lengths_are_stretched_to_what_the_classifier_knows(X):
    class Fitted:
        n_timepoints_ = 12

        def predict(self, X):
            assert X.shape[1:] == (1, 12)
            return np.full(len(X), "a")

    unequal = [series[:, : 20 + i] for i, series in enumerate(X)]
    result = evaluate(Fitted(), unequal, Y, trigger="patch", target="a")
    assert result.attack_success_rate == 1


def test_evaluate_errors(X):
    stub = Stub(list("aabbcc"), list("aaaaaa"), X)
    with pytest.raises(ValueError, match="target must be one of") as caught:
        evaluate(stub, X, Y, trigger="patch")
    assert str(caught.value) == (
        "target must be one of the classes ['a', 'b', 'c'], got None; "
        "name the class that the attacker wants answered."
    )
    stub.clean = np.eye(6)
    with pytest.raises(ValueError, match=r"classifier\.predict") as caught:
        evaluate(stub, X, Y)
    assert str(caught.value) == (
        "classifier.predict must return one label per series, shape (6,), got shape (6, 6); "
        "return labels and not probabilities."
    )


def test_target_labels():
    classes = np.array([1, 5, 9])
    assert target_labels([9, 1], classes=classes, target=5, mode="dirty").tolist() == [5, 5]
    moved = target_labels([9, 1, 5], classes=classes, target=None, mode="all_to_all")
    assert moved.tolist() == [1, 5, 9]
    for unknown in (4, 10):
        with pytest.raises(ValueError, match="y must hold only") as caught:
            target_labels([1, unknown], classes=classes, target=None, mode="all_to_all")
        assert str(caught.value) == (
            "y must hold only the classes [1, 5, 9] in mode 'all_to_all' with target None, "
            f"got {unknown}; leave these samples out."
        )


# --- isolation and recovery


def test_isolation_by_hand():
    poisoned = [1, 1, 1, 0, 0, 0, 0, 0]
    suspects = [1, 1, 0, 1, 1, 0, 0, 0]
    suspicion = [0.9, 0.8, 0.1, 0.85, 0.7, 0.0, 0.0, 0.0]
    scores = isolation_scores(suspects, poisoned, suspicion)
    assert scores.isolation_precision == 2 / 4
    assert scores.isolation_recall == 2 / 3
    assert scores.isolation_auc == pytest.approx((5 + 4 + 3) / 15)
    assert (scores.n_suspects, scores.n_poisoned) == (4, 3)
    assert scores.recovery_accuracy is None
    # Among the samples labelled t: poison 0.9, 0.8, 0.1 against 0.0, 0.0.
    y = np.array(list("tttsuttu"))
    assert isolation_scores(suspects, poisoned, suspicion, y=y, target="t").isolation_auc == 1


def test_undefined_values_are_none():
    nothing = np.zeros(4, dtype=bool)
    scores = isolation_scores(nothing, nothing, np.arange(4))
    assert json.loads(json.dumps(scores.to_dict())) == {
        "isolation_precision": None,
        "isolation_recall": None,
        "isolation_auc": None,
        "recovery_accuracy": None,
        "n_suspects": 0,
        "n_poisoned": 0,
    }
    assert isolation_scores(~nothing, ~nothing, np.arange(4)).isolation_auc is None
    assert isolation_scores(nothing, ~nothing).isolation_auc is None
    assert recovery_accuracy([1, 2], [1, 2], [True, False], [False, True]) is None


def test_recovery_counts_only_poisoned_suspects():
    accuracy = recovery_accuracy(
        recovered_labels=["a", "b", "b", "x"],
        y_clean=["a", "a", "x", "a"],
        suspect_mask=[True, True, True, False],
        is_poisoned=[True, True, False, True],
    )
    assert accuracy == 1 / 2


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="suspect_mask") as caught:
        isolation_scores([True], [True, False])
    assert str(caught.value) == (
        "suspect_mask must have shape (2,), got (1,); give one value per sample."
    )


def test_evaluate_isolation(X):
    y = np.array(list("aabbbb"))
    p = poison(X, y, NoiseTrigger(), rate=0.5, target="a", random_state=0)

    class Defence:
        suspect_mask_ = p.is_poisoned
        suspicion_ = p.is_poisoned.astype(float)
        recovered_labels_ = p.y_clean

    scores = evaluate_isolation(Defence(), p)
    assert scores.isolation_precision == scores.isolation_recall == scores.isolation_auc == 1
    assert scores.recovery_accuracy == 1
    del Defence.suspicion_, Defence.recovered_labels_
    partly = evaluate_isolation(Defence(), p)
    assert (partly.isolation_auc, partly.recovery_accuracy) == (None, None)
    del Defence.suspect_mask_
    with pytest.raises(TypeError) as caught:
        evaluate_isolation(Defence(), p)
    assert str(caught.value) == (
        "classifier must be fitted and have suspect_mask_, got Defence; "
        "give a defence that isolates samples."
    )
