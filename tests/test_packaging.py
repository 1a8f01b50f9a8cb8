"""What pyproject.toml promises, the files under .ci hold."""

import re
import tomllib
from pathlib import Path

import tsguard

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


def minimums(requirements):
    """Return the least version of every requirement, as in ``{"numpy": "1.26"}``."""
    pattern = re.compile(r"([\w-]+)(?:\[\w+\])?>=([\d.]+)")
    return dict(pattern.fullmatch(requirement).groups() for requirement in requirements)


def test_version():
    assert PROJECT["version"] == tsguard.__version__


def test_extras():
    assert set(EXTRAS) == {"plot", "parquet", "vision", "bench", "onnx", "docs", "dev"}
    shared = [minimums(requirements).items() for requirements in EXTRAS.values()]
    assert len(dict(set().union(*shared))) == len(set().union(*shared))  # one minimum each


def test_lowest_versions_are_the_minimums():
    text = (ROOT / ".ci" / "lowest.txt").read_text()
    pinned = dict(re.findall(r"^([\w-]+)==([\d.]+)$", text, flags=re.MULTILINE))
    tested = list(PROJECT["dependencies"])
    tested += [line for name in ("plot", "parquet", "onnx", "bench") for line in EXTRAS[name]]
    tools = [name for name in EXTRAS["dev"] if name.startswith(("pytest", "hypothesis"))]
    for name, version in minimums([*tested, *tools]).items():
        assert re.fullmatch(rf"{re.escape(version)}(\.0)*", pinned[name]), name
