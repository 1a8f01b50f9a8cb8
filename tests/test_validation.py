"""What is valid input, what is done to it, and the exact words that refuse the rest."""

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import DataConversionWarning
from sklearn.utils import estimator_checks
from sklearn.utils.validation import check_is_fitted

from tsguard._labels import check_labels
from tsguard._validation import (
    check_fraction,
    check_panel,
    check_shape_matches,
    to_panel,
)

NAN = float("nan")


def says(text):
    """Match a whole message."""
    return f"^{re.escape(text)}$"


panels = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=3, max_dims=3, max_side=6),
    elements=st.floats(-1e6, 1e6, width=32),
)


# -- to_panel ----------------------------------------------------------------------------------


@given(panels)
@settings(max_examples=30, deadline=None)
def test_equal_length_input_is_only_cast(X):
    for given_input in (X, X.astype(np.float64), np.asfortranarray(X), X.astype(object), list(X)):
        panel = to_panel(given_input)
        np.testing.assert_array_equal(panel, X)
        assert panel.dtype == np.float32
        assert panel.flags.c_contiguous


@given(st.integers(1, 40), st.integers(2, 40), st.floats(-10, 10), st.floats(-10, 10))
@settings(max_examples=50, deadline=None)
def test_a_stretched_ramp_is_a_ramp(n_timepoints, length, first, last):
    ramp = np.linspace(first, last, length)
    panel = to_panel([ramp], n_timepoints=n_timepoints)
    np.testing.assert_allclose(panel[0, 0], np.linspace(first, last, n_timepoints), atol=1e-4)


@given(
    hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=3, max_dims=3, max_side=5),
        elements=st.one_of(st.just(NAN), st.floats(-5, 5, width=32)),
    ),
    st.one_of(st.none(), st.integers(1, 8)),
)
@settings(max_examples=60, deadline=None)
def test_any_gaps_are_filled_and_the_input_is_left_alone(X, n_timepoints):
    before = X.copy()
    panel = to_panel(X, n_timepoints=n_timepoints)
    np.testing.assert_array_equal(X, before)
    assert np.isfinite(panel).all()
    assert panel.shape[:2] == X.shape[:2]
    assert panel.flags.c_contiguous
    known = X[np.isfinite(X)]
    # Interpolation and nearest values stay in the range of what is known; nothing known gives 0.
    assert panel.min() >= min(known.min(initial=0), 0) - 1e-6
    assert panel.max() <= max(known.max(initial=0), 0) + 1e-6


def test_gaps_are_interpolated_and_ends_take_the_nearest_value():
    X = [[[NAN, 1.0, NAN, NAN, 4.0, NAN], [0.0, 0.0, 0.0, 0.0, 0.0, 9.0]]]
    assert to_panel(X)[0, 0].tolist() == [1.0, 1.0, 2.0, 3.0, 4.0, 4.0]


def test_a_missing_channel_becomes_zero_and_so_does_a_missing_series():
    X = np.array([[[NAN, NAN], [1.0, 2.0]], [[NAN, NAN], [NAN, NAN]]])
    assert to_panel(X).tolist() == [[[0, 0], [1, 2]], [[0, 0], [0, 0]]]


def test_padding_at_the_end_counts_as_a_shorter_series():
    padded = np.array([[0.0, 1.0, 2.0, 3.0, 4.0], [0.0, 2.0, 4.0, NAN, NAN]])
    ragged = [padded[0], padded[1, :3]]
    np.testing.assert_array_equal(to_panel(padded), to_panel(ragged))
    assert to_panel(padded)[1, 0].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_padding_of_all_series_shortens_the_panel():
    assert to_panel([[1.0, 2.0, NAN], [3.0, 4.0, NAN]]).shape == (2, 1, 2)


def test_unequal_lengths_are_stretched_to_the_longest():
    panel = to_panel([np.arange(3.0), np.arange(5.0), np.array([7.0])])
    assert panel.shape == (3, 1, 5)
    assert panel[0, 0].tolist() == [0.0, 0.5, 1.0, 1.5, 2.0]
    assert panel[2, 0].tolist() == [7.0] * 5


