"""Whether the members of a group come from other classes."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from test_suspicion import look, make_panel, plant

from tsguard.suspicion._likelihood import group_statistics
from tsguard.suspicion._origins import (
    MOST,
    USUAL_AGREEMENT,
    agreement_on_origins,
    usual_agreement,
)
from tsguard.suspicion._search import Weighed, _Search
from tsguard.suspicion._votes import Votes

N_MEMBERS, N_NEIGHBOURS = 20, 10
#: The group, the rest of its class, two other classes.
CODES = np.repeat([0, 0, 1, 2], [N_MEMBERS, 20, 40, 40])
GROUP = np.arange(len(CODES)) < N_MEMBERS


def votes(named, weights=None, blinded=(), n_values=100):
    """Return votes in which each view finds neighbours of the class that it names a member."""
    named = np.asarray(named)
    rng = np.random.default_rng(0)
    neighbours = np.zeros((len(named), len(CODES), N_NEIGHBOURS), np.int32)
    for view, member in np.ndindex(named.shape):
        of_class = np.flatnonzero((named[view, member] == CODES) & ~GROUP)
        neighbours[view, member] = rng.choice(of_class, N_NEIGHBOURS)
    for view in blinded:
        neighbours[view, :N_MEMBERS] = rng.choice(N_MEMBERS, (N_MEMBERS, N_NEIGHBOURS))
    nothing = np.zeros(neighbours.shape[:2])
    weights = np.ones(len(named)) if weights is None else np.asarray(weights)
    return Votes(weights, nothing, nothing[0], CODES, n_values, CODES, neighbours)


EACH_ITS_OWN = np.tile(1 + np.arange(N_MEMBERS) % 2, (5, 1))
ALL_ALIKE = np.ones((5, N_MEMBERS), int)


def test_members_of_several_classes_speak_for_poison_and_a_class_that_lies_near_does_not():
    assert agreement_on_origins(GROUP, votes(EACH_ITS_OWN)) == MOST
    assert agreement_on_origins(GROUP, votes(ALL_ALIKE)) == pytest.approx(0)


def test_views_that_contradict_each_other_speak_against_it():
    rng = np.random.default_rng(1)
    at_random = rng.integers(1, 3, (5, N_MEMBERS))
    assert agreement_on_origins(GROUP, votes(at_random)) < 0.05
    halves = np.array([1 + np.arange(N_MEMBERS) % 2, 2 - np.arange(N_MEMBERS) % 2])
    assert agreement_on_origins(GROUP, votes(halves)) == -MOST


def test_views_that_see_only_the_trigger_abstain():
    blinded = votes(EACH_ITS_OWN, blinded=(0, 1))
    assert agreement_on_origins(GROUP, blinded) == agreement_on_origins(GROUP, votes(EACH_ITS_OWN))


def test_members_that_look_like_the_rest_of_their_class_speak_against_it():
    natural = agreement_on_origins(GROUP, votes(np.zeros((5, N_MEMBERS), int)))
    assert natural == pytest.approx(-USUAL_AGREEMENT)
    few = np.zeros((5, N_MEMBERS), int)
    few[:, :2] = EACH_ITS_OWN[:, :2]
    assert natural < agreement_on_origins(GROUP, votes(few)) < MOST / 2


def test_what_the_contradicted_samples_of_other_classes_reach_is_no_sign_of_poison():
    def usual(named, accused=np.zeros(len(CODES), bool)):  # noqa: B008 - nobody writes to it
        margin = np.where(GROUP, 0.5, -0.5)
        return usual_agreement(replace(votes(named), margin=margin), accused)

    assert usual(ALL_ALIKE) == pytest.approx(USUAL_AGREEMENT)
    overlapping = usual(EACH_ITS_OWN)
    assert overlapping[0] > 0.3
    assert overlapping[1:] == pytest.approx(USUAL_AGREEMENT)
    group = votes(EACH_ITS_OWN)
    assert agreement_on_origins(GROUP, group, overlapping[0]) < agreement_on_origins(GROUP, group)
    nobody_left = usual(EACH_ITS_OWN, accused=GROUP)
    assert nobody_left == pytest.approx(USUAL_AGREEMENT), "other poison is nothing usual"


def test_only_accused_groups_are_weighed_anew_with_what_is_usual_elsewhere():
    scores = np.where(GROUP, 10.0, 0.0)
    named = np.where(np.arange(N_MEMBERS) < N_MEMBERS // 2, EACH_ITS_OWN, ALL_ALIKE)
    known = votes(named)
    statistics = group_statistics(GROUP, scores, CODES == 0, known, np.array([40, 40]))
    accused, other = (Weighed(odds, statistics, GROUP, scores) for odds in (1.0, -1.0))
    search = SimpleNamespace(code=0, _votes=known)
    found = _Search.beyond(search, [other, accused], np.array([0.9, 0.08, 0.6]))
    assert other in found
    changed = next(one for one in found if one is not other)
    expected = agreement_on_origins(GROUP, known, 0.6)
    assert changed.statistics == statistics | {"origins": expected}
    assert expected < statistics["origins"]
    assert [one.odds for one in found] == sorted((one.odds for one in found), reverse=True)


def test_views_that_see_nothing_have_little_say():
    noisy = EACH_ITS_OWN.copy()
    noisy[1:] = np.random.default_rng(2).integers(1, 3, (4, N_MEMBERS))
    noticed = agreement_on_origins(GROUP, votes(noisy))
    noisy[1] = noisy[0]
    ignored = agreement_on_origins(GROUP, votes(noisy, [1, 1, 0, 0, 0]))
    assert noticed < ignored == MOST


@pytest.mark.parametrize(("n_values", "share"), [(640, 1), (64, 1), (16, 0.25)])
def test_it_counts_less_where_all_views_see_the_same_few_values(n_values, share):
    scores = np.where(GROUP, 10.0, 0.0)
    of_few = votes(EACH_ITS_OWN, n_values=n_values)
    statistics = group_statistics(GROUP, scores, CODES == 0, of_few, np.array([40, 40]))
    assert statistics["origins"] == pytest.approx(share * MOST)


@pytest.mark.parametrize("blinded", [(0, 1, 2, 3, 4), (0, 1, 2, 3)])
def test_where_nobody_else_can_be_asked_it_says_nothing(blinded):
    assert agreement_on_origins(GROUP, votes(EACH_ITS_OWN, blinded=blinded)) == 0


def test_a_class_that_is_nearly_all_poison_is_found():
    """Its few true series cannot say what is usual in it."""
    panel, codes = make_panel(150)
    kept = (codes != 0) | (np.cumsum(codes == 0) <= 1)
    panel, codes = panel[kept], codes[kept]
    rows = np.flatnonzero(codes != 0)[:20]
    evidence = look(*plant(panel, codes, rows))
    best = evidence.candidates[0]
    assert best.targets == (0,)
    assert best.log_odds > 0
    assert best.members[rows].all()
    assert best.statistics["origins"] > 0.1


def test_a_small_class_is_not_accused_as_a_whole():
    panel, codes = make_panel(150)
    kept = (codes != 0) | (np.cumsum(codes == 0) <= 3)
    evidence = look(panel[kept], codes[kept])
    assert not any(one.log_odds > 0 for one in evidence.candidates)
