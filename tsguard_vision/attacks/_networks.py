"""Triggers for images that are a network: input-aware dynamic and sample-specific."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn import functional

from tsguard._random import numpy_stream, torch_globals_from
from tsguard._validation import check_fraction
from tsguard.attacks._checks import check_count, check_positive, check_seed
from tsguard.attacks._learned import Knowledge
from tsguard.attacks._networks import (
    DENSITY_WEIGHT,
    Pair,
    StampNetwork,
    distance_to_next,
    new_network,
    restored_network,
    train_pair,
)
from tsguard.attacks._surrogate import to_arrays, train_trigger
from tsguard.attacks._weights import Weights
from tsguard_vision.attacks._base import Array, LearnedImageTrigger
from tsguard_vision.attacks._surrogate import SurrogateImageTrigger, train_surrogate

WIDTH = 24  # feature maps of the networks; some 10,000 weights, since they are saved within JSON


def _layers(n_in: int, n_out: int) -> nn.Sequential:
    """Return a small network that keeps the size of an image and no statistics of a batch."""
    return nn.Sequential(
        nn.Conv2d(n_in, WIDTH, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(WIDTH, WIDTH, 3, padding=2, dilation=2),
        nn.ReLU(),
        nn.Conv2d(WIDTH, WIDTH, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(WIDTH, n_out, 1),
    )


class PatternNetwork(StampNetwork):
    """Puts a pattern of each image's own where a mask of its own is open, ``(N, C, H, W)``."""

    def __init__(self, n_channels: int, density: float, diversity: float) -> None:
        super().__init__()
        self.density, self.diversity = density, diversity
        self.layers = _layers(n_channels, n_channels + 1)

    def stamp(self, series: Tensor) -> tuple[Tensor, Tensor]:
        """Return the stamped images and the penalty of training; see ``StampNetwork``."""
        outputs = self.layers(series - 0.5)
        mask = torch.sigmoid(outputs[:, -1:])  # (N, 1, H, W)
        pattern = torch.sigmoid(outputs[:, :-1])  # (N, C, H, W)
        excess = torch.relu(mask.mean(dim=(1, 2, 3)) - self.density).mean()
        apart = distance_to_next((mask * pattern).flatten(2))
        likeness = (distance_to_next(series.flatten(2)) / apart).mean()
        penalty = DENSITY_WEIGHT * excess + self.diversity * likeness
        return series + mask * (pattern - series), penalty


@dataclass(frozen=True)
class DynamicTrigger(SurrogateImageTrigger):
    """Put a pattern on a few pixels that a network chooses and paints for each image.

    The network is paid for giving different images different patterns, so that no single pattern
    gives the attack away.

    Parameters
    ----------
    density : float
        Share of the image that the mask may open, on average, 0 to 1; no strict bound.
    diversity : float
        Weight of the penalty on patterns that are more alike than their images; 0 turns it off.
    n_steps : int
        Updates of the joint training of network and surrogate.
    learning_rate : float
        Peak of their one-cycle schedule.
    surrogate, surrogate_epochs, weights, shape
        See the base class.

    Notes
    -----
    - Formula: ``x' = x + m(x) * (p(x) - x)``, mask ``m`` and pattern ``p`` from 0 to 1.
    - Source: Nguyen, Tran, "Input-Aware Dynamic Backdoor Attack", NeurIPS 2020. There the victim is
      trained with the network and shown patterns of other images under right labels; our attacker
      trains a surrogate instead, and the network is frozen before an image is poisoned.
    - Default strength: 3.2 % of the pixels, as there.
    - Why it is hard to stop: the patterns of two images differ in place, shape and colour.
    """

    kind: ClassVar[str] = "dynamic"
    density: float = 0.032
    diversity: float = 1.0
    n_steps: int = 300
    learning_rate: float = 0.003

    def _make(self, n_channels: int) -> Callable[[], PatternNetwork]:
        density = check_fraction(self.density, "density", include_low=False)
        diversity = check_fraction(self.diversity, "diversity", high=1000)
        return lambda: PatternNetwork(n_channels, density, diversity)

    def _learn_unit(self, knowledge: Knowledge) -> Mapping[str, ArrayLike]:
        n_steps = check_count(self.n_steps, "n_steps", 1, "each is one update of the network")
        rate = check_positive(self.learning_rate, "learning_rate", "0.003 is a good start")
        network = new_network(self._make(knowledge.X.shape[1]), knowledge.seed)
        pair = Pair(network, train_surrogate(self, knowledge))
        train_pair(pair, knowledge, n_steps=n_steps, learning_rate=rate)
        return to_arrays(network)

    def _change(self, images: Array) -> Array:
        return _stamped(self._make(images.shape[1]), self.weights, images)


def _stamped(make: Callable[[], StampNetwork], weights: Weights | None, images: Array) -> Array:
    """Return images (n_samples, n_channels, height, width) as a learned network stamps them."""
    assert weights is not None
    with torch.inference_mode():
        stamped: Array = restored_network(make, weights)(torch.from_numpy(images)).numpy()
    return stamped


