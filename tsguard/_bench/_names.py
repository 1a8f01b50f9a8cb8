"""Which names and parameters a grid may hold; each check refuses what no cell could run with."""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tsguard._base import NeuralClassifier
from tsguard._datasets import list_datasets
from tsguard._experiment import list_methods, make_classifier
from tsguard._random import numpy_stream
from tsguard._values import is_integer, near_names, unknown_name_error
from tsguard.attacks import LearnedTrigger, Trigger, get_trigger, list_triggers
from tsguard.defenses import StandardClassifier

#: Training settings that all classifiers of a grid share.
_SETTINGS = ("n_epochs", "batch_size", "learning_rate", "weight_decay", "precision")
#: Parameters that the grid gives by other means.
_GIVEN = ("backbone", "device", "random_state", "verbose", "clean_indices")

Parameters = Mapping[str, Any]


def check_datasets(names: Sequence[str], root: Path | None) -> tuple[str, ...]:
    """Return the names as their owners spell them; a path stays a path."""
    known = {name.lower(): name for name in list_datasets(root)}
    wanted = [name for name in names if not name or not Path(name).expanduser().exists()]
    if any(name.lower() not in known for name in wanted):
        from aeon.datasets.tsc_datasets import multivariate, univariate

        known = {name.lower(): name for name in (*univariate, *multivariate)} | known
    for name in wanted:
        if name.lower() not in known:
            near = near_names(name, known.values())
            advice = f"did you mean {' or '.join(map(repr, near))}?" if near else "check it."
            raise ValueError(
                "a data set must be at hand, in the UCR/UEA archives, or a path, got "
                f"{name!r}; {advice}"
            )
    found = tuple(known[name.lower()] if name in wanted else name for name in names)
    if len(set(found)) < len(found):
        raise ValueError(f"datasets must not repeat anything, got {names!r}; name each once.")
    return found


def check_attacks(names: Iterable[str]) -> None:
    """Refuse names of no trigger."""
    for name in names:
        if name not in list_triggers():
            raise unknown_name_error("an attack", name, list_triggers())


def check_defenses(names: Iterable[str]) -> None:
    """Refuse names of no way to train."""
    for name in names:
        if name not in list_methods():
            raise unknown_name_error("a defense", name, list_methods())


def fill_settings(settings: Parameters) -> dict[str, Any]:
    """Return all training settings, those left out at their default.

    A cell then stays the same cell whether a default is written down or not, and becomes another
    when a default changes.
    """
    for name in settings:
        if name not in _SETTINGS:
            raise unknown_name_error("a key of [settings]", name, _SETTINGS)
    defaults = inspect.signature(StandardClassifier).parameters
    filled = {name: settings.get(name, defaults[name].default) for name in _SETTINGS}
    _check_values(StandardClassifier(**filled))
    return {name: type(defaults[name].default)(value) for name, value in filled.items()}


def attack_parameters(tables: Mapping[str, Parameters], attacks: Iterable[str]) -> dict[str, Any]:
    """Return the parameters of the triggers after making each once."""
    for name, parameters in tables.items():
        _check_table("attack_parameters", name, attacks)
        for parameter in parameters:
            if parameter in ("weights", "shape"):
                raise ValueError(
                    f"[attack_parameters.{name}] must not hold {parameter!r}, got "
                    f"{parameters[parameter]!r}; triggers are learned where they are needed."
                )
        _try_trigger(make_trigger(name, parameters), parameters.get("channels", 0))
    return {name: dict(parameters) for name, parameters in tables.items()}


def _try_trigger(trigger: Trigger, channels: Any) -> None:
    """Use a trigger once, on series that have its channels and, if it is not learned, any step."""
    chosen = channels if isinstance(channels, list) else [channels]
    largest = max([one for one in chosen if is_integer(one)], default=0)
    n_channels = 1 + min(max(largest, 0), 2000)
    if isinstance(trigger, LearnedTrigger):
        if not type(trigger).__module__.startswith("tsguard."):
            return  # nobody knows what series a plugin can be learned on
        X = numpy_stream(0, "trial").normal(size=(8, n_channels, 64))
        trigger.fit(X, [0, 1] * 4, 0, random_state=0)
    else:
        n_timepoints = 2**20 // n_channels
        trigger.apply(np.linspace(0, 1, n_channels * n_timepoints).reshape(1, n_channels, -1))


def make_trigger(name: str, parameters: Parameters) -> Trigger:
    """Return the trigger; lists, which TOML and JSON have for tuples, become tuples."""
    get_trigger(name, **parameters)  # its message about unknown parameters is the better one
    return Trigger.from_dict({"kind": name, **parameters})


def defense_parameters(
    tables: Mapping[str, Parameters], defenses: Iterable[str], backbone: str, settings: Parameters
) -> dict[str, Any]:
    """Return the parameters of the defenses after making each once."""
    for name, parameters in tables.items():
        _check_table("defense_parameters", name, defenses)
        known = sorted(set(make_classifier(name)._get_param_names()) - {*_GIVEN})
        for parameter in parameters:
            if parameter not in known:
                raise unknown_name_error(f"a key of [defense_parameters.{name}]", parameter, known)
        values = {"backbone": backbone, **settings, **parameters}
        _check_values(make_classifier(name, **values))
    return {name: dict(parameters) for name, parameters in tables.items()}


@cache
def needs_clean_subset(defense: str) -> bool:
    """Say whether a way to train must be told some clean samples."""
    return make_classifier(defense).needs_clean_subset


def _check_table(table: str, name: str, names: Iterable[str]) -> None:
    """Refuse parameters of what the grid does not run: most likely a slip."""
    if name not in names:
        raise unknown_name_error(f"a table in [{table}]", name, names)


def _check_values(classifier: NeuralClassifier) -> None:
    classifier._validate_params()
