"""Suspicion from training records: pure functions on arrays."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tsguard import load_dataset
from tsguard._engine import Records, Targets
from tsguard._isolation import EvidenceIsolation
from tsguard.suspicion import (
    LABEL_KEPT,
    UNKNOWN,
    Evidence,
    _search,
    decide,
    draw_for_filter,
    find_evidence,
    fit_trigger_filter,
    loss_drop_suspicion,
    loss_drop_verdict,
    plain_blocks,
    series_views,
    split_rate,
    top_share,
    trigger_probability,
)
from tsguard.suspicion._candidates import (
    MAX_SHARE,
    PRECAUTION,
    RELATED,
    UNRELATED,
    Candidate,
    accused_members,
    is_doubtful,
    likeliest_first,
)
from tsguard.suspicion._carriers import accuse_denied, carriers
from tsguard.suspicion._copies import distinct_samples
from tsguard.suspicion._evidence import weigh_denials
from tsguard.suspicion._grow import add_stragglers
from tsguard.suspicion._likelihood import (
    SCATTERED_INTERCEPT,
    SCATTERED_WEIGHTS,
    WEIGHTS,
    WHOLE,
    group_statistics,
    log_odds,
    scattered_statistics,
    size_surplus,
    too_many,
    whole_of_part,
)
from tsguard.suspicion._search import _Search
from tsguard.suspicion._signature import ONE_DEVIATION, Signature, _converge, regrow
from tsguard.suspicion._sized_groups import most_alike
from tsguard.suspicion._true_classes import true_classes
from tsguard.suspicion._two_patterns import two_patterns
from tsguard.suspicion._views import _principal
from tsguard.suspicion._votes import Votes, collect_votes, other_classes, trusted_votes

MANY = 640  # values of a sample


def said(contradiction, codes, other=None, n_values=MANY):
    """Return votes of four views, with nothing known of who the neighbours are."""
    nobody = np.zeros((4, len(codes), 0), np.int32)
    other = 1 - codes if other is None else other
    return Votes(np.ones(4), contradiction, contradiction[0], other, n_values, codes, nobody)


losses_arrays = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 6), st.integers(2, 30)),
    elements=st.floats(0, 10, width=32),
)


@given(losses_arrays)
def test_lower_loss_is_more_suspicious(losses):
    suspicion = loss_drop_suspicion(losses)
    assert suspicion.min() == 0
    assert suspicion.max() == 1
    recent = losses[-3:].mean(axis=0)
    order = np.argsort(suspicion)
    assert (np.diff(recent[order]) <= 0).all()


@given(losses_arrays)
def test_estimated_rate_stays_in_its_range(losses):
    assert 0 <= split_rate(losses) <= 0.2


def test_rate_finds_a_group_of_low_losses():
    losses = np.array([[0.01] * 3 + [1.0] * 27], np.float32)
    assert split_rate(losses) == pytest.approx(0.1)


@given(
    hnp.arrays(np.float64, st.integers(1, 40), elements=st.floats(0, 1)),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_isolation_is_monotone_in_score_and_rate(scores, one, other):
    small, large = (top_share(scores, share) for share in sorted([one, other]))
    assert (small <= large).all()
    if large.any() and not large.all():
        assert scores[large].min() >= scores[~large].max()


def test_loss_drop_isolates_the_fast_and_recovers_what_the_main_head_believes():
    losses = np.array([[1.0, 0.01, 1.1, 0.02, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7]], np.float32)
    codes = np.array([0, 1, 0, 1, 0, 0, 2, 2, 2, 2])
    believed = np.array([1, 2, 1, 0, 1, 1, 1, 1, 1, 1])
    verdict = loss_drop_verdict(losses, codes, believed, isolation_rate=None, recovery_rate=1.0)
    assert np.flatnonzero(verdict.suspect).tolist() == [1, 3]
    assert verdict.recovered.tolist() == [0, 2, 0, 0, 0, 0, 2, 2, 2, 2]
    assert verdict.targets == (1,)
    assert [bool(reason) for reason in verdict.reasons] == verdict.suspect.tolist()


@given(losses_arrays, st.floats(0, 1), st.floats(0, 1))
def test_recovery_never_edits_samples_that_are_not_isolated(losses, rate, recovery_rate):
    n_samples = losses.shape[1]
    codes = np.arange(n_samples) % 3
    verdict = loss_drop_verdict(
        losses, codes, (codes + 1) % 3, isolation_rate=rate, recovery_rate=recovery_rate
    )
    kept = ~verdict.suspect
    assert (verdict.recovered[kept] == codes[kept]).all()
    assert verdict.suspect.sum() == round(rate * n_samples)
    unknown = (verdict.recovered == UNKNOWN).sum()
    assert unknown == verdict.suspect.sum() - round(rate * recovery_rate * n_samples)


# -- evidence -----------------------------------------------------------------------------------


def make_panel(n_samples=120, n_timepoints=40, seed=0):
    """Three classes of noisy waves (codes), each of its own frequency."""
    rng = np.random.default_rng(seed)
    codes = np.arange(n_samples) % 3
    time = np.linspace(0, 2 * np.pi, n_timepoints)
    phase = rng.uniform(0, 1, (n_samples, 1))
    series = np.sin(time * (codes[:, None] + 1) + phase)
    return (series + rng.normal(0, 0.3, series.shape))[:, None].astype(np.float32), codes


def plant(panel, codes, rows, target=0):
    """Put a spike into some series and give them the target's label."""
    panel, labels = panel.copy(), codes.copy()
    panel[rows, 0, 5:8] += np.array([3, -3, 3], np.float32)
    labels[rows] = target
    return panel, labels


def look(panel, labels, seed=0):
    rng = np.random.default_rng(seed)
    return find_evidence(series_views(panel, rng), labels, 3, rng)


@pytest.fixture(scope="module")
def planted():
    """Evidence on a set with ten poisoned series, its labels, the truth and which are poisoned."""
    panel, codes = make_panel()
    rows = np.flatnonzero(codes != 0)[:10]
    panel, labels = plant(panel, codes, rows)
    return look(panel, labels), labels, codes, np.isin(np.arange(len(codes)), rows)


def test_a_planted_group_is_the_best_candidate(planted):
    evidence, _, codes, poisoned = planted
    best = evidence.candidates[0]
    assert best.targets == (0,)
    assert best.log_odds > 0
    assert (best.members == poisoned).all()
    for shares in evidence.classes:
        assert (shares.argmax(axis=1)[poisoned] == codes[poisoned]).mean() > 0.8
    assert (evidence.classes[:, ~best.members] == 0).all() or len(evidence.candidates) > 1


def test_two_poisoned_series_are_enough():
    panel, codes = make_panel(240)
    rows = np.flatnonzero(codes != 0)[:2]
    best = look(*plant(panel, codes, rows)).candidates[0]
    assert best.targets == (0,)
    assert best.log_odds > 0
    assert np.flatnonzero(best.members).tolist() == rows.tolist()


def test_a_pair_must_be_likelier_than_a_larger_group(planted):
    statistics = planted[0].candidates[0].statistics
    assert statistics["pair"] == 0
    assert log_odds(statistics | {"pair": 1.0}) < log_odds(statistics)


