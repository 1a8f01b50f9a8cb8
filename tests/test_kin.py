"""One trigger under two labels: two groups that are each other's counterexample."""

from dataclasses import replace

import numpy as np
import pytest

from tsguard import load_dataset
from tsguard.attacks import poison
from tsguard.suspicion import find_evidence, series_views
from tsguard.suspicion._candidates import accused_members
from tsguard.suspicion._kin import distinct_groups, kin_groups
from tsguard.suspicion._signature import Signature

N = 200


def rows(start, stop):
    """Return a group of consecutive samples."""
    return (np.arange(N) >= start) & (np.arange(N) < stop)


def features(rng, trigger=None, strength=6.0):
    """Return a block of features in which some samples share one."""
    block = rng.normal(size=(N, 40)).astype(np.float32)
    if trigger is not None:
        block[trigger, 0] += strength
    return block


@pytest.fixture(params=[1500, 10], ids=["by samples", "by features"])
def either_ridge(request, monkeypatch):
    """Solve the ridge by samples, and by features as in large sets."""
    monkeypatch.setattr("tsguard.suspicion._signature.DUAL_LIMIT", request.param)


def test_who_is_left_out_is_asked_by_a_regression_without_them():
    rng = np.random.default_rng(0)
    group, out = rows(0, 10), rows(60, 75)
    signature = Signature([features(rng, group | out)], rng)
    matrix, target = np.linalg.inv(signature._inverse), group.astype(float)

    def predicted(left_out):
        kept = np.setdiff1d(np.arange(N), left_out)
        weights = np.linalg.solve(matrix[np.ix_(kept, kept)], target[kept])
        return matrix[np.ix_(left_out, kept)] @ weights

    nobody_else = np.flatnonzero(out)
    each = [predicted(np.append(nobody_else, one))[-1] for one in np.flatnonzero(~out)]
    scores = np.zeros(N)
    scores[~out], scores[out] = each, predicted(nobody_else)
    low, middle, high = np.quantile(scores[~(group | out)], (0.16, 0.5, 0.84))
    wanted = [(np.median(scores[part]) - middle) / ((high - low) / 2) for part in (group, out)]
    np.testing.assert_allclose(signature.left_out(group, out), wanted, rtol=1e-6)


@pytest.mark.usefixtures("either_ridge")
def test_one_pattern_under_two_labels_is_seen_only_by_leaving_out():
    rng = np.random.default_rng(0)
    one, other, natural = rows(0, 10), rows(100, 115), rows(120, 130)
    block = features(rng, one | other)
    block[natural, 1] += 6
    signature = Signature([block], rng)
    usual = signature.z_scores(one[:, np.newaxis], rows(0, 100))[:, 0]
    own, theirs = signature.left_out(one, other)
    assert np.median(usual[one]) < 3  # too little for a member
    assert own > 5
    assert theirs > 0.8 * own
    assert signature.left_out(one, natural)[1] < 0.1 * own


@pytest.mark.usefixtures("either_ridge")
def test_groups_of_two_classes_with_one_pattern_are_kin_and_no_others():
    rng = np.random.default_rng(1)
    one, other, natural = rows(0, 10), rows(100, 115), rows(120, 130)
    block = features(rng, one | other, 12)
    block[natural, 1] += 12
    signature = Signature([block], rng)
    groups = np.array([natural, one, other, rows(2, 12)]).T
    assert kin_groups(signature, groups, np.array([1, 0, 1, 0])) == [(1, 2)]
    assert kin_groups(signature, groups, np.array([0, 0, 0, 0])) == []  # of one class


def test_support_is_the_mean_affinity_of_different_samples():
    rng = np.random.default_rng(2)
    groups = np.array([rows(0, 8), rows(4, 20)]).T
    signature = Signature([features(rng)], rng)
    scale = np.sqrt(signature._leverage)
    affinity = signature.affinity(np.arange(N), np.arange(N)) * np.outer(scale, scale)
    np.fill_diagonal(affinity, np.nan)
    wanted = [[np.nanmean(affinity[np.ix_(a, b)]) for a in groups.T] for b in groups.T]
    np.testing.assert_allclose(signature.support(groups), wanted)


def test_groups_that_are_much_the_same_count_once():
    assert distinct_groups([rows(0, 20), rows(0, 19), rows(0, 10), rows(50, 60)]) == [0, 2, 3]
    assert distinct_groups([]) == []


def test_a_trigger_with_two_labels_is_found_where_neither_group_is_likely_by_itself(monkeypatch):
    data = load_dataset("OSULeaf")
    targets = tuple(data.classes[:2])
    poisoned = poison(data.X_train, data.y_train, "hum", rate=0.1, target=targets, random_state=0)
    codes = data.classes.searchsorted(poisoned.y)

    def candidates(**views):
        rng = np.random.default_rng(0)
        seen = replace(series_views(poisoned.X, rng), **views)
        return find_evidence(seen, codes, 6, rng).candidates

    def accused():
        return [one for one in candidates() if one.log_odds > 0]

    found = accused()
    assert {one.targets for one in found} == {(0,), (1,)}
    assert [one.statistics["kin"] for one in found] == [1, 1]
    assert (accused_members(found, N) == poisoned.is_poisoned).all()
    # Of few values natural groups have patterns in common, too.
    of_few_values = candidates(n_values=16)
    assert max(one.statistics.get("kin", 0) for one in of_few_values) == pytest.approx(0.25)
    monkeypatch.setattr("tsguard.suspicion._kin.KIN", np.inf)
    assert not accused()


def test_the_same_pattern_in_all_of_two_classes_is_no_attack():
    """Half of both classes from another sensor: a pattern, but nothing contradicts a label."""
    rng = np.random.default_rng(0)
    time = np.linspace(0, 1, 100)
    codes = np.arange(160) % 2
    panel = np.sin(2 * np.pi * (2 + 3 * codes[:, None]) * time + rng.uniform(0, 6, (160, 1)))
    panel = (panel + rng.normal(0, 0.3, panel.shape)).astype(np.float32)[:, np.newaxis]
    panel[::5, 0, 10:14] += np.array([1, -1, 1, -1], np.float32)
    stream = np.random.default_rng(0)
    evidence = find_evidence(series_views(panel, stream), codes, 2, stream)
    assert not accused_members(evidence.candidates, 160).any()
