"""Triggers for images that are made on a classifier of the attacker's own: Trojan, clean label."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn import functional

from tsguard._random import RandomState, numpy_stream
from tsguard._validation import check_fraction
from tsguard.attacks._checks import check_count, check_positive
from tsguard.attacks._learned import Knowledge, SurrogateTrigger
from tsguard.attacks._surrogate import Surrogate, to_arrays, train_trigger
from tsguard.defenses._shared import FeatureReader
from tsguard_vision._images import Images, to_unit
from tsguard_vision.attacks._base import (
    Array,
    LearnedImageTrigger,
    from_unit,
    overlay,
)
from tsguard_vision.attacks._patterns import checkerboard, patch_window

if TYPE_CHECKING:
    from tsguard.attacks._weights import Weights

BATCH_SIZE = 64


@dataclass(frozen=True)
class SurrogateImageTrigger(LearnedImageTrigger, SurrogateTrigger):
    """Base of the triggers for images that are learned on a surrogate.

    Parameters
    ----------
    surrogate : str
        Backbone of the surrogate, as in :class:`tsguard_vision.E2ABLImageClassifier`.
    surrogate_epochs : int
        How long it is trained on clean images.
    """

    surrogate: str = field(default="wideresnet16_1", kw_only=True)
    surrogate_epochs: int = field(default=10, kw_only=True)


def train_surrogate(trigger: SurrogateImageTrigger, knowledge: Knowledge) -> Surrogate:
    """Train the attacker's classifier on clean images (0 to 1), through the one engine."""
    from tsguard_vision._classifiers import StandardImageClassifier

    # A seed of its own: with the victim's seed the surrogate would start from the victim's weights.
    seed = int(numpy_stream(knowledge.seed, "surrogate").integers(2**31))
    classifier = StandardImageClassifier(
        trigger.surrogate,
        n_epochs=check_count(trigger.surrogate_epochs, "surrogate_epochs", 1, "10 are enough"),
        batch_size=BATCH_SIZE,
        random_state=seed,
    )
    return Surrogate(classifier.fit(knowledge.X, knowledge.codes))


@dataclass(frozen=True)
class TrojanTrigger(SurrogateImageTrigger):
    """Put a patch in a corner that drives one neuron of a network as far as it goes.

    The patch is not drawn but computed: on a network of the attacker's own, its pixels are changed
    until the neuron of the last layer that matters most responds strongly. Another network that
    learns from such images finds the patch easy to see.

    Parameters
    ----------
    size : float
        Side of the patch in units of the shorter side of the image, 0 to 1; at least two pixels.
    corner : {"bottom right", "bottom left", "top right", "top left"}
    n_steps : int
        Updates of the patch.
    learning_rate : float
        Peak of their one-cycle schedule.
    surrogate, surrogate_epochs, weights, shape
        See the base class.

    Notes
    -----
    - Formula: ``x' = p`` inside the patch, with ``p`` from 0 to 1 that maximises the mean of the
      penultimate feature whose weights in the last layer are largest in sum of sizes.
    - Source: Liu, Ma, Aafer, Lee, Zhai, Wang, Zhang, "Trojaning Attack on Neural Networks",
      NDSS 2018. There the network itself is then retrained by the attacker; ours poisons data only.
    - Default strength: ours, 7 by 7 of 32 by 32 pixels (5 %; there 7 % of larger images).
    - Why it is hard to stop: it looks like nothing known, and every network has such neurons.
    """

    kind: ClassVar[str] = "trojan"
    size: float = 7 / 32
    corner: str = "bottom right"
    n_steps: int = 200
    learning_rate: float = 0.1

    def _learn_unit(self, knowledge: Knowledge) -> Mapping[str, ArrayLike]:
        shape = knowledge.X.shape[1:]
        window = (slice(None), *patch_window(shape, self.size, self.corner))
        n_steps = check_count(self.n_steps, "n_steps", 1, "a few hundred are enough")
        rate = check_positive(self.learning_rate, "learning_rate", "try 0.1")
        surrogate = train_surrogate(self, knowledge)
        reader = FeatureReader(surrogate, torch.from_numpy(knowledge.X[:2])).eval()
        heads = [one for one in surrogate.network.backbone.modules() if isinstance(one, nn.Linear)]
        if not heads:
            raise ValueError(
                f"surrogate must end in a linear layer, got {self.surrogate!r}; choose another."
            )
        neuron = int(heads[-1].weight.abs().sum(dim=0).argmax())
        mask = torch.zeros(shape)
        mask[window] = 1
        network = nn.ParameterList([torch.zeros(shape)])

        def objective(
            network: nn.Module, batch: Tensor, indices: Tensor, targets: Any
        ) -> tuple[Tensor, dict[str, Tensor]]:
            (raw,) = network.parameters()
            features = reader(batch + mask * (torch.sigmoid(raw) - batch))
            response = features[:, neuron]
            return -response.mean(), {"response": response}

        rows = np.arange(len(knowledge.X))
        train_trigger(network, objective, knowledge, rows, n_steps, rate, batch_size=BATCH_SIZE)
        return {"patch": torch.sigmoid(network[0].detach())[window].numpy()}

    def _stamp_learned(self, X: Images, out: Images, weights: "Weights") -> None:
        shape = X.shape[1:]
        window = (slice(None), *patch_window(shape, self.size, self.corner))
        pattern, outside = np.zeros(shape, np.float32), np.ones(shape, np.float32)
        outside[window] = 0
        pattern[window] = weights.get_array("patch", pattern[window].shape)
        overlay(X, pattern, outside, out)