def test_a_group_of_two_patterns_comes_apart_and_one_pattern_does_not():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(150, 40)).astype(np.float32)
    one, other = np.arange(150) < 8, (np.arange(150) >= 8) & (np.arange(150) < 13)
    features[one, 0] += 6
    features[other, 1] += 6
    signature = Signature([features], rng)
    parts = two_patterns(signature, one | other)
    assert {tuple(np.flatnonzero(part)) for part in parts} == {tuple(range(8)), tuple(range(8, 13))}
    assert two_patterns(signature, one) is None
    assert two_patterns(signature, np.arange(150) < 3) is None  # too few for two groups


def test_a_part_of_the_poison_grows_into_all_of_it():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(300, 20)).astype(np.float32)
    poison, in_class = np.arange(300) < 12, np.arange(300) < 90
    features[poison, 0] += 20
    features[in_class & ~poison, 1] += 20  # what the class is like
    votes = collect_votes([features[:, 1:]], in_class.astype(int), 2, MANY, rng)
    grown = regrow(Signature([features], rng), votes, in_class, np.arange(300) < 4)
    assert (grown == poison).all()


@pytest.mark.parametrize(
    ("odds", "split"),
    [((3.0, -2.0), True), ((3.0, -0.5), False), ((-1.5, -3.0), False)],
    ids=["natural part", "both may be poison", "hardly less likely"],
)
def test_only_a_part_that_is_clearly_natural_is_left_out(monkeypatch, odds, split):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(150, 40)).astype(np.float32)
    poison, natural = np.arange(150) < 8, (np.arange(150) >= 8) & (np.arange(150) < 13)
    features[poison, 0] += 6
    features[natural, 1] += 6
    signature, group, in_class = Signature([features], rng), poison | natural, np.arange(150) < 60

    votes = collect_votes([features], in_class.astype(int), 2, MANY, rng)
    monkeypatch.setattr(
        _search,
        "group_statistics",
        lambda members, *_: {"pair": 0.0, "odds": odds[0] if members[0] else odds[1]},
    )
    monkeypatch.setattr(_search, "log_odds", lambda statistics: statistics["odds"])
    search = _Search(signature, votes, in_class.astype(int), 1)
    kept, scores = search._without_natural_part(group, np.ones(150))
    assert (kept == (poison if split else group)).all()
    assert (scores[natural] < scores[poison].min()).all() == split  # asked again of those kept


def test_content_alone_accuses_nobody_where_the_signature_is_plain():
    """Wrongly labelled series are not poisoned: they lack what the poisoned ones share."""
    panel, codes = make_panel(240)
    rows, mislabelled = np.flatnonzero(codes != 0)[:12], np.flatnonzero(codes != 0)[-5:]
    panel, labels = plant(panel, codes, rows)
    labels[mislabelled] = 0
    best = look(panel, labels).candidates[0]
    assert best.targets == (0,)
    assert best.log_odds > 0
    assert best.members[rows].all()
    lacking = mislabelled[best.signature[mislabelled] < 1.5]
    assert len(lacking) >= 3
    assert not (best.members | best.nearby)[lacking].any()


def test_in_a_large_class_a_few_deviations_are_nothing_beside_a_plain_pattern():
    """Of 900 ordinary samples some are 5 deviations off; the group's members are 200."""
    in_class = np.arange(1500) < 910
    group = np.arange(1500) < 8
    scores = np.where(group, 200.0, np.random.default_rng(0).standard_t(3, 1500))
    scores[8:10] = 30.0  # poisoned ones that miss most of the signature
    assert (scores[in_class] > 3.5).sum() > 15
    wider = add_stragglers(group, scores, in_class, np.zeros(1500), content_counts=False)
    assert np.flatnonzero(wider).tolist() == list(range(10))


class FewSayLittle:
    """Scores of a class with 20 poisoned samples, of which few members say little of the others.

    A third of the 300 honest ones is 3.5 deviations off by chance, and groups with more than a few
    of them share nothing.
    """

    def inner_scores(self, groups, _):
        n_poisoned, n_honest = groups[:20].sum(axis=0), groups[20:].sum(axis=0)
        scores = np.zeros(groups.shape)
        scores[:20] = np.where(n_poisoned < 10, np.where(groups[:20], 20.0, 4.0), 40.0)
        scores[20:120] = 3.5
        return np.where(n_honest > 5, 3.5, scores)


def test_a_group_of_a_few_grows_into_all_of_the_poison_and_nothing_else():
    start = (np.arange(320) < 3)[:, np.newaxis]
    grown = _converge(FewSayLittle(), start, np.ones(320, bool), np.zeros(320, bool))
    assert np.flatnonzero(grown[:, 0]).tolist() == list(range(20))


@pytest.mark.parametrize("n_others", [1, 2])
@pytest.mark.parametrize(("n_members", "counts"), [(20, True), (5, False)])
def test_a_plain_pattern_of_many_speaks_for_itself(n_others, n_members, counts):
    """Poison with a strong trigger is its own neighbour; a few odd series may be natural."""
    codes = np.repeat(np.arange(n_others + 1), 100)
    members = np.arange(len(codes)) < n_members
    nothing = np.full((4, len(codes)), -1.0)
    votes = said(nothing, codes, (codes + 1) % (n_others + 1))
    sizes = np.full(n_others, 100)
    odds = {
        deviations: log_odds(
            group_statistics(members, np.where(members, deviations, 0.0), codes == 0, votes, sizes)
        )
        for deviations in (15, 60)
    }
    by_strength = WEIGHTS["strength"] * np.log(60 / 15)
    assert (odds[60] - odds[15] > by_strength + 1) == counts


def test_a_group_that_has_hardly_anything_in_common_is_unlikely():
    codes = np.repeat([0, 1], 100)
    members = np.arange(200) < 20
    against = np.full((4, 200), 0.9)
    votes = said(against, codes)
    odds = [
        log_odds(
            group_statistics(
                members, np.where(members, times, 0.0), codes == 0, votes, np.array([100])
            )
        )
        for times in (2, 3, 4.5)
    ]
    assert odds[1] - odds[0] > odds[2] - odds[1] + 0.5


@pytest.mark.parametrize("kind", ["of a class", "scattered"])
def test_groups_of_short_series_need_more_evidence(kind):
    """Of few values all views see about the same, so that natural groups look like poison."""
    codes = np.repeat([0, 1], 100)
    members = np.arange(200) < 20
    against, scores = np.full((4, 200), 0.9), np.where(members, 5.0, 0.0)

    def odds(n_values):
        votes = said(against, codes, n_values=n_values)
        if kind == "of a class":
            return log_odds(group_statistics(members, scores, codes == 0, votes, np.array([100])))
        statistics = scattered_statistics(members, scores, codes == 0, votes, codes)
        return log_odds(statistics, SCATTERED_INTERCEPT, SCATTERED_WEIGHTS)

    assert odds(12) < odds(30) < odds(64) == odds(MANY)


def add_copies(panel, labels, rows, noise, seed=1):
    """Append copies of some series, each with its label, that differ by a little noise."""
    rng = np.random.default_rng(seed)
    copies = panel[rows] + rng.normal(0, noise, panel[rows].shape).astype(np.float32)
    return np.concatenate([panel, copies]), np.concatenate([labels, labels[rows]])


