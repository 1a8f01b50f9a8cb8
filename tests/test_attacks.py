"""Triggers: what they change, what they leave alone, how they are named and saved."""

import json
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from tsguard import attacks
from tsguard.attacks import HumTrigger, NoiseTrigger, PatchTrigger
from tsguard.attacks._hum import hum_wave
from tsguard.attacks._kernels import add_pattern, add_shifted_wave, alternate_extremes, run
from tsguard.attacks._patch import patch_window
from tsguard.attacks._weights import Weights

# numba compiles within the first example, so no example can have a deadline.
relaxed = settings(deadline=None, max_examples=50)

panels = arrays(
    np.float32,
    array_shapes(min_dims=3, max_dims=3, max_side=9).filter(lambda shape: shape[2] >= 2),
    elements=st.floats(-1e6, 1e6, width=32),
)
triggers = st.one_of(
    st.builds(
        PatchTrigger,
        position=st.sampled_from(["start", "middle", "end"]),
        length=st.floats(0.01, 1.0),
    ),
    st.builds(
        HumTrigger,
        amplitude=st.floats(0, 1),
        frequency=st.floats(0.01, 0.49),
        harmonics=st.integers(1, 4),
        phase=st.floats(-4, 4),
    ),
    st.builds(NoiseTrigger, amplitude=st.floats(0, 1), seed=st.integers(0, 2**31)),
)


@pytest.fixture
def panel():
    return np.random.default_rng(0).normal(size=(4, 3, 60)).astype(np.float32)


# --- every trigger


@relaxed
@given(panels, triggers)
def test_keeps_shape_dtype_and_input(X, trigger):
    before = X.copy()
    stamped = trigger.apply(X, random_state=0)
    assert stamped.shape == X.shape
    assert stamped.dtype == np.float32
    assert not np.shares_memory(stamped, X)
    np.testing.assert_array_equal(X, before)
    np.testing.assert_array_equal(stamped, trigger.apply(X, random_state=0))


@relaxed
@given(panels, triggers)
def test_out_takes_the_result_and_may_be_the_input(X, trigger):
    stamped = trigger.apply(X)
    out = np.full_like(X, np.nan)
    assert trigger.apply(X, out=out) is out
    np.testing.assert_array_equal(out, stamped)
    assert trigger.apply(X, out=X) is X
    np.testing.assert_array_equal(X, stamped)


def test_out_of_flat_input_is_flat(panel):
    flat = panel[:, 0].copy()
    out = np.empty_like(flat)
    assert NoiseTrigger().apply(flat, out=out) is out
    np.testing.assert_array_equal(out, NoiseTrigger().apply(flat))


@pytest.mark.parametrize(
    ("out", "got"),
    [
        (np.empty((4, 3, 60)), "float64 of shape (4, 3, 60)"),
        (np.empty((4, 3, 59), np.float32), "float32 of shape (4, 3, 59)"),
        (np.empty((3, 4, 60), np.float32).transpose(1, 0, 2), "float32 of shape (4, 3, 60)"),
        (np.broadcast_to(np.float32(0), (4, 3, 60)), "float32 of shape (4, 3, 60)"),
        ([], "list"),
    ],
    ids=["dtype", "shape", "order", "read-only", "type"],
)
def test_out_that_cannot_hold_the_result_is_refused(panel, out, got):
    with pytest.raises(ValueError, match="out must be") as caught:
        PatchTrigger().apply(panel, out=out)
    assert str(caught.value) == (
        "out must be a writable C-contiguous float32 array of shape (4, 3, 60), "
        f"got {got}; leave it out to get a new array."
    )


def test_out_that_overlaps_the_input_is_refused(panel):
    before = panel.copy()
    with pytest.raises(ValueError, match="overlaps X; copy it"):
        PatchTrigger().apply(panel[:-1], out=panel[1:])
    np.testing.assert_array_equal(panel, before)


@pytest.mark.parametrize("kind", ["patch", "hum", "noise", "sine", "blend", "warp", "phase"])
def test_many_series_are_stamped_as_few_are(kind):
    # Above 4 MiB every core takes a share; below, one thread does it all.
    X = np.random.default_rng(0).normal(size=(2001, 4, 140)).astype(np.float32)
    trigger = attacks.get_trigger(kind)
    pieces = [trigger.apply(piece) for piece in np.array_split(X, 5)]
    np.testing.assert_array_equal(trigger.apply(X), np.concatenate(pieces))


