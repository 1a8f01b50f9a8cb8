"""Rules of the structure that a reader should be able to rely on."""

import ast
import re
from pathlib import Path

import pytest

import tsguard

PACKAGE = Path(tsguard.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))

#: What `fit` runs through: none of it may know about attacks or see the poison truth.
UNDER_FIT = [
    *(PACKAGE / f"{name}.py" for name in ("_base", "_e2abl", "_engine", "_isolation")),
    *(PACKAGE / f"{name}.py" for name in ("_objectives", "_validation", "_random", "_device")),
    *(PACKAGE / "models").glob("*.py"),
    *(PACKAGE / "suspicion").glob("*.py"),
    *(PACKAGE / "defenses").glob("*.py"),
]


def imported_modules(path):
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield f"{node.module}"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_there_is_one_training_loop():
    calls = [
        path.name
        for path in [*SOURCES, *PACKAGE.parent.glob("tsguard_vision/**/*.py")]
        for _ in re.finditer(r"\.backward\(", path.read_text())
    ]
    assert calls == ["_engine.py"]


@pytest.mark.parametrize("path", UNDER_FIT, ids=lambda path: path.stem)
def test_nothing_under_fit_knows_attacks_or_evaluation(path):
    forbidden = ("tsguard.attacks", "tsguard._evaluate", "tsguard._experiment", "tsguard._demo")
    assert not [name for name in imported_modules(path) if name.startswith(forbidden)]
    assert "is_poisoned" not in path.read_text()


@pytest.mark.parametrize("name", ["_engine", "_objectives", "_isolation", "_random", "_device"])
def test_engine_knows_nothing_of_axes(name):
    text = (PACKAGE / f"{name}.py").read_text()
    assert not re.search(r"timepoint|n_channels|height|width|\bimage", text)


def test_tsguard_never_imports_tsguard_vision():
    assert not [
        path
        for path in SOURCES
        if any(n.startswith("tsguard_vision") for n in imported_modules(path))
    ]


def test_public_names_are_sorted_and_exist():
    assert tsguard.__all__ == sorted(tsguard.__all__)
    assert all(getattr(tsguard, name) is not None for name in tsguard.__all__)
    assert set(tsguard.__all__) <= set(dir(tsguard))
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = tsguard.nonsense


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_stay_short(path):
    assert len(path.read_text().splitlines()) <= 400
