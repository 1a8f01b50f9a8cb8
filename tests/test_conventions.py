"""aeon's and scikit-learn's own checks of an estimator, run for real; the form of docstrings."""

import re
import warnings

import pytest
from aeon.testing.estimator_checking import check_estimator as aeon_check_estimator
from sklearn.utils.estimator_checks import check_estimator as sklearn_check_estimator

from tsguard import E2ABLClassifier
from tsguard.attacks import PatchTrigger, get_trigger, list_triggers
from tsguard.attacks._notes import notes_of
from tsguard.defenses import StandardClassifier

KINDS = [E2ABLClassifier, StandardClassifier]

#: Checks of scikit-learn that cannot hold for an aeon classifier, each with its reason.
NOT_FOR_AEON = {
    "check_no_attributes_set_in_init": "aeon's base class sets its state flags in __init__",
    "check_dont_overwrite_parameters": "aeon's flag `is_fitted` has no trailing underscore",
}


@pytest.mark.parametrize("kind", KINDS)
def test_aeon_checks(kind):
    results = aeon_check_estimator(kind, raise_exceptions=True, verbose=False)
    passed = [name for name, outcome in results.items() if outcome == "PASSED"]
    assert len(passed) > 20


@pytest.mark.parametrize("kind", KINDS)
def test_sklearn_checks(kind):
    estimator = kind(backbone="fcn", n_epochs=12, random_state=0)
    with warnings.catch_warnings():
        # One per skipped check; the count below says how many really ran.
        warnings.simplefilter("ignore")
        results = sklearn_check_estimator(
            estimator, expected_failed_checks=NOT_FOR_AEON, on_fail=None
        )
    failed = {r["check_name"]: r["exception"] for r in results if r["status"] == "failed"}
    assert failed == {}
    assert sum(r["status"] == "passed" for r in results) > 50


@pytest.mark.parametrize(
    "kind",
    [
        kind
        for kind in (type(get_trigger(name)) for name in list_triggers())
        if kind.__module__.startswith("tsguard.")
    ],
)
def test_docstring_of_a_trigger_has_idea_and_four_notes(kind):
    notes = notes_of(kind)
    assert re.search(r"`.*x'.*`", notes.formula)
    assert len(notes.idea.split(". ")) >= 2
    assert "ours" in notes.source or re.search(r"\b(19|20)\d\d\b", notes.source)
    assert notes.strength
    assert len(notes.hard.split()) > 5


def test_docstring_without_notes_is_refused():
    class Silent(PatchTrigger):
        """Say nothing."""

    with pytest.raises(ValueError, match="the docstring of Silent must have a paragraph on its id"):
        notes_of(Silent)


def test_docstring_becomes_markdown():
    notes = notes_of(PatchTrigger)
    assert notes.summary.endswith("in turn.")
    assert notes.formula.startswith("`x'[s + k] = max(x)` for even `k`")
    assert "``" not in str(notes)
    assert "\n" not in str(notes)