class Encoder(StampNetwork):
    """Hides bits in images ``(N, C, H, W)`` by changes of at most ``strength``."""

    def __init__(self, n_channels: int, strength: float, code: Tensor) -> None:
        super().__init__()
        self.strength = strength
        self.layers = _layers(n_channels + len(code), n_channels)
        self.register_buffer("code", code)

    def hide(self, images: Tensor, bits: Tensor) -> Tensor:
        """Return images that carry ``bits`` (n_samples, n_bits), -1 or 1."""
        planes = bits[:, :, None, None].expand(-1, -1, *images.shape[2:])
        change = torch.tanh(self.layers(torch.cat([images - 0.5, planes], dim=1)))
        return (images + self.strength * change).clamp(0, 1)

    def stamp(self, series: Tensor) -> tuple[Tensor, Tensor]:
        """Return images that carry the code of the attack; there is no penalty."""
        code = self.get_buffer("code").expand(len(series), -1)
        return self.hide(series, code), series.new_zeros(())


class Courier(nn.Module):
    """An encoder and a decoder that reads the bits back, to be trained together."""

    def __init__(self, encoder: Encoder, n_channels: int, n_bits: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.layers = _layers(n_channels, WIDTH)
        self.read = nn.Linear(2 * WIDTH, n_bits)

    def forward(self, images: Tensor) -> Tensor:
        """Return one logit per bit, ``(N, n_bits)``."""
        maps = self.layers(images - 0.5)
        bits: Tensor = self.read(torch.cat([maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))], dim=1))
        return bits


@dataclass(frozen=True)
class SampleSpecificTrigger(LearnedImageTrigger):
    """Hide a code in every image by faint noise that depends on the image.

    An encoder learns to write bits into images so that a decoder can read them; the trigger is one
    fixed code. The noise that carries it is different for every image.

    Parameters
    ----------
    amplitude : float
        Largest change of a pixel, 0 to 1.
    n_bits : int
        Length of the code.
    n_steps : int
        Updates of encoder and decoder.
    learning_rate : float
        Peak of their one-cycle schedule.
    code_seed : int
        Draws the code.
    weights, shape
        What was learned; see ``LearnedTrigger``.

    Notes
    -----
    - Formula: ``x' = x + amplitude * tanh(E(x, code))``, clipped.
    - Source: Li, Li, Wu, Li, He, Lyu, "Invisible Backdoor Attack with Sample-Specific Triggers"
      (ISSBA), ICCV 2021, with the encoder of StegaStamp. Ours is about a thousand times smaller,
      and a bound takes the place of a loss on the change.
    - Default strength: ours, 12/255 and 8 bits (there 100 bits in images of 224 by 224).
    - Why it is hard to stop: the change of one image is not the change of another.
    """

    kind: ClassVar[str] = "sample_specific"
    amplitude: float = 12 / 255
    n_bits: int = 8
    n_steps: int = 600
    learning_rate: float = 0.003
    code_seed: int = field(default=0, kw_only=True)

    def _make(self, n_channels: int) -> Callable[[], Encoder]:
        amplitude = check_fraction(self.amplitude, "amplitude")
        n_bits = check_count(self.n_bits, "n_bits", 1, "a code has at least one bit")
        drawn = numpy_stream(check_seed(self.code_seed), "code").integers(2, size=n_bits)
        values = (2 * drawn - 1).tolist()
        return lambda: Encoder(n_channels, amplitude, torch.tensor(values, dtype=torch.float32))

    def _learn_unit(self, knowledge: Knowledge) -> Mapping[str, ArrayLike]:
        n_channels, n_bits = knowledge.X.shape[1], self.n_bits
        n_steps = check_count(self.n_steps, "n_steps", 1, "each is one update of the networks")
        rate = check_positive(self.learning_rate, "learning_rate", "0.003 is a good start")
        make = self._make(n_channels)
        with torch_globals_from(knowledge.seed, "trigger network"):
            courier = Courier(make(), n_channels, n_bits)

        def objective(
            courier: nn.Module, batch: Tensor, indices: Tensor, targets: Any
        ) -> tuple[Tensor, dict[str, Tensor]]:
            assert isinstance(courier, Courier)
            bits = torch.randint(0, 2, (len(batch), n_bits)).float()
            answers = courier(courier.encoder.hide(batch, 2 * bits - 1))
            loss = functional.binary_cross_entropy_with_logits(answers, bits)
            return loss, {"right": ((answers > 0) == (bits > 0.5)).float().mean(dim=1)}

        rows = np.arange(len(knowledge.X))
        train_trigger(courier, objective, knowledge, rows, n_steps, rate, batch_size=32)
        return to_arrays(courier.encoder)

    def _change(self, images: Array) -> Array:
        return _stamped(self._make(images.shape[1]), self.weights, images)
