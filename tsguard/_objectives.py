"""What training lowers: the losses of the two heads."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from tsguard._engine import Targets
from tsguard.models import TwoHeadNetwork


def single_head(
    network: nn.Module, batch: Tensor, indices: Tensor, targets: Targets
) -> tuple[Tensor, dict[str, Tensor]]:
    """Cross-entropy of the main head on its targets: standard training.

    Returns
    -------
    loss : torch.Tensor
        Scalar, nats.
    records : dict
        ``main_loss`` (nats, against the given label), ``main_prediction`` (class code) and
        ``main_confidence`` (probability of that class), each ``(batch,)``.
    """
    log_probabilities = functional.log_softmax(network(batch), dim=1)
    loss = _weighted(log_probabilities, targets.main[indices], targets.main_weight[indices])
    return loss, _main_records(log_probabilities, targets.given[indices])


def two_heads(
    network: nn.Module, batch: Tensor, indices: Tensor, targets: Targets
) -> tuple[Tensor, dict[str, Tensor]]:
    """Sum of the cross-entropies of the main head and of the trap head, each on its targets.

    Where the given label is denied, the main head's part is ``-log(1 - p)`` of that label instead
    (learning from complementary labels: Kim et al., "NLNL: Negative Learning for Noisy Labels",
    ICCV 2019).

    Returns
    -------
    loss : torch.Tensor
        Scalar, nats.
    records : dict
        As :func:`single_head`, and ``trap_loss`` (nats, against the given label), ``isolated`` (1
        where the sample is suspect or withheld) and ``denied`` (1 where the head learned that the
        given label is wrong).
    """
    assert isinstance(network, TwoHeadNetwork)
    main_logits, trap_logits = network.both(batch)
    main = functional.log_softmax(main_logits, dim=1)
    trap = functional.log_softmax(trap_logits, dim=1)
    loss = _weighted(main, targets.main[indices], targets.main_weight[indices])
    loss = loss + _weighted(trap, targets.trap[indices], targets.trap_weight[indices])
    given = targets.given[indices]
    is_given = functional.one_hot(given, main.shape[1]).bool()
    # log(1 - p) as what is left for the others: exact, and with a gradient, however sure the head.
    for_others = main.float().masked_fill(is_given, -torch.inf).logsumexp(dim=1)
    loss = loss - (for_others * targets.denied[indices]).mean()
    records = {
        **_main_records(main, given),
        "trap_loss": _pick(trap, given),
        "isolated": targets.isolated[indices],
        "denied": targets.denied[indices],
    }
    return loss, records


def _pick(log_probabilities: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy of each sample, ``(batch,)``."""
    return -log_probabilities.gather(1, labels[:, None]).squeeze(1)


def _weighted(log_probabilities: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted mean cross-entropy of the batch.

    The mean is over all of it, so that leaving samples out never makes the others count more.
    """
    return (_pick(log_probabilities, labels) * weights).mean()


def _main_records(log_probabilities: Tensor, given: Tensor) -> dict[str, Tensor]:
    confidence, prediction = log_probabilities.max(dim=1)
    return {
        "main_loss": _pick(log_probabilities, given),
        "main_prediction": prediction,
        "main_confidence": torch.exp(confidence),
    }
