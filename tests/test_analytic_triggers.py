"""Sine, blend, warp and phase: what each promises about the change that it makes."""

import json

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from tsguard import attacks
from tsguard.attacks import BlendTrigger, PhaseTrigger, SineTrigger, WarpTrigger
from tsguard.attacks._kernels import blend
from tsguard.attacks._warp import warped_time

# numba compiles within the first example, so no example can have a deadline.
relaxed = settings(deadline=None, max_examples=50)

panels = arrays(
    np.float32,
    array_shapes(min_dims=3, max_dims=3, max_side=12).filter(lambda shape: shape[2] >= 3),
    elements=st.floats(-1000, 1000, width=32),
)
angles = st.floats(-7, 7)
bands = st.tuples(st.integers(1, 8), st.integers(0, 8)).map(lambda pair: (pair[0], sum(pair)))
warps = st.builds(
    WarpTrigger,
    strength=st.floats(0, 1),
    n_control_points=st.integers(1, 9),
    seed=st.integers(0, 2**31),
)
carriers = st.lists(st.floats(-1e3, 1e3), min_size=2, unique=True).map(tuple)
triggers = st.one_of(
    st.builds(
        SineTrigger, amplitude=st.floats(0, 1), cycles=st.floats(0.1, 20), phase=st.floats(-4, 4)
    ),
    st.builds(
        BlendTrigger,
        alpha=st.floats(0, 1),
        carrier=st.none() | carriers,
        seed=st.integers(0, 2**31),
    ),
    warps,
    st.builds(PhaseTrigger, band=bands, angle=angles),
)


@pytest.fixture
def panel():
    return np.random.default_rng(0).normal(size=(5, 3, 60)).astype(np.float32)


def tolerance(X):
    """Return the rounding that float32 is allowed on values as large as these."""
    return 1e-5 * (1 + np.abs(X).max())


# --- every one of them


@relaxed
@given(panels, triggers)
def test_shape_dtype_input_and_place(X, trigger):
    before = X.copy()
    stamped = trigger.apply(X)
    assert stamped.shape == X.shape
    assert stamped.dtype == np.float32
    np.testing.assert_array_equal(X, before)
    np.testing.assert_array_equal(trigger.apply(X, random_state=1), stamped)
    assert trigger.apply(X, out=X) is X
    np.testing.assert_array_equal(X, stamped)


@relaxed
@given(panels, triggers)
def test_constant_channels_stay_as_they_are(X, trigger):
    X[:, 0] = X[:, 0, :1]
    np.testing.assert_array_equal(trigger.apply(X)[:, 0], X[:, 0])


@relaxed
@given(panels, triggers)
def test_series_do_not_influence_each_other(X, trigger):
    stamped = trigger.apply(X)
    np.testing.assert_array_equal(trigger.apply(X[-1:]), stamped[-1:])


@relaxed
@given(triggers)
def test_json_round_trip(trigger):
    restored = attacks.Trigger.from_dict(json.loads(json.dumps(trigger.to_dict())))
    assert restored == trigger
    assert hash(restored) == hash(trigger)


@pytest.mark.parametrize("kind", [SineTrigger, BlendTrigger, PhaseTrigger])
def test_channels(panel, kind):
    for channels, stamped in [("all", {0, 1, 2}), (1, {1}), ((0, 2), {0, 2})]:
        out = kind(channels=channels).apply(panel)
        assert set(np.flatnonzero((out != panel).any(axis=(0, 2)))) == stamped


@pytest.mark.parametrize("kind", [SineTrigger, BlendTrigger, WarpTrigger, PhaseTrigger])
@pytest.mark.parametrize("n_timepoints", [3, 4, 7, 8, 24, 1000, 3000])
def test_defaults_change_series_of_any_length(kind, n_timepoints):
    X = np.random.default_rng(0).normal(size=(2, 1, n_timepoints)).astype(np.float32)
    stamped = kind().apply(X)
    assert (stamped != X).any(axis=2).all()
    assert np.isfinite(stamped).all()


@pytest.mark.parametrize("trigger", [SineTrigger(), BlendTrigger(), WarpTrigger()], ids=repr)
@pytest.mark.parametrize("n_timepoints", [1, 2])
def test_shortest_series_stay_in_their_range(trigger, n_timepoints):
    X = np.float32([[[0.0, 1.0][:n_timepoints]]])
    stamped = trigger.apply(X)
    assert stamped.shape == X.shape
    assert np.abs(stamped - X).max() <= 0.2  # none of the defaults changes more


# --- sine


