"""The defenses by their short names."""

import re
from typing import Any

from tsguard._base import NeuralClassifier
from tsguard._values import unknown_name_error
from tsguard.defenses._abl import ABLClassifier
from tsguard.defenses._cbd import CBDClassifier
from tsguard.defenses._clustering import ActivationClusteringClassifier
from tsguard.defenses._confident import ConfidentLearningClassifier
from tsguard.defenses._dbd import DBDClassifier
from tsguard.defenses._fine_pruning import FinePruningClassifier
from tsguard.defenses._nab import NABClassifier
from tsguard.defenses._nad import NADClassifier
from tsguard.defenses._spectral import SpectralSignaturesClassifier
from tsguard.defenses._standard import StandardClassifier
from tsguard.defenses._strip import STRIPFilterClassifier

_KINDS: dict[str, type[NeuralClassifier]] = {
    "abl": ABLClassifier,
    "cbd": CBDClassifier,
    "clustering": ActivationClusteringClassifier,
    "confident": ConfidentLearningClassifier,
    "dbd": DBDClassifier,
    "fine_pruning": FinePruningClassifier,
    "nab": NABClassifier,
    "nad": NADClassifier,
    "spectral": SpectralSignaturesClassifier,
    "standard": StandardClassifier,
    "strip": STRIPFilterClassifier,
}

#: Ways to train that are no defenses of this list, but are named beside them.
REFERENCES = ("undefended", "oracle", "e2abl", "loss_drop")


def register_defense(name: str, kind: type[NeuralClassifier]) -> None:
    """Put a defense of your own on the list, so that grids and :func:`get_defense` know it by name.

    Parameters
    ----------
    name : str
        Short name of lower-case letters, digits and underscores, which no other defense has.
    kind : class
        Derived from :class:`tsguard.defenses.StandardClassifier` or another classifier of tsguard.

    Raises
    ------
    TypeError
        If ``kind`` is no class of such a classifier.
    ValueError
        If the name is not of this form, or another defense has it.

    Examples
    --------
    >>> from tsguard.defenses import SpectralSignaturesClassifier, register_defense
    >>> register_defense("spectral", SpectralSignaturesClassifier)  # the same again is no error
    """
    if not (isinstance(kind, type) and issubclass(kind, NeuralClassifier)):
        raise TypeError(
            f"kind of defense {name!r} must be a class of classifiers of tsguard, got {kind!r}; "
            "derive it from tsguard.defenses.StandardClassifier."
        )
    if not (isinstance(name, str) and re.fullmatch(r"[a-z][a-z0-9_]*", name)):
        raise ValueError(
            "name of a defense must be of lower-case letters, digits and underscores, got "
            f"{name!r}; choose one such as 'my_defense'."
        )
    known = _KINDS.get(name, kind)
    # The same class may be defined again, as when a notebook's cell is run twice.
    same = (known.__module__, known.__qualname__) == (kind.__module__, kind.__qualname__)
    if name in REFERENCES or not same:
        raise ValueError(
            f"name of a defense must be its own, got {name!r}, which is taken; choose another one."
        )
    _KINDS[name] = kind


def list_defenses() -> list[str]:
    """Return the short names of all defenses, sorted."""
    return sorted(_KINDS)


def get_defense(name: str, **parameters: Any) -> NeuralClassifier:
    """Make a defense from its short name.

    Parameters
    ----------
    name : str
        One of :func:`list_defenses`.
    **parameters
        Parameters of the classifier; those left out keep their default.

    Returns
    -------
    NeuralClassifier
        Not fitted. ``needs_clean_subset`` says whether it must be given ``clean_indices``.

    Raises
    ------
    ValueError
        If there is no defense of that name.
    TypeError
        If the defense has no such parameter.

    Examples
    --------
    >>> from tsguard.defenses import get_defense
    >>> get_defense("spectral", backbone="fcn", drop_rate=0.1)
    SpectralSignaturesClassifier(backbone='fcn', drop_rate=0.1)
    """
    if name not in _KINDS:
        raise unknown_name_error("defense", name, list_defenses())
    known = sorted(_KINDS[name]._get_param_names())
    for parameter in parameters:
        if parameter not in known:
            raise TypeError(
                f"parameters of defense {name!r} must be among {known}, got {parameter!r}; "
                "correct or remove it."
            )
    return _KINDS[name](**parameters)
