"""Rules of the structure that a reader should be able to rely on."""

import ast
import re
from pathlib import Path

import pytest

import tsguard

PACKAGE = Path(tsguard.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))
VISION = sorted((PACKAGE.parent / "tsguard_vision").rglob("*.py"))

#: Modules that draw, lay out tables or write pages, where a figure or column has a size.
DRAWING = re.compile(r"_plots|_demo|_bench|_report|_scan|_tables")

#: What `fit` runs through: none of it may know about attacks or see the poison truth.
UNDER_FIT = [
    *(PACKAGE / f"{name}.py" for name in ("_base", "_e2abl", "_engine", "_isolation")),
    *(PACKAGE / f"{name}.py" for name in ("_objectives", "_validation", "_random", "_device")),
    *(PACKAGE / f"{name}.py" for name in ("_checkpoint", "_identity", "_journal")),
    *(PACKAGE / "models").glob("*.py"),
    *(PACKAGE / "suspicion").glob("*.py"),
    *(PACKAGE / "defenses").glob("*.py"),
    *(path for path in VISION if path.stem in ("_backbones", "_classifiers", "_inputs", "_views")),
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
        for path in SOURCES + VISION
        for _ in re.finditer(r"\.backward\(", path.read_text())
    ]
    assert calls == ["_engine.py"]


@pytest.mark.parametrize("path", UNDER_FIT, ids=lambda path: path.stem)
def test_nothing_under_fit_knows_attacks_or_evaluation(path):
    forbidden = ("tsguard.attacks", "tsguard._evaluate", "tsguard._experiment", "tsguard._demo")
    forbidden += ("tsguard_vision.attacks", "tsguard_vision._experiment", "tsguard_vision._demo")
    assert not [name for name in imported_modules(path) if name.startswith(forbidden)]
    assert "is_poisoned" not in path.read_text()


@pytest.mark.parametrize(
    "name",
    [
        *("_engine", "_objectives", "_isolation", "_random", "_device"),
        *("_checkpoint", "_identity", "_journal"),
    ],
)
def test_engine_knows_nothing_of_axes(name):
    text = (PACKAGE / f"{name}.py").read_text()
    assert not re.search(r"timepoint|n_channels|height|width|\bimage", text)


def test_tsguard_never_imports_tsguard_vision():
    assert VISION
    assert not [
        path
        for path in SOURCES
        if any(n.startswith("tsguard_vision") for n in imported_modules(path))
        or re.search(r"import_module\(.?tsguard_vision", path.read_text())
    ]


def test_tsguard_knows_no_height_or_width():
    sources = [path for path in SOURCES if not DRAWING.search(str(path.relative_to(PACKAGE)))]
    assert len(sources) > 80
    assert [path.name for path in sources if re.search(r"\b(height|width)", path.read_text())] == []


def test_public_names_are_sorted_and_exist():
    assert tsguard.__all__ == sorted(tsguard.__all__)
    assert all(getattr(tsguard, name) is not None for name in tsguard.__all__)
    assert set(tsguard.__all__) <= set(dir(tsguard))
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = tsguard.nonsense


@pytest.mark.parametrize(
    "path", SOURCES + VISION, ids=lambda path: str(path.relative_to(PACKAGE.parent))
)
def test_modules_stay_short(path):
    assert len(path.read_text().splitlines()) <= 400