def test_run_gives_each_thread_its_share_of_the_rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2001, 4, 140)).astype(np.float32)
    wave, starts = rng.normal(size=160).astype(np.float32), rng.integers(20, size=len(X))
    once, shared = np.empty_like(X), np.empty_like(X)
    add_shifted_wave(X, wave, np.ones(4, bool), starts, once)
    run(add_shifted_wave, X, shared, wave, np.ones(4, bool), rows=starts)
    np.testing.assert_array_equal(shared, once)


@relaxed
@given(panels, triggers)
def test_constant_channels_stay_as_they_are(X, trigger):
    X[:, 0] = X[:, 0, :1]
    np.testing.assert_array_equal(trigger.apply(X)[:, 0], X[:, 0])


@relaxed
@given(panels, triggers.filter(lambda trigger: trigger.kind != "patch"))
def test_change_is_bounded_by_amplitude(X, trigger):
    change = np.abs(trigger.apply(X).astype(np.float64) - X)
    span = np.ptp(X.astype(np.float64), axis=2, keepdims=True)
    rounding = 1e-6 * np.abs(X).max() + np.spacing(np.float32(0))  # the step near zero
    assert (change <= trigger.amplitude * span + 1e-6 * span + rounding).all()


@pytest.mark.parametrize("trigger", [PatchTrigger(), HumTrigger(), NoiseTrigger()], ids=repr)
def test_defaults_change_series_of_any_length(trigger):
    for n_timepoints in (2, 3, 8, 24, 1000):
        X = np.tile(np.float32([0, 1, 0.5]), n_timepoints)[:n_timepoints].reshape(1, 1, -1)
        # Reversed too: a patch over values that are the extremes already would change nothing.
        both = np.concatenate([X, X[..., ::-1]])
        assert (trigger.apply(both) != both).any()


@pytest.mark.parametrize("trigger", [PatchTrigger(), HumTrigger(), NoiseTrigger()], ids=repr)
def test_input_forms(trigger, panel):
    univariate = panel[:, 0]
    np.testing.assert_array_equal(
        trigger.apply(univariate), trigger.apply(univariate[:, np.newaxis])[:, 0]
    )
    np.testing.assert_array_equal(
        trigger.apply(panel.transpose(2, 1, 0)),
        trigger.apply(np.ascontiguousarray(panel.transpose(2, 1, 0))),
    )
    assert trigger.apply(univariate.astype(np.float64)).shape == univariate.shape
    assert trigger.apply(list(panel)).shape == panel.shape
    assert trigger.apply(panel[:1]).shape == (1, 3, 60)
    unequal = np.empty(2, dtype=object)
    unequal[:] = [panel[0, :, :20], panel[1]]
    assert trigger.apply(unequal).shape == (2, 3, 60)


def test_refuses_nan(panel):
    panel[1, 0, 2] = np.nan
    with pytest.raises(ValueError, match="X"):
        PatchTrigger().apply(panel)


# --- kernels against their plain twins


@relaxed
@given(panels, st.data())
def test_alternate_extremes_equals_twin(X, data):
    _, n_channels, n_timepoints = X.shape
    start = data.draw(st.integers(0, n_timepoints))
    stop = data.draw(st.integers(start, n_timepoints))
    channels = data.draw(arrays(bool, n_channels))
    out = np.full_like(X, np.nan)
    alternate_extremes(X, start, stop, channels, out)
    np.testing.assert_array_equal(out, naive.alternate_extremes(X, start, stop, channels))


@relaxed
@given(panels, st.data())
def test_add_pattern_equals_twin(X, data):
    pattern = data.draw(arrays(np.float32, X.shape[1:], elements=st.floats(-1, 1, width=32)))
    out = np.full_like(X, np.nan)
    add_pattern(X, pattern, out)
    np.testing.assert_array_equal(out, naive.add_pattern(X, pattern))


# --- patch


