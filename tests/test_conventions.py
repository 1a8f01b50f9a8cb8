"""aeon's and scikit-learn's own checks of an estimator, run for real."""

import warnings

import pytest
from aeon.testing.estimator_checking import check_estimator as aeon_check_estimator
from sklearn.utils.estimator_checks import check_estimator as sklearn_check_estimator

from tsguard import E2ABLClassifier
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