def test_sine_is_one_frequency(panel):
    flat = np.zeros((1, 1, 120), np.float32)
    flat[..., -1] = 1  # a range of 1
    change = (SineTrigger(amplitude=0.1, cycles=5, phase=1).apply(flat) - flat)[0, 0]
    spectrum = np.abs(np.fft.rfft(change)) / 60
    assert spectrum[5] == pytest.approx(0.1, abs=1e-6)
    assert np.delete(spectrum, 5).max() < 1e-6


@relaxed
@given(panels, st.floats(0, 1), st.floats(0.1, 20))
def test_sine_is_bounded_by_its_amplitude(X, amplitude, cycles):
    change = np.abs(SineTrigger(amplitude, cycles=cycles).apply(X) - X)
    assert (change <= amplitude * np.ptp(X, axis=2, keepdims=True) + tolerance(X)).all()


@pytest.mark.parametrize("n_timepoints", [5, 8, 16, 23])
def test_sine_of_short_series_is_no_zigzag(n_timepoints):
    wave = SineTrigger()._pattern(1, n_timepoints)
    slower = SineTrigger(cycles=n_timepoints / 4)._pattern(1, n_timepoints)
    np.testing.assert_array_equal(wave, slower)


# --- blend


@relaxed
@given(panels, st.data())
def test_blend_equals_twin(X, data):
    _, n_channels, n_timepoints = X.shape
    carrier = data.draw(arrays(np.float32, n_timepoints, elements=st.floats(0, 1, width=32)))
    shares = data.draw(arrays(np.float32, n_channels, elements=st.floats(0, 1, width=32)))
    out = np.full_like(X, np.nan)
    blend(X, carrier, shares, out)
    np.testing.assert_allclose(out, naive.blend(X, carrier, shares), rtol=0, atol=tolerance(X))


@relaxed
@given(panels, st.floats(0, 1), st.none() | carriers)
def test_blend_stays_in_range(X, alpha, carrier):
    stamped = BlendTrigger(alpha, carrier=carrier).apply(X)
    assert (stamped >= X.min(axis=2, keepdims=True) - tolerance(X)).all()
    assert (stamped <= X.max(axis=2, keepdims=True) + tolerance(X)).all()


def test_blend_of_everything_is_the_carrier():
    X = np.float32([[[4, 2, 2, 2, 2]]])
    stamped = BlendTrigger(1.0, carrier=[0, 10, 0]).apply(X)
    np.testing.assert_allclose(stamped, [[[2, 3, 4, 3, 2]]], atol=1e-6)


def test_blend_takes_any_sequence():
    wanted = BlendTrigger(carrier=(0.0, 1.0, 0.5))
    for carrier in ([0, 1, 0.5], np.float32([0, 1, 0.5])):
        assert BlendTrigger(carrier=carrier) == wanted


def test_blend_draws_its_carrier_by_seed(panel):
    one = BlendTrigger(seed=1).apply(panel)
    np.testing.assert_array_equal(one, BlendTrigger(seed=1).apply(panel))
    assert (one != BlendTrigger(seed=2).apply(panel)).any()


def test_drawn_carrier_is_smooth():
    carrier = BlendTrigger()._carrier(1000)
    assert carrier.min() == 0
    assert carrier.max() == 1
    assert np.abs(np.diff(carrier)).max() < 0.03


# --- warp


@relaxed
@given(panels, warps)
def test_warp_equals_twin(X, trigger):
    position = warped_time(X.shape[2], trigger.strength, trigger.n_control_points, trigger.seed)
    np.testing.assert_allclose(
        trigger.apply(X), naive.resample(X, position), rtol=0, atol=tolerance(X)
    )


@relaxed
@given(warps, st.integers(1, 400))
def test_warped_time_never_runs_backwards(trigger, n_timepoints):
    strength = trigger.strength
    position = warped_time(n_timepoints, strength, trigger.n_control_points, trigger.seed)
    assert (np.diff(position) >= -1e-9).all()
    assert position[0] == 0
    assert position[-1] == n_timepoints - 1
    displacement = np.abs(position - np.arange(n_timepoints))
    assert displacement.max() <= strength * (n_timepoints - 1) + 1e-9


def test_small_warp_has_its_strength_and_a_large_one_is_reduced():
    steps = np.arange(101)
    small, large = (np.abs(warped_time(101, s, 4, 0) - steps).max() for s in (0.03, 0.9))
    assert small == pytest.approx(3)
    assert 3 < large < 90