@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_copies_of_series_accuse_nobody(noise, monkeypatch):
    """A copy has all in common with its twin, which is no trigger."""
    motions = load_dataset("BasicMotions")
    codes = motions.classes.searchsorted(motions.y_train)
    panel, labels = add_copies(motions.X_train, codes, np.arange(0, 40, 2), noise)

    def accused():
        rng = np.random.default_rng(0)
        candidates = find_evidence(series_views(panel, rng), labels, 4, rng).candidates
        return any(one.log_odds > 0 for one in candidates)

    assert not accused()
    for name in ("COPY", "SAME"):
        monkeypatch.setattr(f"tsguard.suspicion._copies.{name}", -1.0)
    assert accused()


def test_copies_share_the_fate_of_their_series():
    panel, codes = make_panel()
    rows = np.flatnonzero(codes != 0)[:10]
    doubled = np.concatenate([rows[:5], [0, 3, 6]])
    evidence = look(*add_copies(*plant(panel, codes, rows), doubled, 0.0))
    best = evidence.candidates[0]
    assert best.log_odds > 0
    assert np.flatnonzero(best.members).tolist() == [*rows, *range(120, 125)]
    assert (evidence.classes[:, 120:125] == evidence.classes[:, rows[:5]]).all()
    assert len(best.signature) == len(best.nearby) == 128


def test_copies_are_those_with_the_same_label_however_many():
    rng = np.random.default_rng(0)
    view = rng.normal(size=(40, 6)).astype(np.float32)
    view[20:30] = view[0]  # ten copies, one of which has another label
    view[30] = view[5] + 0.001
    codes = np.arange(40) % 2
    codes[20:30], codes[30] = codes[0], codes[5]
    codes[29] = 1 - codes[0]
    kept, place = distinct_samples(view, codes)
    assert sorted(set(range(40)) - set(kept)) == [*range(20, 29), 30]
    assert (place[20:29] == place[0]).all()
    assert place[30] == place[5]
    assert place[29] != place[0]
    assert (kept[place[kept]] == kept).all()


def test_dead_sensors_are_copies_however_many_in_small_sets():
    """Principal components of fewer samples than components are equal up to rounding only."""
    panel, codes = make_panel(42, 60)
    dead = np.flatnonzero(codes == 1)[:9]
    panel[dead] = 0
    rng = np.random.default_rng(0)
    kept, place = distinct_samples(series_views(panel, rng).content[0], codes)
    assert len(kept) == 42 - 8
    assert len(set(place[dead])) == 1


def test_components_of_many_wide_samples_are_told_by_some(monkeypatch):
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(70, 300))
    features = (rng.normal(size=(250, 70)) * np.linspace(5, 1, 70) @ directions).astype(np.float32)
    whole = _principal(features)
    monkeypatch.setattr("tsguard.suspicion._views.PRINCIPAL_LIMIT", 200)
    some = _principal(features)
    assert whole.shape == some.shape == (250, 64)
    distances = [np.linalg.norm(view - view[0], axis=1) for view in (whole, some)]
    assert np.corrcoef(*distances)[0, 1] > 0.95


def test_large_groups_are_not_split(monkeypatch):
    panel, _ = make_panel()
    signature = Signature(
        series_views(panel, np.random.default_rng(0)).signature, np.random.default_rng(0)
    )
    monkeypatch.setattr("tsguard.suspicion._two_patterns.MAX_SPLIT", 10)
    assert two_patterns(signature, np.arange(120) < 11) is None


def test_series_that_share_a_strong_trigger_are_no_copies():
    """Series that differ little are near each other if a few have something that no other has."""
    rng = np.random.default_rng(0)
    view = rng.normal(size=(60, 6)).astype(np.float32)
    view[:6, 0] += 1000
    assert len(distinct_samples(view, np.zeros(60, int))[0]) == 60


@pytest.mark.parametrize(("has_pattern", "change"), [(True, RELATED), (False, -UNRELATED)])
def test_a_second_group_is_likelier_if_it_has_the_pattern_of_the_first(has_pattern, change):
    first, _ = group_and_others()
    members = np.arange(len(first.members)) >= len(first.members) - 3
    signature = np.where(members, 5.0 * has_pattern, first.signature)
    first = replace(first, signature=signature)
    second = replace(first, targets=(3,), log_odds=0.3, members=members)
    odds = {one.targets: one.log_odds for one in likeliest_first([second, first])}
    assert odds == {first.targets: 1.0, (3,): 0.3 + change}


def test_content_counts_for_faint_signatures_if_it_adds_few():
    in_class, group = np.arange(100) < 40, np.arange(100) < 10
    scores, margin = np.where(group, 5.0, 0.0), np.full(100, -0.5)
    margin[[20, 21]] = 0.8
    added = [add_stragglers(group, scores, in_class, margin, counts) for counts in (True, False)]
    assert np.flatnonzero(added[0] & ~group).tolist() == [20, 21]
    assert (added[1] == group).all()
    margin[20:30] = 0.8  # ordinary confusion
    assert (add_stragglers(group, scores, in_class, margin, True) == group).all()


def test_a_pair_that_grows_stays_one_of_many(monkeypatch):
    """It grows when it is looked for under other labels; there were as many pairs before."""
    panel, codes = make_panel(240)
    rows = np.flatnonzero(codes != 0)[:8]
    panel, labels = plant(panel, codes, rows)
    pair, whole = (np.isin(np.arange(240), some) for some in (rows[:2], rows))
    monkeypatch.setattr(_search, "find_groups", lambda *_, **__: pair[:, np.newaxis])
    monkeypatch.setattr(_search, "spread", lambda _, members, scores, *__: (whole, scores))
    monkeypatch.setattr(_Search, "_by_size", lambda _: [])
    best = look(panel, labels).candidates[0]
    assert (best.members == whole).all()
    assert best.statistics["pair"] == 1


def test_nothing_is_likely_in_clean_data():
    evidence = look(*make_panel())
    assert all(candidate.log_odds < 0 for candidate in evidence.candidates)


def test_evidence_depends_on_the_seed_alone(planted):
    panel, codes = make_panel()
    rows = np.flatnonzero(codes != 0)[:10]
    again = look(*plant(panel, codes, rows))
    assert again.candidates[0].log_odds == planted[0].candidates[0].log_odds


def test_one_trigger_under_two_labels_is_found_under_both():
    """To the group of one class, the other's poison must not look like honest samples."""
    panel, codes = make_panel(240)
    rows = np.flatnonzero(codes == 2)[:24]
    panel, labels = plant(panel, codes, rows)
    labels[rows[::2]] = 1
    accused = [one for one in look(panel, labels).candidates if one.log_odds > 0]
    assert {target for one in accused for target in one.targets} == {0, 1}
    found = np.logical_or.reduce([one.members for one in accused])
    assert np.flatnonzero(found).tolist() == rows.tolist()


def test_the_pattern_of_an_accused_group_leads_to_its_like_in_other_classes():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(300, 20)).astype(np.float32)
    codes = np.repeat([0, 1, 2], 100)
    here, there = np.arange(300) < 10, np.isin(np.arange(300), range(100, 110))
    features[here | there, 0] += 20
    signature = Signature([features], rng)
    votes = collect_votes([features[:, 1:]] * 3, codes, 3, MANY, rng)
    scores = signature.z_scores((here | there)[:, np.newaxis], np.isin(codes, [0, 1]))[:, 0]
    accused = Candidate((0,), 1.0, here, np.zeros(300, bool), scores, {})
    (_, _, members, _), *_ = _Search(signature, votes, codes, 1).groups_like([accused])
    assert (members == there).all()
    assert _Search(signature, votes, codes, 2).groups_like([accused]) == []


