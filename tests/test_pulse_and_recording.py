"""The pulse trigger, whose place is drawn for every series, and the hum of a given recording."""

import naive
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from tsguard.attacks import HumTrigger, PulseTrigger
from tsguard.attacks._kernels import add_shifted_wave

relaxed = settings(deadline=None, max_examples=50)
panels = arrays(
    np.float32,
    array_shapes(min_dims=3, max_dims=3, max_side=9),
    elements=st.floats(-1e6, 1e6, width=32),
)


@relaxed
@given(panels, st.data())
def test_add_shifted_wave_equals_twin(X, data):
    starts = np.array([data.draw(st.integers(0, 4)) for _ in X])
    shares = data.draw(arrays(np.float32, X.shape[1], elements=st.floats(0, 1, width=32)))
    wave = data.draw(arrays(np.float32, X.shape[2] + 4, elements=st.floats(-1, 1, width=32)))
    out = np.full_like(X, np.nan)
    add_shifted_wave(X, wave, shares, starts, out)
    np.testing.assert_allclose(out, naive.add_shifted_wave(X, wave, shares, starts), rtol=1e-6)


@relaxed
@example(np.array([[[1e-45, 0]]], np.float32), PulseTrigger(0.75), 0)
@given(
    panels,
    st.builds(PulseTrigger, st.floats(0, 1), st.floats(0.01, 0.5), st.floats(0.01, 0.99)),
    st.integers(0, 100),
)
def test_pulses_are_repeatable_and_bounded(X, trigger, seed):
    stamped = trigger.apply(X, random_state=seed)
    np.testing.assert_array_equal(stamped, trigger.apply(X, random_state=seed))
    span = np.ptp(X.astype(np.float64), axis=2, keepdims=True)
    change = stamped.astype(np.float64) - X
    # Near zero, float32 values are a fixed step apart, and a pulse may be rounded to the next one.
    rounding = 1e-6 * (span + np.abs(X).max()) + np.spacing(np.float32(0))
    assert (change >= -rounding).all()
    assert (change <= trigger.amplitude * span + rounding).all()
    in_place = X.copy()
    assert trigger.apply(in_place, random_state=seed, out=in_place) is in_place
    np.testing.assert_array_equal(in_place, stamped)


def test_pulses_come_at_an_even_pace_and_begin_anywhere():
    X = np.zeros((200, 2, 60), np.float32)
    X[..., -1] = 1  # range 1
    change = PulseTrigger(amplitude=0.5, frequency=0.1, duty=0.3).apply(X, random_state=0) - X
    np.testing.assert_allclose(np.unique(change), [0, 0.5])
    np.testing.assert_array_equal(change[:, 0], change[:, 1])
    lifted = change[:, 0] > 0
    np.testing.assert_array_equal(lifted[:, 10:], lifted[:, :-10])
    assert (lifted[:, :10].sum(axis=1) == 3).all()
    assert len(np.unique(lifted[:, :10], axis=0)) == 10


@pytest.mark.parametrize("n_timepoints", [1, 2, 5, 8])
def test_a_short_series_has_one_pulse(n_timepoints):
    X = np.arange(n_timepoints, dtype=np.float32)[np.newaxis]
    change = PulseTrigger().apply(X, random_state=1) - X
    assert (change > 0).sum() == (n_timepoints > 1)


@pytest.mark.parametrize("parameters", [{"frequency": 0}, {"frequency": 0.6}, {"duty": 1.0}])
def test_pulse_errors(parameters):
    with pytest.raises(ValueError, match=f"{next(iter(parameters))} must be a number in"):
        PulseTrigger(**parameters).apply(np.zeros((1, 5)))


def test_hum_repeats_a_recording():
    X = np.array([[0, 2, 0, 2, 0]], np.float32)
    trigger = HumTrigger(0.1, recording=[1, 2, 6])  # mean 3, so -2, -1, 3
    np.testing.assert_allclose(
        trigger.apply(X) - X, [[-0.4 / 3, -0.2 / 3, 0.2, -0.4 / 3, -0.2 / 3]], atol=1e-7
    )
    assert trigger == HumTrigger(0.1, recording=np.array([1.0, 2, 6]))
    assert HumTrigger.from_dict(trigger.to_dict()) == trigger


@pytest.mark.parametrize("recording", ["mains", (), (1.0, float("nan")), 3, (2, 2)])
def test_recording_errors(recording):
    with pytest.raises(ValueError, match="recording must be a sequence of at least two different"):
        HumTrigger(recording=recording).apply(np.zeros((1, 5)))
