"""Ways to train on data that may be poisoned, as estimators on the one engine."""

from tsguard.defenses._standard import StandardClassifier

__all__ = ["StandardClassifier"]