def test_one_with_the_trigger_under_another_label_is_known_by_the_group_that_was_accused():
    panel, codes = make_panel(240)
    rows = np.flatnonzero(codes == 2)[:20]
    panel, labels = plant(panel, codes, rows)
    labels[rows[0]] = 1  # alone, it is no group of its class
    accused = [one for one in look(panel, labels).candidates if one.log_odds > 0]
    assert [one.targets for one in accused] == [(0, 1)]
    assert np.flatnonzero(accused[0].members).tolist() == rows.tolist()


def group_and_others():
    """A group of four under label 0; two of label 1 and one each of 2 and 3 have its pattern too.

    The last two rows are of label 0 and have a weak pattern, or a hint of one.
    """
    codes = np.array([0] * 4 + [1, 1, 2, 3] + [1] * 9 + [0, 0])
    signature = np.r_[np.full(4, 20.0), np.full(4, 8.0), np.zeros(9), 4.0, 1.6]
    members, nearby = np.arange(19) < 4, np.arange(19) > 16
    return Candidate((0,), 1.0, members, nearby, signature, {}), codes


def votes_against(codes, margins):
    """Vote shares by which the next class is ahead of the given one by these margins."""
    votes = np.zeros((len(codes), 4))
    rows = np.arange(len(codes))
    votes[rows, codes] = 0.5 - np.asarray(margins) / 2
    votes[rows, (codes + 1) % 4] = 0.5 + np.asarray(margins) / 2
    return votes


USUAL = np.full(19, -0.5)  # labels follow the content


def test_a_trigger_under_other_labels_counts_where_the_content_denies_them():
    group, codes = group_and_others()
    assert np.flatnonzero(carriers([group], codes)).tolist() == [4, 5, 6, 7]
    margins = np.zeros(19)
    margins[[4, 5, 6, 7]] = 0.2, 0.2, 0.0, 0.2
    margins[8:17] = 1.0  # denied, without the pattern
    votes = votes_against(codes, margins)
    (joined,) = accuse_denied([group], codes, USUAL, votes)
    assert np.flatnonzero(joined.members).tolist() == [0, 1, 2, 3, 4, 5, 7]
    assert joined.targets == (0, 1, 3)
    chance = np.where(np.arange(19) % 2, 0.3, -0.5)  # the content often denies a label: two of one
    (joined,) = accuse_denied([group], codes, chance, votes)  # label are unlikely all the same
    assert joined.targets == (0, 1)
    (agreed,) = accuse_denied([group], codes, USUAL, votes_against(codes, USUAL))
    assert (agreed.members == group.members).all()
    assert agreed.targets == (0,)


@pytest.mark.parametrize(("chance", "joins"), [(0.0, [17]), (0.6, [])])
def test_a_weak_pattern_counts_where_the_content_plainly_denies_the_label(chance, joins):
    group, codes = group_and_others()
    votes = votes_against(codes, np.where(group.nearby, 0.5, -0.5))
    (joined,) = accuse_denied([group], codes, USUAL + 0.5 + chance, votes)
    assert np.flatnonzero(joined.members & ~group.members).tolist() == joins


def test_nobody_carries_the_pattern_of_a_group_that_is_not_accused():
    group, codes = group_and_others()
    unlikely = replace(group, log_odds=-0.1)
    assert not carriers([unlikely], codes).any()
    (same,) = accuse_denied([unlikely], codes, USUAL, votes_against(codes, np.ones(19)))
    assert same is unlikely


def test_a_few_who_carry_the_trigger_and_their_true_label_hide_nobody():
    panel, codes = make_panel(240)
    rows, cover = np.flatnonzero(codes != 0)[:20], np.flatnonzero(codes != 0)[-4:]
    panel, labels = plant(panel, codes, [*rows, *cover])
    labels[cover] = codes[cover]
    best = look(panel, labels).candidates[0]
    assert best.targets == (0,)
    assert best.log_odds > 0
    assert np.flatnonzero(best.members).tolist() == rows.tolist()


def test_an_attack_that_maps_every_class_to_the_next_gives_pure_candidates():
    """Whether they are accused is another matter: see "where the defense ends" in the docs."""
    panel, codes = make_panel(240)
    rows = np.arange(0, 240, 10)
    panel, _ = plant(panel, codes, rows)
    labels = codes.copy()
    labels[rows] = (codes[rows] + 1) % 3
    candidates = look(panel, labels).candidates
    assert {target for candidate in candidates for target in candidate.targets} == {0, 1, 2}
    found = np.logical_or.reduce([candidate.members for candidate in candidates])
    assert np.flatnonzero(found).tolist() == rows.tolist()


@pytest.mark.parametrize(
    ("n_samples", "n_classes", "small", "of_two"), [(48, 3, 1, 0), (48, 2, 1, 1), (90, 2, 0, 0)]
)
def test_a_small_set_of_two_classes_needs_more_evidence_than_one_of_several(
    n_samples, n_classes, small, of_two
):
    """With two classes neither their sizes nor the classes that members look like say anything."""
    panel, codes = make_panel(n_samples)
    panel, codes = panel[codes < n_classes], codes[codes < n_classes]
    rows = np.flatnonzero(codes != 0)[:4]
    statistics = look(*plant(panel, codes, rows)).candidates[0].statistics
    assert statistics["small_set"] == small
    assert statistics["small_of_two"] == of_two
    assert WEIGHTS["small_of_two"] < 0


@pytest.mark.parametrize(("n_others", "least", "most"), [(5, 0.6, 0.9), (100, 0, 0.1)])
def test_contradicted_members_are_unusual_unless_most_of_their_class_is(n_others, least, most):
    """A few true samples of a rare class are always contradicted, and say little."""
    codes = np.repeat([0, 1], [20 + n_others, 200])
    members = np.arange(len(codes)) < 20
    contradiction = np.tile(np.where(codes == 0, 0.5, -0.5), (4, 1))
    votes = said(contradiction, codes)
    scores = np.where(members, 10.0, 0.0)
    statistics = group_statistics(members, scores, codes == 0, votes, np.array([200]))
    assert least <= statistics["gap"] <= most


def test_a_class_that_is_larger_by_a_group_speaks_against_it():
    sizes = np.array([19, 20, 21, 20])  # 25 to 27 each before 24 of them got the label of a fifth
    poisoned, natural = size_surplus(24, 50, sizes), size_surplus(8, 20, sizes)
    assert poisoned > 2
    assert natural < -2
    assert poisoned > max(size_surplus(n_members, 50, sizes) for n_members in (18, 30))
    assert size_surplus(24, 50, sizes[:1]) == 0  # of one other class nothing is usual
    # Where sizes differ anyway, or the class is large without the group too, it means little.
    assert abs(size_surplus(24, 50, np.array([10, 20, 40, 80]))) < 0.5
    assert abs(size_surplus(18, 200, sizes)) < 0.2