@relaxed
@given(panels, st.floats(0.01, 1.0), st.sampled_from(["start", "middle", "end"]))
def test_patch_changes_only_its_window(X, length, position):
    start, stop = patch_window(X.shape[2], position, length)
    stamped = PatchTrigger(position, length).apply(X)
    outside = np.r_[0:start, stop : X.shape[2]]
    np.testing.assert_array_equal(stamped[..., outside], X[..., outside])
    assert stop - start >= 2
    np.testing.assert_array_equal(stamped[..., start], X.max(axis=2))
    np.testing.assert_array_equal(stamped[..., start + 1], X.min(axis=2))


@pytest.mark.parametrize(
    ("n_timepoints", "position", "length", "window"),
    [
        (140, "start", 0.05, (0, 7)),
        (8, "start", 0.05, (0, 2)),
        (2, "end", 0.05, (0, 2)),
        (1, "start", 0.05, (0, 1)),
        (10, "middle", 4, (3, 7)),
        (10, "end", 4, (6, 10)),
        (10, 5, 4, (5, 9)),
        (10, np.int64(6), np.int64(4), (6, 10)),
        (10, "start", 1.0, (0, 10)),
    ],
)
def test_patch_window(n_timepoints, position, length, window):
    assert patch_window(n_timepoints, position, length) == window


def test_patch_channels(panel):
    for channels, stamped in [("all", {0, 1, 2}), (1, {1}), ((0, 2), {0, 2})]:
        out = PatchTrigger(channels=channels).apply(panel)
        assert set(np.flatnonzero((out != panel).any(axis=(0, 2)))) == stamped


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        (
            {"position": "strat"},
            ValueError,
            "position must be one of ['end', 'middle', 'start'], got 'strat'; "
            "did you mean 'start'?",
        ),
        (
            {"position": 58, "length": 4},
            ValueError,
            "position must be a time step from 0 to 56 for a patch of 4 steps in series of length "
            "60, got 58; move the patch or shorten it.",
        ),
        (
            {"position": 0.5},
            TypeError,
            "position must be 'start', 'middle', 'end' or an integer, got float; "
            "give one of these.",
        ),
        (
            {"length": 61},
            ValueError,
            "length must be from 2 to the 60 time steps of the series, got 61; "
            "give a share of the series such as 0.05 to fit any length.",
        ),
        (
            {"length": 1.5},
            ValueError,
            "length must be a share in (0, 1], got 1.5; give an int for a number of steps.",
        ),
        (
            {"length": "4"},
            TypeError,
            "length must be a number, got str; "
            "give a share of the series such as 0.05 or a number of steps such as 4.",
        ),
        (
            {"channels": "first"},
            ValueError,
            "channels must be one of ['all'], got 'first'; choose one of these.",
        ),
        (
            {"channels": (0, 3)},
            ValueError,
            "channels must be integers from 0 to 2, got 3; "
            "name channels that the series have, or 'all'.",
        ),
        (
            {"channels": ()},
            ValueError,
            "channels must name at least one channel, got (); name some, or 'all'.",
        ),
        (
            {"channels": 0.5},
            ValueError,
            "channels must be integers from 0 to 2, got 0.5; "
            "name channels that the series have, or 'all'.",
        ),
    ],
)
def test_patch_errors(panel, parameters, error, message):
    with pytest.raises(error) as caught:
        PatchTrigger(**parameters).apply(panel)
    assert str(caught.value) == message


# --- hum and noise


@pytest.mark.parametrize("n_timepoints", [8, 9, 24, 1000])
def test_hum_wave_peaks_at_one_and_is_no_zigzag(n_timepoints):
    trigger = HumTrigger()
    wave = hum_wave(n_timepoints, trigger.frequency, trigger.harmonics, trigger.phase)
    assert np.abs(wave).max() == 1
    # A hum goes on in one direction for a while; at the Nyquist rate every step would turn.
    signs = np.sign(wave[np.abs(wave) > 1e-9])
    assert np.mean(signs[1:] != signs[:-1]) < 0.4


def test_hum_leaves_out_harmonics_the_sampling_cannot_show():
    np.testing.assert_array_equal(hum_wave(50, 0.2, 5, 0.0), hum_wave(50, 0.2, 1, 0.0))
    assert not np.array_equal(hum_wave(50, 0.02, 5, 0.0), hum_wave(50, 0.02, 1, 0.0))