def test_equal_lengths_are_stretched_when_asked():
    assert to_panel(np.arange(4.0)[None], n_timepoints=7)[0, 0].tolist() == [
        0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0,
    ]  # fmt: skip
    assert to_panel(np.arange(4.0)[None], n_timepoints=1).tolist() == [[[0.0]]]


def test_other_containers():
    frame = pd.DataFrame({"a": [1, 2], "b": pd.array([3, None], dtype="Int64")})
    assert to_panel(frame).tolist() == [[[1, 3]], [[2, 2]]]
    boxed = np.empty(2, dtype=object)
    boxed[:] = [np.zeros((2, 3)), np.zeros((2, 4))]
    assert to_panel(boxed).shape == (2, 2, 4)
    assert to_panel([[[1, 2], [3, 4]]]).tolist() == [[[1, 2], [3, 4]]]
    assert to_panel([[True, False]]).tolist() == [[[1, 0]]]


def test_to_panel_refuses_infinity_and_lengths_that_are_none():
    with pytest.raises(
        ValueError,
        match=says(
            "X must hold finite values, got infinity (or a value too large for float32) in 2 of 3 "
            "series, the first being X[1]; remove or clip it."
        ),
    ):
        to_panel([[0.0, NAN], [0.0, np.inf], [1e300, 0.0]])
    with pytest.raises(
        ValueError, match=says("n_timepoints must be 1 or larger, got 0; pass a length.")
    ):
        to_panel([[0.0]], n_timepoints=0)
    with pytest.raises(
        TypeError, match=says("n_timepoints must be an integer or None, got 2.5; pass a length.")
    ):
        to_panel([[0.0]], n_timepoints=2.5)


# -- check_panel -------------------------------------------------------------------------------


def test_a_valid_panel_is_passed_on_without_a_copy():
    X = np.zeros((2, 3, 4), dtype=np.float32)
    assert check_panel(X) is X
    assert np.shares_memory(check_panel(X[:, 0].copy()), X) is False
    flat = np.zeros((2, 4), dtype=np.float32)
    assert np.shares_memory(check_panel(flat), flat)


def test_large_finite_values_pass_though_their_sum_overflows():
    X = np.full((4, 1, 8), 3e38, dtype=np.float32)
    np.testing.assert_array_equal(check_panel(X), X)


