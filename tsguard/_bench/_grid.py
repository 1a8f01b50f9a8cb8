"""The grid file: its keys, their types and defaults, and the cells that it describes."""

import itertools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from tsguard._bench._names import (
    attack_parameters,
    check_attacks,
    check_datasets,
    check_defenses,
    defense_parameters,
    fill_settings,
    needs_clean_subset,
)
from tsguard._values import is_integer, is_number, unknown_name_error
from tsguard.models import check_backbone

#: Name in a grid → arguments of ``Experiment.prepare``.
MODES: dict[str, dict[str, Any]] = {
    "dirty": {},
    "clean": {"mode": "clean"},
    "all_to_all": {"mode": "all_to_all"},
    "two_targets": {"n_targets": 2},
    "cover": {"cover_rate": 0.01},
}

#: Attack and mode of the cells in which nothing is poisoned.
NOTHING = "none"

Config = dict[str, Any]
"""What makes a cell the one it is, ready for JSON; two cells with equal ones are the same cell."""


@dataclass(frozen=True)
class Grid:
    """What to combine with what; the attributes are the keys of a grid file.

    Attributes
    ----------
    datasets : tuple of str
        Names or paths, see :func:`tsguard.load_dataset`.
    attacks : tuple of str
        Names of triggers.
    modes : tuple of str
        See ``MODES``.
    rates : tuple of float
        Poisoned shares, 0 to 1. At 0 nothing is poisoned: one run for all attacks and modes.
    defenses : tuple of str
        See :func:`tsguard._experiment.list_methods`.
    backbones : tuple of str
    seeds : tuple of int
        Each draws the subset, the target class and the samples to poison, and seeds the training.
    max_train, max_test : int or None
        Larger parts are cut to a stratified draw of this size.
    clean_share : float
        Share of the training set told to defenses that need clean samples.
    plugins : tuple of str
        Files or modules that define triggers.
    settings : mapping
        Training settings of all classifiers; see ``fill_settings``.
    attack_parameters, defense_parameters : mapping
        Name → parameters that are not left at their default.
    """

    datasets: tuple[str, ...]
    attacks: tuple[str, ...]
    modes: tuple[str, ...] = ("dirty",)
    rates: tuple[float, ...] = (0.1,)
    defenses: tuple[str, ...] = ("undefended", "oracle", "e2abl")
    backbones: tuple[str, ...] = ("inceptiontime",)
    seeds: tuple[int, ...] = (0,)
    max_train: int | None = None
    max_test: int | None = None
    clean_share: float = 0.05
    plugins: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    attack_parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    defense_parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def cells(self) -> list[Config]:
        """Return all cells; a first seed is finished before the next begins."""
        conditions = [
            (attack, mode, rate)
            for mode, rate, attack in itertools.product(self.modes, self.rates, self.attacks)
            if rate > 0
        ]
        if 0 in self.rates:
            conditions.append((NOTHING, NOTHING, 0.0))
        return [
            self._cell(dataset, attack, mode, rate, defense, backbone, seed)
            for seed, dataset, (attack, mode, rate), backbone, defense in itertools.product(
                self.seeds, self.datasets, conditions, self.backbones, self.defenses
            )
            # On clean data the true labels are the given ones.
            if not (defense == "oracle" and rate == 0)
        ]

    def _cell(
        self,
        dataset: str,
        attack: str,
        mode: str,
        rate: float,
        defense: str,
        backbone: str,
        seed: int,
    ) -> Config:
        return {
            "dataset": dataset,
            "max_train": self.max_train,
            "max_test": self.max_test,
            "attack": attack,
            "attack_parameters": dict(self.attack_parameters.get(attack, {})),
            "mode": mode,
            "rate": rate,
            "defense": defense,
            "defense_parameters": dict(self.defense_parameters.get(defense, {})),
            "backbone": backbone,
            "settings": dict(self.settings),
            "clean_share": self.clean_share if needs_clean_subset(defense) else None,
            "seed": seed,
        }


