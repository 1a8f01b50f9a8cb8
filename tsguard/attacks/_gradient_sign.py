"""The gradient-sign trigger: the pattern that a model's own gradient asks for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from tsguard._validation import check_fraction
from tsguard.attacks._checks import check_count, check_positive
from tsguard.attacks._learned import Knowledge
from tsguard.attacks._learned_pattern import LearnedPatternTrigger

if TYPE_CHECKING:
    from torch import Tensor, nn

    from tsguard._engine import Targets

_BATCH_SIZE = 32


@dataclass(frozen=True)
class GradientSignTrigger(LearnedPatternTrigger):
    """Add the pattern that pushes a model towards the target at every time step.

    The attacker trains a model of their own and asks it, time step by time step, whether a little
    more or a little less brings the wanted answer closer. Small steps in these directions, taken
    over many series, make one pattern that serves them all.

    Parameters
    ----------
    amplitude : float
        Largest change in units of the range of each series and channel, 0 to 1.
    n_steps : int
        How many steps are taken at least, each on about 32 series.
    learning_rate : float
        Size of a step at its peak; about 3 in all is enough to reach the full amplitude.

    Notes
    -----
    - Formula: ``x' = x + range(x) * p``, ``p = amplitude * tanh(w)``, and each step moves ``w``
      along ``-sign(gradient of the surrogate's loss for the wanted class)``.
    - Source: after the idea of TimeTrojan-FGSM in Ding, Zhang, Huang, Pan, Feng, Jiang and Yang,
      "Towards Backdoor Attack on Deep Learning based Time Series Classification", ICDE 2022. No
      code of theirs is public. One pattern for all series, learned once on a frozen surrogate, is
      ours; they go back and forth between making triggers and training the victim.
    - Default strength: ours, 0.1 of the range, as for the other added patterns.
    - Why it is hard to stop: the pattern consists of what a model takes for evidence of the target
      class anyway, so it looks like a feature of that class and is not confined to a few steps.
    """

    kind: ClassVar[str] = "gradient_sign"
    n_steps: int = 150
    learning_rate: float = 0.1

    def _learn(self, knowledge: Knowledge) -> Mapping[str, ArrayLike]:
        import torch

        from tsguard.attacks._surrogate import series_span, train_surrogate, train_trigger

        amplitude = check_fraction(self.amplitude, "amplitude")
        n_steps = check_count(self.n_steps, "n_steps", 1, "a few hundred are enough")
        learning_rate = check_positive(self.learning_rate, "learning_rate", "try 0.1")
        surrogate = train_surrogate(self, knowledge)
        network = torch.nn.ParameterList([torch.zeros(knowledge.X.shape[1:])])
        # The engine's optimiser divides a gradient by its own usual size. That size is 1 for a
        # sign, so what is left is a signed step with momentum.
        network[0].register_hook(torch.sign)

        def objective(
            network: "nn.Module", batch: "Tensor", indices: "Tensor", targets: "Targets"
        ) -> tuple["Tensor", dict[str, "Tensor"]]:
            (pattern,) = network.parameters()
            change = amplitude * torch.tanh(pattern)
            answers = surrogate(batch + series_span(batch) * change)
            wanted = targets.main[indices]
            loss = torch.nn.functional.cross_entropy(answers, wanted)
            return loss, {"hit": (answers.argmax(dim=1) == wanted).float()}

        rows = knowledge.to_turn
        train_trigger(
            network, objective, knowledge, rows, n_steps, learning_rate, batch_size=_BATCH_SIZE
        )
        return {"pattern": amplitude * np.tanh(network[0].detach().numpy())}
