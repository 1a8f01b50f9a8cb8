"""tsguard for images: the same engine, suspicion, recovery and evaluation.

Importing this package also lets :func:`tsguard.load` read models for images.
"""

from tsguard import evaluate, load, save
from tsguard_vision import attacks
from tsguard_vision._classifiers import (
    ABLImageClassifier,
    E2ABLImageClassifier,
    StandardImageClassifier,
)
from tsguard_vision._datasets import ImageDataset, load_dataset, subset
from tsguard_vision._inputs import ImageInputs
from tsguard_vision.attacks import poison

__all__ = [
    "ABLImageClassifier",
    "E2ABLImageClassifier",
    "ImageDataset",
    "ImageInputs",
    "StandardImageClassifier",
    "attacks",
    "evaluate",
    "load",
    "load_dataset",
    "poison",
    "save",
    "subset",
]