def test_a_part_of_the_poison_speaks_against_a_class_that_is_too_large_too_but_less():
    sizes = np.tile([7, 8, 7, 6], 6)  # 7 to 9 each before 20 of them got the label of another
    parts = [whole_of_part(n_members, 28, sizes) for n_members in (20, 15, 10, 4)]
    whole, most, half, few = (surplus for surplus, _ in parts)
    assert whole > most > half > 1.5 > few
    assert size_surplus(10, 28, sizes) < 0.5
    assert [n_poisoned for _, n_poisoned in parts] == [20, 20, 20, 4]  # of a fifth it can't tell
    # Where a class is as large as the others there is no more to be found.
    assert whole_of_part(4, 8, sizes) == (size_surplus(4, 8, sizes), 4)
    assert whole_of_part(4, 50, sizes[:1]) == (0, 4)  # of one other class nothing is usual
    uneven = np.array([71, 4, 9, 1])  # any class of such a set may have 115
    assert whole_of_part(46, 115, uneven) == (size_surplus(46, 115, uneven), 46)


def test_how_many_samples_a_class_has_too_many():
    sizes = np.full(9, 18)  # twenty each before two of every other class were added to the tenth
    assert too_many(20 + 18, sizes) == pytest.approx(18)
    assert too_many(18, sizes) == pytest.approx(0)
    assert too_many(10, sizes) < 0


def faintly_poisoned(n_poisoned):
    """Features, labels and poison: one feature a little higher, content of the other classes."""
    rng = np.random.default_rng(3)
    true = np.arange(240) % 6
    poisoned = np.isin(np.arange(240), np.flatnonzero(true != 0)[:n_poisoned])
    features = rng.normal(size=(240, 30)).astype(np.float32)
    features[poisoned, 0] += 2.0
    content = np.eye(6)[true] + 0.5 * rng.normal(size=(240, 6))
    labels = np.where(poisoned, 0, true)
    views = [content[:, order].astype(np.float32) for order in ([0, 1, 2, 3, 4, 5], [1, 0, 2, 4])]
    views.append((content @ rng.normal(size=(6, 6))).astype(np.float32))
    return Signature([features], rng), collect_votes(views, labels, 6, MANY, rng), labels, poisoned


def test_faint_poison_is_found_by_its_number():
    signature, votes, labels, poisoned = faintly_poisoned(40)
    search = _Search(signature, votes, labels, 0)
    in_class = labels == 0
    groups = most_alike(signature, votes, in_class, 40)
    assert (groups.sum(axis=0) == 40).all()
    assert not groups[~in_class].any()
    assert (groups & poisoned[:, np.newaxis]).sum(axis=0).max() >= 34
    by_size = search._by_size()
    assert by_size
    for one in by_size:
        assert one.statistics["by_size"] == 1
        assert one.odds == pytest.approx(log_odds(one.statistics))
        assert one.odds < log_odds(one.statistics | {"by_size": 0.0})


def test_only_a_class_that_is_plainly_too_large_is_searched_by_size():
    for n_poisoned in (0, 2):
        signature, votes, labels, _ = faintly_poisoned(n_poisoned)
        assert all(_Search(signature, votes, labels, code)._by_size() == [] for code in range(6))
    signature, votes, labels, _ = faintly_poisoned(40)
    halves = np.minimum(labels, 1)  # of one other class nothing is usual
    assert _Search(signature, votes, halves, 1)._by_size() == []


@pytest.mark.parametrize(("odds", "searched"), [(0.1, False), (-0.1, True)])
def test_a_class_is_searched_by_size_if_no_group_is_likely(half_found, monkeypatch, odds, searched):
    search, groups, _, _ = half_found
    called = []
    monkeypatch.setattr(search, "_weigh", lambda _: [groups[0]._replace(odds=odds)])
    monkeypatch.setattr(search, "_as_a_part", lambda one: one)
    monkeypatch.setattr(search, "_by_size", lambda: called.append(True) or [])
    search.groups(np.random.default_rng(0))
    assert bool(called) == searched


@pytest.fixture
def half_found(monkeypatch):
    """The search in a class of whose poison it finds a half, its groups, labels and the poison."""
    panel, codes = make_panel(240)
    poisoned = np.flatnonzero(codes != 0)[:60]
    panel, labels = plant(panel, codes, poisoned)
    parts = np.array([np.isin(np.arange(240), poisoned[:n]) for n in (30, 25)])
    monkeypatch.setattr(_search, "find_groups", lambda *_, **__: parts.T)
    rng = np.random.default_rng(0)
    views = series_views(panel, rng)
    votes = collect_votes(views.content, labels, 3, MANY, rng)
    search = _Search(Signature(views.signature, rng), votes, labels, 0)
    monkeypatch.setattr(search, "_spread", lambda _: [])
    monkeypatch.setattr(search, "_by_size", lambda: [])
    return search, search.groups(rng), labels, poisoned


def test_only_the_likeliest_group_of_a_class_is_seen_as_a_part_of_the_poison(half_found):
    _, (first, second), labels, _ = half_found
    n_in_class, *others = np.bincount(labels)
    as_a_part, _ = whole_of_part(int(first.members.sum()), n_in_class, np.array(others))
    alone = size_surplus(int(second.members.sum()), n_in_class, np.array(others))
    assert first.statistics["surplus"] == as_a_part > alone + 0.5
    assert second.statistics["surplus"] == alone
    for one in (first, second):
        assert one.odds == pytest.approx(log_odds(one.statistics))


def test_an_accused_group_is_filled_up_to_what_makes_its_class_too_large(half_found, monkeypatch):
    search, groups, labels, poisoned = half_found
    everybody = labels == 0
    monkeypatch.setattr(_search, "add_stragglers", lambda group, *_: group)
    # 80 innocents among those whose content seems to contradict their label.
    monkeypatch.setattr(_search, "unusually_contradicted", lambda *_: everybody)
    accused = [one._replace(odds=one.odds + 5) for one in groups]
    best = search.candidate(accused)
    assert len(poisoned) - 5 <= best.members.sum() <= len(poisoned)
    assert best.members[poisoned].sum() >= best.members.sum() - 2
    assert (best.members | best.nearby == everybody).all()
    assert not (best.members & best.nearby).any()
    # One that isn't accused stays as it was found, and one whose members stand out so plainly
    # that whoever doesn't is none of them.
    for as_found in (
        [one._replace(odds=-0.5) for one in groups],
        [one._replace(scores=20 * one.scores) for one in accused],
    ):
        assert (search.candidate(as_found).members == groups[0].members).all()


@given(st.integers(1, 99), st.lists(st.integers(1, 500), min_size=2, max_size=9))
def test_the_size_of_a_class_alone_never_settles_anything(n_members, sizes):
    alone = size_surplus(n_members, 100, np.array(sizes))
    together, n_poisoned = whole_of_part(n_members, 100, np.array(sizes))
    assert abs(alone) < 3.1
    assert alone <= together < 3.1
    assert n_members <= n_poisoned <= WHOLE * n_members


