"""plot_trigger: what the curves are, and what it refuses."""

import builtins

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from tsguard import attacks, plot_trigger


@pytest.fixture
def panel():
    return np.random.default_rng(0).normal(size=(4, 3, 60)).astype(np.float32)


def curves(axes):
    return [line.get_ydata() for line in axes.lines]


def test_curves_are_before_after_change_and_spectra(panel):
    trigger = attacks.HumTrigger(channels=1)
    series, change, spectra = plot_trigger(trigger, panel, sample=2).axes
    before, after = panel[2, 1].astype(float), trigger.apply(panel)[2, 1].astype(float)
    np.testing.assert_array_equal(curves(series), [before, after])
    np.testing.assert_allclose(curves(change)[1], 100 * (after - before) / np.ptp(before))
    expected = [np.abs(np.fft.rfft(one))[1:] / 30 for one in (before, after)]
    np.testing.assert_allclose(curves(spectra), expected)


def test_title_names_trigger_series_and_channel(panel):
    figure = plot_trigger(attacks.PatchTrigger(channels=2), panel, sample=1)
    assert figure.get_suptitle() == "patch trigger on series 1, channel 2 (of 0 to 2)"
    assert plot_trigger("noise", panel[:, 0]).get_suptitle() == "noise trigger on series 0"


def test_input_stays_as_it_is_and_a_random_trigger_is_drawn_the_same(panel):
    before = panel.copy()
    first, second = (plot_trigger("pulse", panel) for _ in range(2))
    np.testing.assert_array_equal(panel, before)
    np.testing.assert_array_equal(curves(first.axes[0]), curves(second.axes[0]))


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 1, 3)])
def test_short_and_constant_series_can_be_drawn(shape, tmp_path):
    plot_trigger("patch", np.ones(shape)).savefig(tmp_path / "constant.png")
    plot_trigger("patch", np.arange(np.prod(shape)).reshape(shape)).savefig(tmp_path / "short.png")


@pytest.mark.parametrize("sample", [4, -1, 1.0, True])
def test_sample_must_be_there(panel, sample):
    with pytest.raises(ValueError, match="sample must be an integer from 0 to 3, got") as caught:
        plot_trigger("patch", panel, sample=sample)
    assert repr(sample) in str(caught.value)


def test_a_trigger_that_must_be_learned_is_refused(panel):
    with pytest.raises(NotFittedError, match="MorphTrigger must be learned"):
        plot_trigger("morph", panel)


def test_without_matplotlib_it_says_what_to_install(panel, monkeypatch):
    original = builtins.__import__

    def without_matplotlib(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_matplotlib)
    with pytest.raises(ImportError, match=r"run `pip install tsguard\[plot\]`"):
        plot_trigger("patch", panel)
