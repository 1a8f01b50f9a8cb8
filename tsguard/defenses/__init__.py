"""Ways to train on data that may be poisoned, as estimators on the one engine."""

from tsguard.defenses._abl import ABLClassifier
from tsguard.defenses._cbd import CBDClassifier
from tsguard.defenses._clustering import ActivationClusteringClassifier
from tsguard.defenses._confident import ConfidentLearningClassifier
from tsguard.defenses._dbd import DBDClassifier
from tsguard.defenses._fine_pruning import FinePruningClassifier
from tsguard.defenses._nab import NABClassifier
from tsguard.defenses._nad import NADClassifier
from tsguard.defenses._registry import get_defense, list_defenses, register_defense
from tsguard.defenses._spectral import SpectralSignaturesClassifier
from tsguard.defenses._standard import StandardClassifier
from tsguard.defenses._strip import STRIPFilterClassifier

__all__ = [
    "ABLClassifier",
    "ActivationClusteringClassifier",
    "CBDClassifier",
    "ConfidentLearningClassifier",
    "DBDClassifier",
    "FinePruningClassifier",
    "NABClassifier",
    "NADClassifier",
    "STRIPFilterClassifier",
    "SpectralSignaturesClassifier",
    "StandardClassifier",
    "get_defense",
    "list_defenses",
    "register_defense",
]