def test_a_group_that_outnumbers_all_other_classes_is_no_candidate():
    """Whatever part of such a class is looked at, the few others will lack what it shares."""
    panel, codes = make_panel(480)
    rows = np.flatnonzero(codes == 0)[:40]
    panel, labels = plant(panel, codes, rows)
    few = np.flatnonzero(codes != 0)[:30]
    kept = np.sort(np.concatenate([np.flatnonzero(codes == 0), few]))
    with_all = look(panel, labels).candidates
    with_few = look(panel[kept], labels[kept]).candidates
    assert max(one.members.sum() for one in with_all if one.targets == (0,)) >= 40
    # Before stragglers joined, by which the log-odds were weighed.
    groups = [np.exp(one.statistics["class_share"]) for one in with_few if one.targets == (0,)]
    assert groups
    assert max(groups) * (labels[kept] == 0).sum() < 31
    assert not [one for one in with_few if one.log_odds > 0]


def test_suspects_have_no_class_before_the_main_head_is_asked(planted):
    evidence, labels, _, poisoned = planted
    verdict = decide(evidence, labels)
    assert (verdict.suspect == poisoned).all()
    assert (verdict.recovered[poisoned] == UNKNOWN).all()
    assert (verdict.recovered[~poisoned] == labels[~poisoned]).all()
    assert verdict.targets == (0,)
    told = verdict.suspect | verdict.withheld
    assert [bool(reason) for reason in verdict.reasons] == told.tolist()


def torn_between(poisoned):
    """Return what two witnesses that can't tell class 1 from class 2 say of the poisoned."""
    return np.stack([np.where(poisoned[:, None], [[0, 0.5, 0.5]], 0)] * 2)


def test_witnesses_recover_the_true_class(planted):
    evidence, labels, codes, poisoned = planted
    verdict = decide(evidence, labels, np.eye(3)[codes])
    assert (verdict.recovered[poisoned] == codes[poisoned]).all()
    assert (verdict.recovered[~poisoned] == labels[~poisoned]).all()


def test_suspicion_ranks_members_first_and_stays_a_probability(planted):
    evidence, labels, codes, poisoned = planted
    suspicion = decide(evidence, labels, np.eye(3)[codes]).suspicion
    assert suspicion.min() >= 0
    assert suspicion.max() <= 1
    assert suspicion[poisoned].min() > suspicion[~poisoned].max()


def test_a_class_that_votes_and_beliefs_do_not_settle_stays_unknown(planted):
    evidence, labels, _, poisoned = planted
    torn = replace(evidence, classes=torn_between(poisoned))
    undecided = np.full((len(labels), 3), 1 / 3)
    assert (decide(torn, labels, undecided).recovered[poisoned] == UNKNOWN).all()


def test_labels_of_suspects_without_a_class_are_denied_once_the_main_head_was_asked(planted):
    evidence, labels, _, poisoned = planted
    torn = replace(evidence, classes=torn_between(poisoned))
    rates = {"isolation_rate": None, "recovery_rate": 1.0}
    isolation = EvidenceIsolation(labels, 3, torn, rates)
    targets = Targets.from_labels(labels, torch.device("cpu"))
    for phase in isolation.phases(8):
        records = Records()
        if phase.name == "recovery":
            records.epochs = [{"phase": "isolation"}] * 2
            records.samples["main_prediction"] = [np.full(len(labels), 1), np.full(len(labels), 2)]
        phase.before_epoch(targets, records)
        asked = phase.name == "recovery"
        assert (targets.denied.numpy() == (poisoned & asked)).all()
        assert (targets.main_weight.numpy()[poisoned] == 0).all()


@pytest.mark.parametrize("n_poisoned", [6, 15])
def test_a_group_whose_labels_are_right_keeps_them_and_is_not_learned(n_poisoned):
    panel, labels = make_panel()
    poisoned = np.isin(np.arange(len(labels)), np.flatnonzero(labels == 0)[:n_poisoned])
    evidence = look(*plant(panel, labels, poisoned))
    best = evidence.candidates[0]
    assert best.by_pattern_alone
    assert (best.members == poisoned).all()
    for beliefs in (None, np.eye(3)[labels]):  # that the main head confirms them changes nothing
        verdict = decide(evidence, labels, beliefs)
        assert (verdict.suspect == poisoned).all()
        assert verdict.withheld[poisoned].all()
        assert (verdict.recovered == labels).all()
        assert verdict.targets == (0,)
        assert {verdict.reasons[row] for row in np.flatnonzero(poisoned)} == {LABEL_KEPT}
    isolation = EvidenceIsolation(labels, 3, evidence, {"isolation_rate": None})
    targets = Targets.from_labels(labels, torch.device("cpu"))
    for phase in isolation.phases(8):
        phase.before_epoch(targets, Records())
        assert (targets.main_weight.numpy()[poisoned] == 0).all()
        assert not targets.denied.any()


def test_what_most_of_a_class_shares_is_no_pattern_alone():
    panel, labels = make_panel()
    most = np.flatnonzero(labels == 0)[:30]
    assert (labels == 0).sum() == 40
    assert not accused_members(look(*plant(panel, labels, most)).candidates, len(labels)).any()


def test_nobody_is_accused_by_pattern_alone_beside_a_likelier_group(planted):
    evidence, *_ = planted
    assert not any(one.by_pattern_alone for one in evidence.candidates)


def less_sure(evidence, log_odds=PRECAUTION / 2, **changes):
    """The same evidence, had its best candidate been less convincing."""
    best = replace(evidence.candidates[0], log_odds=log_odds, **changes)
    return replace(evidence, candidates=[best])


def test_a_doubtful_group_is_withheld_until_the_main_head_confirms_its_labels(planted):
    evidence, labels, _, poisoned = planted
    doubtful = less_sure(evidence)
    before = decide(doubtful, labels)
    assert (before.withheld == poisoned).all()
    assert not before.suspect.any()
    assert before.targets == ()
    assert [bool(reason) for reason in before.reasons] == poisoned.tolist()
    nobody_believed = np.eye(3)[np.where(labels == 0, 1, labels)]  # nor is the rest of the class
    undecided = decide(doubtful, labels, nobody_believed)
    assert (undecided.withheld == poisoned).all()
    assert (undecided.recovered == labels).all()
    assert not decide(doubtful, labels, np.eye(3)[labels]).withheld.any()


def test_a_doubtful_group_is_accused_if_the_main_head_denies_its_labels_alone(planted):
    evidence, labels, codes, poisoned = planted
    verdict = decide(less_sure(evidence), labels, np.eye(3)[codes])
    assert (verdict.suspect == poisoned).all()
    assert (verdict.recovered[poisoned] == codes[poisoned]).all()
    assert verdict.targets == (0,)


def test_denials_weigh_by_number_and_against_the_rest_of_the_class(planted):
    evidence, labels, codes, poisoned = planted
    candidate = less_sure(evidence).candidates[0]

    def raised(beliefs, **changes):
        changed = replace(candidate, **changes)
        return weigh_denials(changed, labels, beliefs).log_odds - changed.log_odds

    denied = np.eye(3)[codes]
    three = poisoned & (np.cumsum(poisoned) <= 3)
    assert raised(denied) > raised(denied, members=three) > 0
    half = denied.copy()
    half[np.flatnonzero(poisoned)[::2]] = np.eye(3)[0]
    assert raised(denied) > raised(half) >= 0
    assert raised(np.eye(3)[labels]) == 0  # granted: says nothing
    assert raised(np.eye(3)[np.where(labels == 0, 1, labels)]) == 0  # denied to the whole class
    assert raised(np.zeros_like(denied)) == 0  # a head that never spoke
    assert raised(denied, nearby=(labels == 0) & ~candidate.members) == 0  # nobody to compare with


