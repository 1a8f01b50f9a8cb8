"""The engine: one loop, reproducible, honest about what it saw."""

import numpy as np
import pytest
import torch
from torch import nn

from tsguard._engine import Engine, Phase, Records, Targets, predict_logits
from tsguard._exceptions import TrainingDivergedError
from tsguard._objectives import single_head, two_heads
from tsguard._random import torch_globals_from
from tsguard.models import TwoHeadNetwork

CPU = torch.device("cpu")
N, F, K = 23, 6, 3


@pytest.fixture
def problem():
    """Inputs of a linearly separable problem; nothing about them is a time series."""
    rng = np.random.default_rng(0)
    codes = np.arange(N) % K
    inputs = rng.normal(size=(N, F)).astype(np.float32)
    inputs[np.arange(N), codes] += 3
    return torch.from_numpy(inputs), codes


def make_network(seed=0):
    with torch_globals_from(seed, "init"):
        backbone = nn.Sequential(nn.Linear(F, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, K))
        return TwoHeadNetwork(backbone, "2", 8, K)


def make_engine(objective=two_heads, **changes):
    settings = {"batch_size": 5, "learning_rate": 0.05, "weight_decay": 0.0, "seed": 0}
    return Engine(objective, device=CPU, **{**settings, **changes})


def train(problem, phases, objective=two_heads, targets=None, **changes):
    inputs, codes = problem
    network = make_network()
    targets = targets or Targets.from_labels(codes, CPU)
    records = make_engine(objective, **changes).run(network, inputs, targets, phases)
    return network, records


def test_training_learns_and_leaves_the_network_in_evaluation_mode(problem):
    network, records = train(problem, [Phase("all", 30)])
    assert not network.training
    assert (predict_logits(network, problem[0], "cpu").argmax(1) == problem[1]).all()
    assert records.epochs[-1]["loss"] < records.epochs[0]["loss"] / 2


def test_records_hold_one_row_per_epoch_of_every_sample(problem):
    _, records = train(problem, [Phase("first", 2), Phase("second", 3)])
    names = {"main_loss", "trap_loss", "main_prediction", "main_confidence", "isolated", "denied"}
    assert set(records.samples) == names
    assert all(records.stack(name).shape == (5, N) for name in names)
    assert [row["phase"] for row in records.epochs] == ["first"] * 2 + ["second"] * 3


def test_recorded_losses_are_those_of_the_training_step(problem):
    """With a frozen network and one batch, the record equals a hand-made cross-entropy."""
    inputs, codes = problem
    network = make_network()
    engine = make_engine(batch_size=N, learning_rate=1e-12)
    records = engine.run(network, inputs, Targets.from_labels(codes, CPU), [Phase("all", 1)])
    network.train()
    logits = network(inputs)
    expected = nn.functional.cross_entropy(logits, torch.as_tensor(codes), reduction="none")
    np.testing.assert_allclose(records.samples["main_loss"][0], expected.detach(), rtol=1e-4)


def test_every_sample_is_visited_once_an_epoch(problem):
    seen = []

    def spy(network, batch, indices, targets):
        seen.append(indices)
        return single_head(network, batch, indices, targets)

    train(problem, [Phase("all", 2)], objective=spy)
    first, second = torch.cat(seen[:4]), torch.cat(seen[4:])
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(N))
    assert first.tolist() != second.tolist()


@pytest.mark.parametrize("batch_size", [1, 2, 5, 22, 23, 1000])
def test_no_batch_holds_a_single_sample(problem, batch_size):
    sizes = []

    def spy(network, batch, indices, targets):
        sizes.append(len(batch))
        return single_head(network, batch, indices, targets)

    train(problem, [Phase("all", 1)], objective=spy, batch_size=batch_size)
    assert sum(sizes) == N
    assert min(sizes) >= 2


