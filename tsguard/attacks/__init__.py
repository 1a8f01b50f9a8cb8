"""Backdoor triggers and poisoning, for experiments and evaluation only.

A *trigger* is a small change made to a series; a model trained on series that carry it together
with one label learns to answer that label whenever the change is present. Nothing under ``fit`` of
a classifier imports this package: a defence never sees the truth.
"""

from tsguard.attacks._base import PatternTrigger, Trigger, get_trigger, list_triggers
from tsguard.attacks._blend import BlendTrigger
from tsguard.attacks._evolution import EvolutionTrigger
from tsguard.attacks._frequency import FrequencyTrigger
from tsguard.attacks._generator import GeneratorTrigger
from tsguard.attacks._gradient_sign import GradientSignTrigger
from tsguard.attacks._hum import HumTrigger
from tsguard.attacks._input_aware import InputAwareTrigger
from tsguard.attacks._learned import LearnedTrigger, SurrogateTrigger
from tsguard.attacks._morph import MorphTrigger
from tsguard.attacks._noise import NoiseTrigger
from tsguard.attacks._patch import PatchTrigger
from tsguard.attacks._phase import PhaseTrigger
from tsguard.attacks._poison import PoisonedDataset, poison
from tsguard.attacks._pulse import PulseTrigger
from tsguard.attacks._sine import SineTrigger
from tsguard.attacks._warp import WarpTrigger

__all__ = [
    "BlendTrigger",
    "EvolutionTrigger",
    "FrequencyTrigger",
    "GeneratorTrigger",
    "GradientSignTrigger",
    "HumTrigger",
    "InputAwareTrigger",
    "LearnedTrigger",
    "MorphTrigger",
    "NoiseTrigger",
    "PatchTrigger",
    "PatternTrigger",
    "PhaseTrigger",
    "PoisonedDataset",
    "PulseTrigger",
    "SineTrigger",
    "SurrogateTrigger",
    "Trigger",
    "WarpTrigger",
    "get_trigger",
    "list_triggers",
    "poison",
]