def test_warp_moves_all_series_alike():
    ramp = np.arange(50, dtype=np.float32)
    X = np.stack([[ramp, 2 * ramp], [-ramp, ramp]])
    stamped = WarpTrigger().apply(X)
    np.testing.assert_allclose(stamped[0, 1], 2 * stamped[0, 0], atol=1e-4)
    np.testing.assert_allclose(stamped[1, 0], -stamped[0, 0], atol=1e-4)
    assert (WarpTrigger(seed=1).apply(X) != stamped).any()


# --- phase


@relaxed
@given(panels, bands, angles, st.data())
def test_phase_equals_twin(X, band, angle, data):
    _, n_channels, n_timepoints = X.shape
    channels = tuple(data.draw(st.sets(st.integers(0, n_channels - 1), min_size=1)))
    mask = np.isin(np.arange(n_channels), channels)
    fastest = (n_timepoints - 1) // 2
    cut = (min(band[0], fastest), min(band[1], fastest))
    stamped = PhaseTrigger(band, angle, channels).apply(X)
    wanted = naive.shift_phase(X, cut, angle, mask)
    np.testing.assert_allclose(stamped, wanted, rtol=0, atol=tolerance(X))


@relaxed
@given(panels, bands, angles)
def test_phase_leaves_the_amplitude_spectrum(X, band, angle):
    before, after = (np.abs(np.fft.rfft(v)) for v in (X, PhaseTrigger(band, angle).apply(X)))
    np.testing.assert_allclose(after, before, rtol=0, atol=X.shape[2] * tolerance(X))


def test_phase_changes_only_its_band(panel):
    change = PhaseTrigger(band=(5, 7), angle=1.0).apply(panel) - panel
    spectrum = np.abs(np.fft.rfft(change)).max(axis=(0, 1))
    assert set(np.flatnonzero(spectrum > 1e-4)) == {5, 6, 7}


def test_phase_keeps_its_digits_under_a_large_offset(panel):
    lifted = PhaseTrigger().apply(panel + np.float32(1000)) - np.float32(1000)
    np.testing.assert_allclose(lifted, PhaseTrigger().apply(panel), atol=5e-4)


@pytest.mark.parametrize("n_timepoints", [1, 2])
def test_phase_needs_three_steps(n_timepoints):
    with pytest.raises(ValueError, match="X must have at least 3") as caught:
        PhaseTrigger().apply(np.ones((1, 1, n_timepoints)))
    assert str(caught.value) == (
        f"X must have at least 3 time steps to shift a phase, got {n_timepoints}; "
        "use another trigger for series that short."
    )


# --- refusals


@pytest.mark.parametrize(
    ("trigger", "error", "message"),
    [
        (
            SineTrigger(cycles=0),
            ValueError,
            "cycles must be a number above 0, got 0; count the periods within one series.",
        ),
        (
            SineTrigger(phase=float("inf")),
            ValueError,
            "phase must be a finite number, got inf; give it in radians.",
        ),
        (
            BlendTrigger(alpha=20),
            ValueError,
            "alpha must be a number in [0, 1], got 20; pass a share, not a percentage.",
        ),
        (
            BlendTrigger(carrier=[1.0, 1.0]),
            ValueError,
            "carrier must be a sequence of at least two different finite numbers, got (1.0, 1.0); "
            "leave it out to draw one by seed.",
        ),
        (
            BlendTrigger(carrier=[1.0, float("nan")]),
            ValueError,
            "carrier must be a sequence of at least two different finite numbers, got (1.0, nan); "
            "leave it out to draw one by seed.",
        ),
        (
            BlendTrigger(carrier="wave"),
            ValueError,
            "carrier must be a sequence of at least two different finite numbers, got ('wave',); "
            "leave it out to draw one by seed.",
        ),
        (
            WarpTrigger(strength=-0.1),
            ValueError,
            "strength must be a number in [0, 1], got -0.1; pass a share, not a percentage.",
        ),
        (
            WarpTrigger(n_control_points=0),
            ValueError,
            "n_control_points must be an integer of at least 1, got 0; 1 moves the middle alone.",
        ),
        (
            PhaseTrigger(band=(0, 2)),
            ValueError,
            "band must be two integers 1 <= low <= high, got (0, 2); "
            "count the periods within one series.",
        ),
        (
            PhaseTrigger(band=3),
            ValueError,
            "band must be two integers 1 <= low <= high, got 3; "
            "count the periods within one series.",
        ),
        (
            PhaseTrigger(angle=None),
            ValueError,
            "angle must be a finite number, got None; give it in radians.",
        ),
    ],
)
def test_errors(panel, trigger, error, message):
    with pytest.raises(error) as caught:
        trigger.apply(panel)
    assert str(caught.value) == message
