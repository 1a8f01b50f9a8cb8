"""Backbones: tsai's own networks, plus a trap head that changes nothing."""

import importlib
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from tsguard._random import torch_globals_from
from tsguard.models import BACKBONES, TrapHead, build_network
from tsguard.models._tsai import find_tsai_class

N, C, T, K = 4, 3, 20, 5


@pytest.fixture
def batch():
    return torch.randn(N, C, T, generator=torch.Generator().manual_seed(0))


class Plain(nn.Module):
    """A network of a user's own."""

    def __init__(self, n_outputs=K):
        super().__init__()
        self.stem = nn.Conv1d(C, 7, 3, padding=1)
        self.deep = nn.Sequential(nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten())
        self.out = nn.Linear(7, n_outputs)

    def forward(self, x):
        return self.out(self.deep(self.stem(x)))


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_main_path_equals_the_plain_tsai_model(name, batch):
    """Same seed, same weights: attaching the trap head leaves the main path bit for bit."""
    network = build_network(name, batch, K, seed=3).eval()
    with torch_globals_from(3, "init"):
        plain = find_tsai_class(BACKBONES[name].tsai_name)(C, K).eval()
    assert torch.equal(network(batch), plain(batch))
    main, trap = network.both(batch)
    assert torch.equal(main, plain(batch))
    assert main.shape == trap.shape == (N, K)


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_every_stage_can_take_the_trap_head(name, batch):
    for index, stage in enumerate(BACKBONES[name].stages):
        network = build_network(name, batch, K, attach_at=index)
        assert network.attach_at == stage
        assert network.both(batch)[1].shape == (N, K)


@pytest.mark.parametrize("name", sorted(BACKBONES))
@pytest.mark.parametrize("shape", [(2, 1, 2), (2, 1, 8), (2, 24, 51)])
def test_short_and_wide_series_pass(name, shape):
    network = build_network(name, torch.zeros(shape), 2)
    assert network(torch.zeros(shape)).shape == (2, 2)


@pytest.mark.parametrize("name", ["XceptionTime", "LSTM_FCN", "TST"])
def test_other_tsai_models(name, batch):
    network = build_network(f"tsai:{name}", batch, K)
    main, trap = network.both(batch)
    assert main.shape == trap.shape == (N, K)


def test_a_module_of_ones_own_is_copied_and_attaches_where_told(batch):
    module = Plain()
    network = build_network(module, batch, K, attach_at="deep.0")
    assert network.attach_at == "deep.0"
    assert network.backbone is not module
    assert torch.equal(network.eval()(batch), module.eval()(batch))
    assert build_network(module, batch, K).attach_at == "stem"


def test_weights_follow_the_seed_and_spare_the_global_generator(batch):
    state = torch.get_rng_state()
    first, again, other = (build_network("fcn", batch, K, seed=s)(batch) for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)


def test_networks_can_be_pickled_after_use(batch):
    network = build_network("fcn", batch, K).eval()
    expected = network.both(batch)
    copy = pickle.loads(pickle.dumps(network))
    assert all(torch.equal(a, b) for a, b in zip(copy.both(batch), expected, strict=True))


def test_trap_head_sees_mean_and_maximum():
    head = TrapHead(1, 1)
    nn.init.ones_(head.linear.weight)
    nn.init.zeros_(head.linear.bias)
    assert head(torch.tensor([[[1.0, 2.0, 6.0]]])).item() == pytest.approx(3 + 6)
    assert head(torch.tensor([[2.0]])).item() == pytest.approx(2 + 2)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"backbone": "inceptiontim"},
            ValueError,
            r"backbone must be one of .* did you mean 'inceptiontime'\?",
        ),
        ({"backbone": 3}, TypeError, "backbone must be a name or a torch module, got int"),
        (
            {"backbone": "tsai:FCNN"},
            ValueError,
            "backbone must name a model of tsai .* got 'FCNN'; near matches: .*FCN",
        ),
        (
            {"backbone": Plain(7)},
            ValueError,
            r"must put out logits .* \(4, 5\), got shape \(4, 7\)",
        ),
        (
            {"attach_at": 3},
            ValueError,
            "attach_at must be a stage index from 0 to 2, got 3; the stages are convblock1",
        ),
        (
            {"attach_at": "nowhere"},
            ValueError,
            "attach_at must be .* got 'nowhere'; the stages are convblock1",
        ),
    ],
)
def test_bad_arguments(arguments, error, message, batch):
    with pytest.raises(error, match=message):
        build_network(**{"backbone": "fcn", "sample": batch, "n_classes": K, **arguments})


class Wrapped(nn.Module):
    """A network in a network, behind a layer that learns nothing."""

    def __init__(self, inner):
        super().__init__()
        self.net = inner
        self.drop = nn.Dropout()

    def forward(self, x):
        return self.drop(self.net(x))


def test_a_wrapper_is_no_stage(batch):
    layers = [nn.Identity(), nn.Conv1d(C, 5, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(K)]
    network = build_network(Wrapped(nn.Sequential(*layers)), batch, K)
    assert network.attach_at == "net.1"
    network = build_network("tsai:FCNPlus", batch, K)
    assert network.attach_at == "backbone.convblock1"


def test_an_index_of_numpy_is_an_index(batch):
    assert build_network("fcn", batch, K, attach_at=np.int64(1)).attach_at == "convblock2"


def test_missing_tsai_gives_the_install_line(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError("No module named 'tsai'", name="tsai")

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(ImportError, match="run `pip install tsai`"):
        find_tsai_class("FCN")


def test_first_use_of_tsai_leaves_the_global_generators_alone():
    code = """
import random, numpy as np
from tsguard.models._tsai import find_tsai_class
random.seed(1); np.random.seed(1)
expected = random.Random(1).random(), np.random.RandomState(1).random_sample()
find_tsai_class("FCN")
assert (random.random(), np.random.random_sample()) == expected
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