def read_grid(path: Path, root: Path | None = None) -> Grid:
    """Read a grid file and check all of it, so that nothing fails late that could fail now.

    Parameters
    ----------
    path : Path
        A TOML file; ``docs/benchmark.md`` lists its keys.
    root : Path or None
        A further folder to look for data sets in.

    Returns
    -------
    Grid
        With official spellings and all training settings filled in.

    Raises
    ------
    ValueError
        If the file is no TOML, a key or a name is unknown, or a value is not of the right kind;
        the message names the nearest right one.
    OSError
        If there is no such file.
    """
    from tsguard._plugins import import_plugin

    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(
            f"{path} must be a TOML file, got an error: {error}; correct it."
        ) from error
    try:
        grid = Grid(**{name: _check(name, value) for name, value in _known(values).items()})
        plugins = tuple(_beside(path, name) for name in grid.plugins)
        for name in plugins:
            import_plugin(name)
        _check_names(grid)
        settings = fill_settings(grid.settings)
        return replace(
            grid,
            plugins=plugins,
            datasets=check_datasets(grid.datasets, root),
            settings=settings,
            attack_parameters=attack_parameters(grid.attack_parameters, grid.attacks),
            defense_parameters=defense_parameters(
                grid.defense_parameters, grid.defenses, grid.backbones[0], settings
            ),
        )
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error


def _known(values: dict[str, Any]) -> dict[str, Any]:
    keys = [one.name for one in fields(Grid)]
    for key in values:
        if key not in keys:
            raise unknown_name_error("a key", key, keys)
    for key in ("datasets", "attacks"):
        if key not in values:
            raise ValueError(f"the key {key!r} must be there, got none; name at least one.")
    return values


def _beside(path: Path, plugin: str) -> str:
    """Return the plugin's path, which a grid file gives from where it lies itself."""
    return str((path.parent / plugin).resolve()) if plugin.endswith(".py") else plugin


def _check_names(grid: Grid) -> None:
    check_attacks(grid.attacks)
    check_defenses(grid.defenses)
    for name in grid.backbones:
        check_backbone(name)
    for mode in grid.modes:
        if mode not in MODES:
            raise unknown_name_error("a mode", mode, MODES)


# -- types -------------------------------------------------------------------------------------

_TABLES = ("settings", "attack_parameters", "defense_parameters")
_ITEMS = {"rates": "numbers from 0 to 1", "seeds": "integers from 0 to 4294967295"}


def _check(key: str, value: Any) -> Any:
    """Return the value of a key, of the type that ``Grid`` wants."""
    if key in ("max_train", "max_test"):
        return _check_size(key, value)
    if key == "clean_share":
        return _check_share(key, value)
    if key in _TABLES:
        return _check_table(key, value, is_nested=key != "settings")
    item = _ITEMS.get(key, "strings")
    if not isinstance(value, list) or not value or not all(_is_item(key, one) for one in value):
        raise ValueError(
            f"{key} must be a list of {item}, got {value!r}; put one or more into brackets."
        )
    items = tuple(float(one) if key == "rates" else one for one in value)
    if len(set(items)) < len(items):
        raise ValueError(f"{key} must not repeat anything, got {value!r}; name each once.")
    return items


def _is_item(key: str, value: Any) -> bool:
    if key == "rates":
        return is_number(value) and 0 <= value <= 1
    if key == "seeds":  # what the estimators take as random_state
        return is_integer(value) and 0 <= value < 2**32
    return isinstance(value, str)


def _check_size(key: str, value: Any) -> int:
    if not is_integer(value) or value < 2:
        raise ValueError(
            f"{key} must be an integer of at least 2, got {value!r}; leave it out to keep all."
        )
    return value


def _check_share(key: str, value: Any) -> float:
    if not is_number(value) or not 0 <= value <= 1:
        raise ValueError(f"{key} must be a number from 0 to 1, got {value!r}; 0.05 is usual.")
    return float(value)


def _check_table(key: str, value: Any, *, is_nested: bool) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(
            f"{key} must be a table, got {value!r}; write [{key}] and its entries below."
        )
    for name, entry in value.items():
        if is_nested and not isinstance(entry, dict):
            raise ValueError(
                f"{key}.{name} must be a table, got {entry!r}; write [{key}.{name}] and the "
                "parameters below."
            )
    return value
