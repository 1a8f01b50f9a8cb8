"""Errors of our own; everything else is a plain ``ValueError`` or ``TypeError``."""


class DatasetNotFoundError(ValueError):
    """No data set of that name could be found or downloaded."""


class TrainingDivergedError(RuntimeError):
    """The loss stopped being a finite number during training."""
