"""Rules of the structure that a reader should be able to rely on."""

import ast
import re
from pathlib import Path

import pytest

import tsguard

PACKAGE = Path(tsguard.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))
VISION = sorted((PACKAGE.parent / "tsguard_vision").rglob("*.py"))
BENCHMARKS = sorted((Path(__file__).parent.parent / "benchmarks").glob("*.py"))

#: Modules that draw, lay out tables or write pages, where a figure or column has a size.
DRAWING = re.compile(r"_plots|_demo|_bench|_report|_scan|_tables")

#: What nothing under `fit` may know of, and the names of the truth about the poison.
FORBIDDEN = re.compile(
    r"(tsguard|tsguard_vision)\."
    r"(attacks|testing|_bench|_datasets|_demo|_evaluate|_experiment|_plugins|_report|_scan)\b"
)
TRUTH = re.compile(r"is_poisoned|is_cover|y_clean")


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
        for path in SOURCES + VISION + BENCHMARKS
        for _ in re.finditer(r"\.backward\(", path.read_text())
    ]
    assert calls == ["_engine.py"]


def module_name(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def under_fit():
    """Return the modules that the classifiers reach by imports, also by late ones."""
    modules = {module_name(path): path for path in SOURCES + VISION}
    todo = [name for name in modules if name.startswith("tsguard.defenses.")]
    todo += ["tsguard._e2abl", "tsguard_vision._classifiers"]
    reached = set()
    while todo:
        name = todo.pop()
        # The package itself imports nothing before it is asked to.
        if name in modules and name not in reached | {"tsguard"}:
            reached.add(name)
            todo += imported_modules(modules[name])
    return [modules[name] for name in sorted(reached)]


def test_what_runs_under_fit_is_found():
    names = {module_name(path) for path in under_fit()}
    assert {"tsguard._labels", "tsguard._checkpoint", "tsguard.suspicion._votes"} <= names
    assert len(names) > 40


@pytest.mark.parametrize("path", under_fit(), ids=module_name)
def test_nothing_under_fit_knows_attacks_or_the_truth(path):
    assert not [name for name in imported_modules(path) if FORBIDDEN.match(name)]
    assert not TRUTH.search(path.read_text())


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