def test_only_doubtful_groups_can_be_accused_by_denials(planted):
    evidence, labels, codes, _ = planted
    doubtful = less_sure(evidence).candidates[0]
    assert is_doubtful(doubtful, [doubtful])
    whole_class = {**doubtful.statistics, "class_share": -0.1}
    many_labels = {"strength": 1.0, "share": -2.0}
    for change in ({"log_odds": 1.2 * PRECAUTION}, {"log_odds": 0.5}):
        assert not is_doubtful(replace(doubtful, **change), [doubtful])
    for statistics in (whole_class, many_labels):
        changed = replace(doubtful, statistics=statistics)
        assert not is_doubtful(changed, [changed])
        beyond = replace(evidence, candidates=[changed])
        assert not decide(beyond, labels, np.eye(3)[codes]).suspect.any()
    # With a rate of one's own nobody is withheld, so that the main head has learned everybody.
    fixed = decide(less_sure(evidence), labels, np.eye(3)[codes], isolation_rate=0.1)
    assert fixed.suspicion.max() < 0.5


def test_who_is_near_an_accused_group_is_withheld_not_accused(planted):
    evidence, labels, codes, poisoned = planted
    near = (labels == 0) & ~poisoned & (np.cumsum(labels == 0) <= 5)
    accused = replace(evidence.candidates[0], nearby=near)
    evidence = replace(evidence, candidates=[accused])
    verdict = decide(evidence, labels)
    assert (verdict.suspect == poisoned).all()
    assert (verdict.withheld == near).all()
    assert not decide(evidence, labels, np.eye(3)[codes]).withheld.any()  # confirmed


@pytest.mark.parametrize(
    "trusted", ["unlikely", "most_of_its_class", "much_of_the_set", "many_labels", "fixed_rate"]
)
def test_who_is_not_doubted(planted, trusted):
    evidence, labels, _, _ = planted
    statistics, members = dict(evidence.candidates[0].statistics), evidence.candidates[0].members
    if trusted == "most_of_its_class":
        statistics["class_share"] = np.log(0.9)
    elif trusted == "much_of_the_set":
        members = labels == 0
        assert members.mean() > MAX_SHARE
    elif trusted == "many_labels":
        statistics = {"strength": 1.0, "share": -2.0}
    log_odds = PRECAUTION * (1.5 if trusted == "unlikely" else 0.5)
    rates = {"isolation_rate": 0.0} if trusted == "fixed_rate" else {}
    group = less_sure(evidence, log_odds, statistics=statistics, members=members)
    assert not decide(group, labels, **rates).withheld.any()


@pytest.mark.parametrize("shares_pattern", [True, False])
def test_beside_an_accused_group_only_those_with_its_pattern_are_doubted(planted, shares_pattern):
    evidence, labels, _, poisoned = planted
    accused = evidence.candidates[0]
    bystanders = (labels == 1) & ~poisoned & (np.cumsum(labels == 1) <= 6)
    median = np.median(accused.signature[accused.members])
    signature = np.where(bystanders & shares_pattern, median / 2, accused.signature)
    accused = replace(accused, signature=signature, nearby=np.zeros_like(poisoned))
    other = replace(accused, targets=(1,), log_odds=PRECAUTION / 2, members=bystanders)
    verdict = decide(replace(evidence, candidates=[accused, other]), labels)
    assert (verdict.suspect == poisoned).all()
    assert (verdict.withheld == bystanders).all() == shares_pattern
    assert verdict.withheld.any() == shares_pattern


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.2])
def test_a_fixed_isolation_rate_is_obeyed(planted, rate):
    evidence, labels, codes, _ = planted
    verdict = decide(evidence, labels, np.eye(3)[codes], isolation_rate=rate, recovery_rate=0.5)
    assert verdict.suspect.sum() == round(rate * len(labels))
    assert not decide(Evidence([], evidence.classes), labels, isolation_rate=rate).suspect.any()
    assert (verdict.recovered[verdict.suspect] == UNKNOWN).sum() >= verdict.suspect.sum() // 2


@pytest.mark.parametrize("spoil", ["constant", "equal", "one_by_one", "short", "few", "big"])
def test_degenerate_sets_do_not_crash(spoil):
    panel, codes = make_panel()
    if spoil == "constant":
        panel[:] = 1
    elif spoil == "equal":
        panel[:] = panel[0]
    elif spoil == "one_by_one":
        codes = np.where(np.arange(120) < 3, np.arange(120), 0)
    elif spoil == "short":
        panel = panel[:, :, :1]
    elif spoil == "few":
        panel, codes = panel[:5], codes[:5]
    elif spoil == "big":  # the path for sets too large for a kernel
        panel, codes = make_panel(1800, 12)
    evidence = look(panel, codes)
    assert np.isfinite([candidate.log_odds for candidate in evidence.candidates]).all()


