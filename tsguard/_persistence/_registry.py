"""What can be saved: which classes, and what a fit of each leaves behind."""

import numpy as np

from tsguard import defenses
from tsguard._base import NeuralClassifier
from tsguard._e2abl import E2ABLClassifier
from tsguard._persistence._fields import Array, ArrayDict, Kind, Labels, Scalar, SomeLabels, Table

#: What a fit leaves behind, network and labels aside. A classifier must have all attributes of its
#: class and base classes, and may have any other of the list. A new attribute is one line here.
_ATTRIBUTES: dict[type, dict[str, Kind]] = {
    NeuralClassifier: {
        "device_": Scalar(str),
        "history_": Table("n_epochs"),
    },
    E2ABLClassifier: {
        "suspicion_": Array(np.floating, ("n_samples",)),
        "suspect_mask_": Array(np.bool_, ("n_samples",)),
        "recovered_labels_": Labels(("n_samples",)),
        "suspected_target_": SomeLabels(),
        "sample_report_": Table("n_samples"),
        "records_": ArrayDict(np.floating, (None, "n_samples")),
        "trigger_filter_": Array(np.floating, (None,), optional=True),
    },
}

#: What some classes have, or some versions of aeon set.
_OPTIONAL: dict[str, Kind] = {
    "fit_time_millis_": Scalar(int),
    "pruned_channels_": Array(np.integer, (None,)),
    "sample_weight_": Array(np.floating, ("n_samples",)),
}

CHOSEN_BY_LOAD = ("backbone", "device")
"""Parameters that do not come from the file's list of parameters."""


#: Classes of packages that build on this one; importing such a package puts them here.
_REGISTERED: dict[str, type[NeuralClassifier]] = {}


def register(kind: type[NeuralClassifier]) -> type[NeuralClassifier]:
    """Let files name a class of a package that builds on this one; usable as a decorator."""
    _REGISTERED[kind.__name__] = kind
    return kind


def known_classes() -> dict[str, type[NeuralClassifier]]:
    """Return the classes that a file may name; nothing is ever imported by a name in a file."""
    public = [E2ABLClassifier, *(getattr(defenses, n) for n in defenses.__all__)]
    ours = {
        one.__name__: one
        for one in public
        if isinstance(one, type) and issubclass(one, NeuralClassifier)
    }
    return _REGISTERED | ours


def attributes_of(kind: type[NeuralClassifier]) -> tuple[dict[str, Kind], set[str]]:
    """Return all attributes that can be saved, and the names of those that this class must have."""
    known = dict(_OPTIONAL)
    for group in _ATTRIBUTES.values():
        known |= group
    needed = {name for owner in kind.__mro__ for name in _ATTRIBUTES.get(owner, {})}
    return known, needed