def test_hum_of_one_time_step_is_silent():
    np.testing.assert_array_equal(hum_wave(1, 0.1, 2, 0.0), [0.0])


def test_hum_and_noise_are_the_same_for_every_series():
    X = np.zeros((3, 2, 20), dtype=np.float32)
    X[..., -1] = 1  # range 1 everywhere
    for trigger in (HumTrigger(), NoiseTrigger()):
        change = trigger.apply(X) - X
        np.testing.assert_array_equal(change[1:, :, :-1], change[:-1, :, :-1])


@pytest.mark.parametrize("kind", [HumTrigger, NoiseTrigger])
def test_pattern_channels(panel, kind):
    everywhere = kind().apply(panel)
    for channels, stamped in [("all", [0, 1, 2]), (1, [1]), ((0, 2), [0, 2])]:
        out = kind(channels=channels).apply(panel)
        left_alone = [c for c in range(3) if c not in stamped]
        np.testing.assert_array_equal(out[:, stamped], everywhere[:, stamped])
        np.testing.assert_array_equal(out[:, left_alone], panel[:, left_alone])
    with pytest.raises(ValueError, match="channels must be integers from 0 to 2, got 3"):
        kind(channels=3).apply(panel)


def test_noise_seed(panel):
    one, other = NoiseTrigger(seed=1), NoiseTrigger(seed=2)
    np.testing.assert_array_equal(one.apply(panel), NoiseTrigger(seed=1).apply(panel))
    assert (one.apply(panel) != other.apply(panel)).any()
    np.testing.assert_array_equal(one.apply(panel, random_state=1), one.apply(panel, 2))


@pytest.mark.parametrize(
    ("trigger", "error", "message"),
    [
        (
            HumTrigger(frequency=50),
            ValueError,
            "frequency must be between 0 and 0.5 cycles per time step, got 50; "
            "divide the frequency in Hz by the sampling rate in Hz.",
        ),
        (
            HumTrigger(harmonics=0),
            ValueError,
            "harmonics must be an integer of at least 1, got 0; 1 is a pure sine.",
        ),
        (
            HumTrigger(phase=float("nan")),
            ValueError,
            "phase must be a finite number, got nan; give it in radians.",
        ),
        (
            NoiseTrigger(seed=None),
            TypeError,
            "seed must be an integer, got NoneType; the pattern has to come again at test time.",
        ),
    ],
)
def test_hum_and_noise_errors(panel, trigger, error, message):
    with pytest.raises(error) as caught:
        trigger.apply(panel)
    assert str(caught.value) == message


@pytest.mark.parametrize("kind", [HumTrigger, NoiseTrigger])
def test_amplitude_is_a_fraction(panel, kind):
    with pytest.raises(ValueError, match="amplitude must be"):
        kind(amplitude=1.5).apply(panel)


# --- names and JSON


def test_list_triggers():
    assert set(attacks.list_triggers()) >= {"hum", "noise", "patch"}
    assert attacks.list_triggers() == sorted(attacks.list_triggers())


def test_public_names_are_sorted():
    assert attacks.__all__ == sorted(attacks.__all__)
    assert all(hasattr(attacks, name) for name in attacks.__all__)


@relaxed
@given(triggers)
def test_json_round_trip(trigger):
    restored = attacks.Trigger.from_dict(json.loads(json.dumps(trigger.to_dict())))
    assert restored == trigger
    assert type(restored) is type(trigger)


def test_json_round_trip_of_numpy_values_and_tuples():
    trigger = PatchTrigger(position=np.int64(3), channels=(np.int64(0), 2))
    assert trigger.to_dict() == {
        "kind": "patch",
        "position": 3,
        "length": 0.05,
        "channels": [0, 2],
    }
    assert attacks.Trigger.from_dict(json.loads(json.dumps(trigger.to_dict()))) == trigger


@pytest.mark.parametrize("kind", [PatchTrigger, HumTrigger, attacks.BlendTrigger])
def test_lists_and_arrays_are_kept_as_tuples(kind):
    trigger = kind(channels=[0, 2])
    assert trigger == kind(channels=(0, 2)) == kind(channels=np.array([0, 2]))
    assert hash(trigger) == hash(kind(channels=(0, 2)))
    assert attacks.Trigger.from_dict(json.loads(json.dumps(trigger.to_dict()))) == trigger