def test_only_lists_of_arrays_are_stretched():
    assert check_panel([np.zeros(3), np.zeros(5)], n_timepoints=9).shape == (2, 1, 9)
    assert check_panel([np.zeros(3), np.zeros(3)], n_timepoints=9).shape == (2, 1, 9)
    assert check_panel(np.zeros((2, 3)), n_timepoints=9).shape == (2, 1, 3)
    assert check_panel([[0, 0, 0], [0, 0, 0]], n_timepoints=9).shape == (2, 1, 3)


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (
            [[0.0, NAN], [0.0, 0.0], [NAN, NAN]],
            ValueError,
            "X must hold finite values, got NaN in 2 of 3 series, the first being X[0]; fill it "
            "with tsguard.to_panel(X).",
        ),
        (
            [np.zeros(2), np.array([np.inf])],
            ValueError,
            "X must hold finite values, got infinity (or a value too large for float32) in 1 of 2 "
            "series, the first being X[1]; remove or clip it.",
        ),
        (
            np.zeros(3),
            ValueError,
            "X must be 2-D (n_samples, n_timepoints) or 3-D (n_samples, n_channels, n_timepoints), "
            "got 1-D of shape (3,); Reshape your data, one series of one channel with "
            "X.reshape(1, -1).",
        ),
        (
            [0.0, 1.0, 2.0],
            ValueError,
            "X must be 2-D (n_samples, n_timepoints) or 3-D (n_samples, n_channels, n_timepoints), "
            "got 1-D of shape (3,); Reshape your data, one series of one channel with "
            "X.reshape(1, -1).",
        ),
        (
            np.zeros((0, 3)),
            ValueError,
            "X must hold at least one series, got 0 sample(s) (shape=(0, 3)) while a minimum of 1 "
            "is required; pass series.",
        ),
        (
            [],
            ValueError,
            "X must hold at least one series, got an empty list (0 samples); pass series.",
        ),
        (
            np.zeros((3, 0)),
            ValueError,
            "X must hold at least one timepoint, got 0 feature(s) (shape=(3, 0)) while a minimum "
            "of 1 is required; remove empty series.",
        ),
        (
            [np.zeros(2), np.zeros(0)],
            ValueError,
            "X must hold at least one timepoint, got 0 feature(s) (shape=(1, 1, 0)) while a "
            "minimum of 1 is required; remove empty series.",
        ),
        (
            np.zeros((2, 2), dtype=complex),
            ValueError,
            "X must hold real numbers, got complex128 (Complex data not supported); pass real and "
            "imaginary part as two channels.",
        ),
        (
            sparse.csr_matrix(np.eye(3)),
            TypeError,
            "X must be a dense array, got a sparse csr_matrix; pass X.toarray().",
        ),
        (
            np.array([["a", "b"]]),
            TypeError,
            "X must hold real numbers, got dtype <U1; convert it first.",
        ),
        (
            np.array([[{}, 1]], dtype=object),
            TypeError,
            "X must hold real numbers, got objects that NumPy cannot convert (float() argument "
            "must be a string or a real number, not 'dict'); convert them first.",
        ),
        (
            [np.zeros((2, 3)), np.zeros((3, 4))],
            ValueError,
            "X must hold series with one number of channels, got 2 in X[0] and 3 in X[1]; is an "
            "array (n_timepoints, n_channels)?",
        ),
        (
            [np.zeros((2, 3, 4)), np.zeros(3)],
            ValueError,
            "X[0] must be one series (n_channels, n_timepoints) or (n_timepoints,), got shape "
            "(2, 3, 4); pass one array per series.",
        ),
    ],
)
def test_check_panel_refuses(X, error, message):
    with pytest.raises(error, match=says(message)):
        check_panel(X)


def test_rows_of_unequal_length_inside_a_series_are_refused():
    with pytest.raises(TypeError, match=r"X\[0\] must hold real numbers in rows of one length"):
        check_panel([[[1.0, 2.0], [1.0]]])


def test_messages_use_the_name_given():
    with pytest.raises(ValueError, match=r"^carrier must hold finite values.*carrier\[0\]"):
        check_panel([[NAN]], name="carrier")


def test_check_shape_matches():
    X = np.zeros((2, 3, 4), dtype=np.float32)
    check_shape_matches(X, 3, 4, "Some")
    with pytest.raises(
        ValueError,
        match=says(
            "X must have the 3 channel(s) and 5 timepoints seen in fit, got 3 channel(s) and 4 "
            "timepoints (X has 12 features, but Some is expecting 15 features as input); stretch "
            "series of another length with tsguard.to_panel(X, n_timepoints=5)."
        ),
    ):
        check_shape_matches(X, 3, 5, "Some")


# -- check_labels ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "y",
    [
        np.array([1, 2, 1]),
        np.array([1.0, 2.0, 1.0]),
        np.array(["a", "b", "a"]),
        np.array(["a", "b", "a"], dtype=object),
        np.array([True, False, True]),
    ],
)
def test_labels_keep_their_dtype(y):
    labels = check_labels(y, 3)
    np.testing.assert_array_equal(labels, y)
    assert labels.dtype == y.dtype


def test_labels_from_a_pandas_series_and_a_column():
    assert check_labels(pd.Series(["a", "b"], index=[7, 8]), 2).tolist() == ["a", "b"]
    with pytest.warns(
        DataConversionWarning, match="A column-vector y was passed when a 1d array was expected"
    ):
        assert check_labels(np.array([[1], [2]]), 2).tolist() == [1, 2]