def test_same_seed_same_weights_and_another_seed_others(problem):
    def weights(seed):
        network, _ = train(problem, [Phase("all", 3)], seed=seed)
        return torch.cat([p.detach().flatten() for p in network.parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_global_generators_are_left_alone(problem):
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    train(problem, [Phase("all", 2)])
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert (np.random.get_state()[1] == numpy_state).all()  # noqa: NPY002


def test_labels_and_weights_can_change_between_epochs(problem):
    inputs, codes = problem
    swapped = (codes + 1) % K
    calls = []

    def swap(targets, records):
        calls.append(len(records.epochs))
        targets.assign(main=swapped)

    network, records = train(problem, [Phase("given", 2), Phase("swapped", 40, swap)])
    assert calls == list(range(2, 42))
    assert (predict_logits(network, inputs, "cpu").argmax(1) == swapped).all()
    # Losses are recorded against the given labels, whatever the head learns.
    assert records.samples["main_loss"][-1].mean() > 1


def test_samples_of_weight_zero_leave_no_trace(problem):
    inputs, codes = problem
    ignored = np.arange(N) < 5

    def outcome(labels):
        targets = Targets.from_labels(labels, CPU)
        weight = (~ignored).astype(np.float32)
        targets.assign(main_weight=weight, trap_weight=weight)
        network, _ = train((inputs, labels), [Phase("all", 3)], targets=targets)
        return predict_logits(network, inputs, "cpu")

    other = np.where(ignored, (codes + 1) % K, codes)
    np.testing.assert_array_equal(outcome(codes), outcome(other))


def test_a_denied_label_is_unlearned_and_nothing_else_is_taught(problem):
    wrong = (problem[1] + 1) % K
    targets = Targets.from_labels(wrong, CPU)
    targets.assign(main_weight=np.zeros(N, np.float32), denied=np.ones(N, np.float32))
    network, records = train(problem, [Phase("all", 40)], targets=targets)
    assert records.stack("main_loss")[-1].min() > records.stack("main_loss")[0].mean()
    probabilities = np.exp(predict_logits(network, problem[0], "cpu"))
    assert (probabilities.argmax(1) != wrong).all()


def test_denying_what_the_head_is_sure_of_still_teaches(problem):
    inputs, codes = problem
    network = make_network()
    with torch.no_grad():
        network.backbone[3].weight.mul_(1e4)
    targets = Targets.from_labels(codes, CPU)
    targets.assign(denied=np.ones(N, np.float32))
    for autocast in (None, torch.bfloat16):
        engine = make_engine(learning_rate=1e-9, autocast=autocast)
        records = engine.run(network, inputs, targets, [Phase("all", 1)])
        assert np.isfinite(records.epochs[0]["loss"])
    targets.assign(main_weight=np.zeros(N, np.float32), trap_weight=np.zeros(N, np.float32))
    loss, told = two_heads(network, inputs, torch.arange(N), targets)
    sure = torch.from_numpy(np.asarray(codes)) == told["main_prediction"]
    assert sure.any()
    network.zero_grad()
    loss.backward()
    assert network.backbone[3].weight.grad.abs().max() > 0


def test_a_diverged_loss_stops_with_epoch_and_batch(problem):
    inputs, codes = problem
    inputs = inputs.clone()
    inputs[7] = torch.inf
    with pytest.raises(TrainingDivergedError, match=r"got nan in epoch 0, batch \d; lower"):
        train((inputs, codes), [Phase("all", 2)])


def test_interrupt_passes_through(problem):
    def interrupt(targets, records):
        if len(records.epochs) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(problem, [Phase("all", 5, interrupt)])


def test_progress_bar_goes_to_stderr(problem, capsys):
    train(problem, [Phase("warm-up", 2)], progress=True)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "warm-up" in captured.err


def test_trap_gradient_share_reaches_the_stem():
    inputs = torch.randn(4, F, generator=torch.Generator().manual_seed(0))

    def stem_gradient(share):
        network = make_network()
        network.stem_gradient = share
        network.both(inputs)[1].sum().backward()
        gradient = network.backbone[0].weight.grad
        return 0.0 if gradient is None else float(gradient.norm())

    full = stem_gradient(1.0)
    assert stem_gradient(0.0) == 0
    assert stem_gradient(0.5) == pytest.approx(full / 2, rel=1e-5)


def test_records_start_empty():
    assert Records().epochs == []