@dataclass(frozen=True)
class CleanLabelTrigger(SurrogateImageTrigger):
    """Make images of the target class hard to recognise, then add a patch; labels stay right.

    A network that can no longer rely on the object learns the patch instead. At test time the
    patch alone is put on images of other classes. Use it with ``mode="clean"``.

    Parameters
    ----------
    epsilon : float
        Largest adversarial change of a pixel of a training image, 0 to 1.
    n_attack_steps : int
        Steps of projected gradient ascent.
    size : float
        Side of the checkerboard patch in units of the shorter side of the image, 0 to 1.
    corner : {"bottom right", "bottom left", "top right", "top left"}
    surrogate, surrogate_epochs, weights, shape
        See the base class; the weights are the surrogate's.

    Notes
    -----
    - Formula: training images ``x' = patch(x + d)`` with ``|d| <= epsilon`` that raises the
      surrogate's loss on the class it sees in ``x``; test images ``x' = patch(x)``.
    - Source: Turner, Tsipras, Madry, "Label-Consistent Backdoor Attacks", arXiv 1912.02771, the
      form with adversarial changes.
    - Default strength: 16/255, as there; 10 steps and one corner instead of four are ours.
    - Why it is hard to stop: every label is right, also to a human who checks it.
    """

    kind: ClassVar[str] = "clean_label"
    usual_mode: ClassVar[str] = "clean"
    epsilon: float = 16 / 255
    n_attack_steps: int = 10
    size: float = 3 / 32
    corner: str = "bottom right"

    def _learn_unit(self, knowledge: Knowledge) -> Mapping[str, ArrayLike]:
        arrays = to_arrays(train_surrogate(self, knowledge))
        return {**arrays, "n_classes": [knowledge.n_classes]}

    def for_training(self, X: Any, random_state: RandomState = None) -> Images:
        """Return images after the adversarial change, with the patch."""
        images = self._check_input(X)
        self.apply(images[:1])  # refuses a trigger that is not learned, or other shapes
        surrogate = self._restored(images.shape[1:])
        parts = [
            from_unit(self._attacked(surrogate, to_unit(images[start : start + 256])), images.dtype)
            for start in range(0, len(images), 256)
        ]
        return self.apply(np.concatenate(parts))

    def _attacked(self, surrogate: Surrogate, images: Array) -> Array:
        epsilon = check_fraction(self.epsilon, "epsilon")
        n_steps = check_count(self.n_attack_steps, "n_attack_steps", 0, "10 are usual")
        clean = torch.from_numpy(images)
        seen = surrogate(clean).argmax(dim=1)
        changed = clean.clone()
        for _ in range(n_steps):
            changed.requires_grad_(True)
            loss = functional.cross_entropy(surrogate(changed), seen)
            (gradient,) = torch.autograd.grad(loss, changed)
            step = changed.detach() + 2.5 * epsilon / n_steps * gradient.sign()
            changed = torch.clamp(clean + (step - clean).clamp(-epsilon, epsilon), 0, 1)
        return changed.detach().numpy()

    def _restored(self, shape: tuple[int, ...]) -> Surrogate:
        """Build the surrogate anew from its weights."""
        from tsguard_vision._classifiers import StandardImageClassifier

        assert self.weights is not None
        n_classes = int(self.weights.get_array("n_classes", (1,))[0])
        classifier = StandardImageClassifier(self.surrogate)
        with torch.device("meta"):  # no memory before the weights are known to fit
            sample = torch.zeros(2, *shape)
            classifier.network_ = classifier._make_network(sample, n_classes)
        empty = np.zeros((1, shape[0], 1, 1), np.float32)
        classifier.scale_ = (empty, empty)
        surrogate = Surrogate(classifier)
        state = {
            name: torch.tensor(self.weights.get_array(name, tuple(one.shape)), dtype=one.dtype)
            for name, one in surrogate.state_dict().items()
        }
        surrogate.load_state_dict(state, assign=True)
        return surrogate.eval().requires_grad_(False)

    def _stamp_learned(self, X: Images, out: Images, weights: "Weights") -> None:
        overlay(X, *checkerboard(X.shape[1:], self.size, self.corner), out)