def test_one_class_is_fine_where_allowed():
    assert check_labels(["a", "a"], 2, allow_one_class=True).tolist() == ["a", "a"]


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        (
            ["a", "a"],
            ValueError,
            "y must hold at least two classes, got one class ('a'); add series of another class.",
        ),
        (
            [1, 2, 3],
            ValueError,
            "y must hold one label per series, got 3 labels for 2 series; pass X and y with the "
            "same rows.",
        ),
        (
            None,
            ValueError,
            "y must be one label per series, got None (requires y to be passed, but the target y "
            "is None); pass the labels.",
        ),
        (
            [[1, 2], [3, 4]],
            ValueError,
            "y must be 1-D, got shape (2, 2) (y should be a 1d array); pass one label per series.",
        ),
        (
            [0.5, 1.0],
            ValueError,
            "y must hold class labels, got numbers with a fraction such as 0.5 (Unknown label "
            "type: continuous); bin them or pass integers or strings.",
        ),
        (
            [1.0, np.inf],
            ValueError,
            "y must hold a label for every series, got 1 missing or infinite, the first being "
            "y[1]; remove these series or label them.",
        ),
        (
            ["a", None],
            ValueError,
            "y must hold a label for every series, got 1 missing or infinite, the first being "
            "y[1]; remove these series or label them.",
        ),
        (
            [1j, 2],
            ValueError,
            "y must hold integers or strings, got complex128 (Complex data not supported); "
            "convert it first.",
        ),
    ],
)
def test_check_labels_refuses(y, error, message):
    with pytest.raises(error, match=says(message)):
        check_labels(y, 2)


def test_labels_of_two_kinds_are_refused():
    with pytest.raises(TypeError, match=r"^y must hold labels of one kind, got a mixture"):
        check_labels(np.array(["a", 1], dtype=object), 2)


# -- check_fraction ----------------------------------------------------------------------------


def test_fractions():
    assert check_fraction(np.float32(0.5), "rate") == 0.5
    assert isinstance(check_fraction(1, "rate"), float)
    assert check_fraction(1.5, "rate", high=2.0) == 1.5
    for value in (1.5, -0.1, NAN):
        with pytest.raises(ValueError, match=r"^rate must be a number in \[0, 1\], got"):
            check_fraction(value, "rate")
    with pytest.raises(
        ValueError,
        match=says("rate must be a number in (0, 1), got 0; pass a share, not a percentage."),
    ):
        check_fraction(0, "rate", include_low=False, include_high=False)
    with pytest.raises(
        TypeError,
        match=says("rate must be a number in [0, 1], got True of type bool; pass a float."),
    ):
        check_fraction(True, "rate")


# -- scikit-learn's own checks on an estimator that uses these functions -------------------------


class NearestMean(ClassifierMixin, BaseEstimator):
    """The smallest estimator with our input checks."""

    def fit(self, X, y):
        panel = check_panel(X)
        labels = check_labels(y, len(panel))
        self.shape_ = panel.shape[1:]
        self.n_features_in_ = panel[0].size
        self.classes_ = np.unique(labels)
        self.means_ = np.stack([panel[labels == one].mean(axis=0) for one in self.classes_])
        return self

    def predict(self, X):
        check_is_fitted(self)
        panel = check_panel(X)
        check_shape_matches(panel, *self.shape_, type(self).__name__)
        distance = ((panel[:, None] - self.means_) ** 2).sum(axis=(2, 3))
        return self.classes_[distance.argmin(axis=1)]


@pytest.mark.parametrize(
    "check",
    [
        "check_complex_data",
        "check_dtype_object",
        "check_estimator_sparse_matrix",
        "check_estimator_sparse_array",
        "check_estimators_empty_data_messages",
        "check_estimators_nan_inf",
        "check_fit1d",
        "check_fit2d_1feature",
        "check_fit2d_1sample",
        "check_fit2d_predict1d",
        "check_n_features_in_after_fitting",
        "check_requires_y_none",
        "check_supervised_y_2d",
        "check_supervised_y_no_nan",
        "check_classifier_data_not_an_array",
        "check_classifiers_classes",
        "check_classifiers_one_label",
        "check_classifiers_regression_target",
    ],
)
def test_sklearn_check(check):
    getattr(estimator_checks, check)("NearestMean", NearestMean())