def test_a_file_that_cannot_be_written_leaves_nothing_behind(tmp_path):
    (tmp_path / "trigger.json").mkdir()
    with pytest.raises(OSError, match="which is a directory"):
        PatchTrigger().save(tmp_path / "trigger.json")
    assert [path.name for path in tmp_path.iterdir()] == ["trigger.json"]


@relaxed
@given(triggers)
def test_file_round_trip(tmp_path_factory, trigger):
    path = tmp_path_factory.mktemp("trigger") / "trigger.json"
    trigger.save(path)
    assert attacks.Trigger.load(str(path)) == trigger


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (b"", ValueError, "must be a trigger file written by Trigger.save, got no JSON"),
        (b'{"kind": "noi', ValueError, "must be a trigger file written by Trigger.save"),
        (b"\xff\xfe\x00", ValueError, "must be a trigger file written by Trigger.save"),
        (b"[1, 2]", ValueError, "must be a dict with its 'kind', got list"),
        (b'{"seed": 1}', ValueError, "must be a dict with its 'kind', got dict"),
        (b'{"kind": 7}', ValueError, "must be a dict with its 'kind', got dict"),
        (b'{"kind": "nose"}', ValueError, "did you mean 'noise'"),
        (b'{"kind": "noise", "sed": 1}', TypeError, "must be among .* got 'sed'"),
        (b'{"kind": "noise", "seed": {"a": 1}}', ValueError, "got a damaged entry 'a'"),
        (b'{"kind": "morph", "weights": "x", "shape": [1, 9]}', ValueError, "what fit .* got str"),
        (b"[" * 100_000, ValueError, "must be a trigger file written by Trigger.save"),
    ],
)
def test_damaged_files_are_refused(tmp_path, content, error, message):
    path = tmp_path / "trigger.json"
    path.write_bytes(content)
    with pytest.raises(error, match=message):
        attacks.Trigger.load(path)


def test_get_trigger_takes_parameters():
    assert attacks.get_trigger("noise", seed=3) == NoiseTrigger(seed=3)


def test_get_trigger_errors():
    names = attacks.list_triggers()
    with pytest.raises(ValueError, match="trigger must be one of") as caught:
        attacks.get_trigger("path")
    assert str(caught.value) == (
        f"trigger must be one of {names}, got 'path'; did you mean 'patch'?"
    )
    with pytest.raises(TypeError) as caught:
        attacks.get_trigger("noise", sed=3)
    assert str(caught.value) == (
        "parameters of trigger 'noise' must be among ['amplitude', 'channels', 'seed'], got 'sed'; "
        "correct or remove it."
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only where processes can fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_stamps_on_all_cores_too():
    big = np.random.default_rng(0).normal(size=(4000, 1, 300)).astype(np.float32)
    assert big.nbytes > 2**22  # enough for several threads
    here = NoiseTrigger().apply(big)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
        there = pool.submit(NoiseTrigger().apply, big).result(timeout=60)
    np.testing.assert_array_equal(here, there)


def test_a_kind_belongs_to_one_class():
    with pytest.raises(ValueError, match="kind of a trigger must be its own, got 'patch', which"):

        class Other(PatchTrigger):
            kind = "patch"

    assert type(attacks.get_trigger("patch")) is PatchTrigger


@pytest.mark.parametrize(
    ("kind", "weights"),
    [
        ("gradient_sign", {"pattern": np.zeros((1, 9))}),
        ("gradient_sign", {}),
        ("morph", {"prototypes": np.zeros((2, 1, 10)), "belongs": [0], "wanted": [0, 0]}),
        ("generator", {"layers.0.weight": np.zeros((2, 1, 9))}),
    ],
)
def test_learned_weights_of_another_shape_are_refused(kind, weights):
    trigger = attacks.get_trigger(kind, weights=Weights(weights), shape=(1, 10))
    with pytest.raises(ValueError, match="weights of a trigger must hold"):
        trigger.apply(np.zeros((2, 10)))
