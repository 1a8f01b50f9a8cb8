"""Triggers for images. Poisoning and evaluation are tsguard's own."""

from tsguard.attacks import PoisonedDataset, poison
from tsguard_vision.attacks._base import (
    ImageTrigger,
    LearnedImageTrigger,
    get_trigger,
    list_triggers,
)
from tsguard_vision.attacks._networks import DynamicTrigger, SampleSpecificTrigger
from tsguard_vision.attacks._patterns import (
    BadNetsTrigger,
    BlendedTrigger,
    LowFrequencyTrigger,
    SIGTrigger,
)
from tsguard_vision.attacks._surrogate import CleanLabelTrigger, TrojanTrigger
from tsguard_vision.attacks._warps import BPPTrigger, WaNetTrigger

__all__ = [
    "BPPTrigger",
    "BadNetsTrigger",
    "BlendedTrigger",
    "CleanLabelTrigger",
    "DynamicTrigger",
    "ImageTrigger",
    "LearnedImageTrigger",
    "LowFrequencyTrigger",
    "PoisonedDataset",
    "SIGTrigger",
    "SampleSpecificTrigger",
    "TrojanTrigger",
    "WaNetTrigger",
    "get_trigger",
    "list_triggers",
    "poison",
]