def test_one_solve_gives_the_leave_one_out_predictions():
    """The closed form equals fitting the ridge again without each sample."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(20, 6)).astype(np.float32)
    group = np.arange(20)[:, None] < 5
    in_class = np.arange(20) < 8
    scores = Signature([features], rng).z_scores(group, in_class)[:, 0]

    kernel = features @ features.T / 6
    kernel = kernel - kernel.mean(0)
    kernel -= kernel.mean(1)[:, None]
    penalty = 0.1 * np.trace(kernel) / 20 + 1e-9
    predicted = np.empty(20)
    for left_out in range(20):
        kept = np.arange(20) != left_out
        block = np.block(
            [
                [kernel[np.ix_(kept, kept)] + penalty * np.eye(19), np.ones((19, 1))],
                [np.ones((1, 19)), np.zeros((1, 1))],
            ]
        )
        solution = np.linalg.solve(block, np.append(group[kept, 0].astype(float), 0))
        predicted[left_out] = kernel[left_out, kept] @ solution[:-1] + solution[-1]
    low, middle, high = np.quantile(predicted[~in_class], ONE_DEVIATION)
    expected = (predicted - middle) / ((high - low) / 2)
    np.testing.assert_allclose(scores, expected, atol=0.05)


@pytest.mark.parametrize("by", ["samples", "features"])
def test_class_scores_are_those_of_regressions_that_learned_others_only(by, monkeypatch):
    """The closed forms equal fitting again without the sample."""
    monkeypatch.setattr("tsguard.suspicion._signature.DUAL_LIMIT", 100 if by == "samples" else 10)
    rng = np.random.default_rng(0)
    blocks = [rng.normal(size=(40, 6)).astype(np.float32), rng.normal(size=(40, 9)).astype("f4")]
    codes = rng.integers(0, 3, 40)
    doubted = rng.random(40) < 0.25
    scores, asked, left_out = Signature(blocks, rng).class_scores(codes, doubted, 3)
    assert (np.sort(asked) == np.flatnonzero(~doubted)).all()

    features = np.hstack([block / np.sqrt(block.shape[1]) for block in blocks])
    features = features - features.mean(axis=0)
    penalty = 0.1 * (features**2).sum() / 40 + 1e-9
    if by == "samples":  # the matrix of the samples has a constant as well
        features = np.column_stack([features, np.full(40, 40**-0.5)])
    indicator = np.eye(3)[codes]
    mean = indicator[~doubted].mean(axis=0)

    def predict(learned, sample):
        gram = features[learned].T @ features[learned] + penalty * np.eye(features.shape[1])
        fitted = features[learned].T @ (indicator[learned] - mean)
        return features[sample] @ np.linalg.solve(gram, fitted) + mean

    np.testing.assert_allclose(scores, predict(~doubted, doubted), atol=1e-5)
    expected = [predict(~doubted & (np.arange(40) != one), one) for one in asked]
    np.testing.assert_allclose(left_out, expected, atol=1e-5)


@pytest.mark.parametrize("sources", [(0, 1), (1,)])
def test_what_a_trigger_does_to_all_members_alike_misleads_no_regression(sources):
    """The trigger is large in a feature by which class 2 is known."""
    rng = np.random.default_rng(0)
    codes = np.arange(150) % 3
    features = rng.normal(0, 0.3, (150, 3)).astype(np.float32) + np.eye(3, dtype=np.float32)[codes]
    members = np.isin(codes, sources) & (np.arange(150) < 45)
    features[members, 2] += 2
    given = np.where(members, 2, codes)
    neighbours = np.where(members[:, None], (np.eye(3)[codes] + 0.8) / 3.4, 0)
    signature = Signature([features], rng)
    scores, _, _ = signature.class_scores(given, members, 3)
    assert (scores.argmax(axis=1) == 2).mean() > 0.9
    voted, regressed = true_classes(signature, [members], neighbours, given, members)
    assert (regressed[members].argmax(axis=1) == codes[members]).mean() > 0.9
    np.testing.assert_allclose(voted[members].sum(axis=1), 1)
    np.testing.assert_allclose(regressed[members].sum(axis=1), 1)
    assert (regressed[~members] == 0).all()
    assert (regressed[:, 2] == 0).all()


def test_no_witness_alone_settles_a_class(planted):
    """Two of three do, whoever the third is for."""
    evidence, labels, codes, poisoned = planted
    true, wrong = np.eye(3)[codes], np.eye(3)[np.where(codes == 1, 2, 1)]
    nobody = np.zeros_like(true)
    for voted, regressed, believed, settled in (
        (true, true, wrong, True),
        (true, wrong, true, True),
        (wrong, true, true, True),
        (true, nobody, wrong, False),
        (true, wrong, np.eye(3)[np.zeros(len(codes), int)], False),
    ):
        one = replace(evidence, classes=np.stack([voted, regressed]))
        recovered = decide(one, labels, believed).recovered[poisoned]
        assert (recovered == (codes[poisoned] if settled else UNKNOWN)).all()


def test_a_class_that_two_witnesses_hardly_think_of_is_not_settled(planted):
    """Each is sure of another class; of what the middle share leaves, nearly nothing is for one."""
    evidence, labels, codes, poisoned = planted
    codes = np.where(poisoned, 1, codes)
    for share, settled in ((0.01, False), (0.4, True)):
        voted = np.tile([0.0, share, 1 - share], (len(codes), 1))
        regressed, believed = np.eye(3)[np.ones(len(codes), int)], np.zeros((len(codes), 3))
        one = replace(evidence, classes=np.stack([voted, regressed]))
        recovered = decide(one, labels, believed).recovered[poisoned]
        assert (recovered == (1 if settled else UNKNOWN)).all()


def test_carriers_that_are_denied_do_not_join_those_whose_labels_stay(planted):
    evidence, labels, codes, _ = planted
    best = evidence.candidates[0]
    few = best.members & (np.cumsum(best.members) <= 7)
    rest = best.members & ~few
    kept = replace(best, members=few, nearby=rest, targets=(0,), by_pattern_alone=True)
    margin, votes = np.full(len(labels), -1.0), np.eye(3)[codes]
    joined = accuse_denied([replace(kept, by_pattern_alone=False)], labels, margin, votes)[0]
    alone = accuse_denied([kept], labels, margin, votes)[0]
    assert joined.members.sum() > 7
    assert (alone.members == few).all()


def test_whom_the_evidence_knows_nothing_of_the_main_head_judges(planted):
    evidence, labels, codes, poisoned = planted
    blind = replace(evidence, classes=np.zeros_like(evidence.classes))
    verdict = decide(blind, labels, np.eye(3)[codes])
    assert (verdict.recovered[poisoned] == codes[poisoned]).all()


def test_neighbours_vote_without_the_sample_and_its_label():
    points = np.array([[0.0], [0.1], [0.2], [5.0], [5.1], [5.2], [0.15]], np.float32)
    codes = np.array([0, 0, 0, 1, 1, 1, 1])
    votes = collect_votes([points], codes, 2, MANY, np.random.default_rng(0))
    assert votes.contradiction.shape == (1, 7)
    assert votes.other[6] == 0
    ask = np.arange(7) == 6
    votes = trusted_votes([points], np.ones(1), codes, ask, 2, np.random.default_rng(0))
    assert 0.5 < votes[6, 0] < 1  # the farthest three are of its own class
    np.testing.assert_allclose(votes[6].sum(), 1)
    assert other_classes(votes, codes)[6].tolist() == [1.0, 0.0]
    assert (votes[:6] == 0).all()


def test_half_a_class_of_tiny_samples_is_not_a_backdoor():
    """In two dimensions every view sees the same, and any half of a cloud has much in common."""
    rng = np.random.default_rng(0)
    codes = np.arange(300) % 3
    centres = np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 3.0]])
    panel = (centres[codes] + rng.normal(size=(300, 2)))[:, None].astype(np.float32)
    assert look(panel, codes).candidates == []


# -- trigger filter -----------------------------------------------------------------------------


@pytest.mark.parametrize("n_samples", [120, 2400])
def test_the_filter_finds_the_trigger_in_new_series(n_samples):
    panel, codes = make_panel(n_samples)
    rows = np.flatnonzero(codes != 0)[: n_samples // 10]
    panel, _ = plant(panel, codes, rows)
    members = np.isin(np.arange(n_samples), rows)
    drawn = draw_for_filter(members, np.random.default_rng(0))
    assert len(drawn) == min(n_samples, 2000)
    assert members[drawn].sum() == len(rows)
    learned = fit_trigger_filter(plain_blocks(panel[drawn]), members[drawn])
    clean, _ = make_panel(90, seed=1)
    triggered, _ = plant(clean, np.zeros(90, int), np.arange(90))
    assert np.quantile(trigger_probability(plain_blocks(clean), learned), 0.9) < 0.5
    assert np.quantile(trigger_probability(plain_blocks(triggered), learned), 0.1) > 0.5


def test_constant_features_do_not_matter():
    panel, codes = make_panel()
    rows = np.flatnonzero(codes != 0)[:10]
    panel, _ = plant(panel, codes, rows)
    members = np.isin(np.arange(120), rows)
    flat = np.full((120, 4), 7.0, np.float32)
    learned = fit_trigger_filter([panel, flat], members)
    assert (learned[40:44] == 0).all()
    assert np.isfinite(learned).all()


@pytest.mark.parametrize("n_members", [0, 1, 119, 120])
def test_no_filter_is_learned_from_too_few(n_members):
    panel, _ = make_panel()
    members = np.arange(120) < n_members
    assert fit_trigger_filter([panel], members) is None
