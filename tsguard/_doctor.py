"""``tsguard doctor``: what is installed here, what it would run on, and what data is at hand."""

import argparse
import importlib
import json
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

NEEDED = ("numpy", "scikit-learn", "aeon", "numba", "torch", "tsai", "safetensors", "joblib")
OPTIONAL = {
    "matplotlib": "plot",
    "pyarrow": "parquet",
    "onnxscript": "onnx",
    "onnxruntime": "onnx",
}
_MODULES = {"scikit-learn": "sklearn"}


def add_doctor(commands: Any) -> None:
    """Add ``tsguard doctor`` to the commands."""
    parser = commands.add_parser(
        "doctor",
        help="show versions, device and data sets at hand",
        description="Show the versions of what tsguard needs, the device it would train on, and "
        "the data sets at hand without a network. Exit code 2 if something needed is broken.",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(run=_doctor)


def examine() -> dict[str, Any]:
    """Return versions, device, data sets, and what is broken.

    Returns
    -------
    dict
        ``versions`` and ``optional`` (None where a package is missing), ``device``, ``threads``,
        ``datasets`` (names), ``problems`` (one sentence each).
    """
    problems: list[str] = []
    versions = {"tsguard": _version("tsguard"), "python": platform.python_version()}
    for name in NEEDED:
        versions[name] = _version(name)
        try:
            _import(name)
        except Exception as error:  # a broken package can raise anything while it is imported
            reason = " ".join(str(error).split())
            problems.append(f"{name} can't be imported ({type(error).__name__}: {reason}).")
    result: dict[str, Any] = {
        "versions": versions,
        "optional": {name: _version(name) for name in OPTIONAL},
        "platform": platform.platform(),
        "device": None,
        "threads": None,
        "datasets": [],
        "problems": problems,
    }
    if not problems:
        import torch

        from tsguard._datasets import list_datasets
        from tsguard._device import resolve_device

        device = resolve_device("auto")
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else "no GPU in use"
        result["device"] = f"{device} ({name})"
        result["threads"] = torch.get_num_threads()
        result["datasets"] = list_datasets()
    return result


def _import(name: str) -> None:
    if name == "tsai":  # imported only for a named backbone, in a way of its own
        from tsguard.models._tsai import find_tsai_class

        find_tsai_class("FCN")
        return
    importlib.import_module(_MODULES.get(name, name))


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _doctor(options: argparse.Namespace) -> tuple[str, int]:
    result = examine()
    code = 2 if result["problems"] else 0
    if options.json:
        return json.dumps(result), code
    lines = [f"{name:<14}{number or 'missing'}" for name, number in result["versions"].items()]
    for name, extra in OPTIONAL.items():
        number = result["optional"][name]
        lines.append(f"{name:<14}{number or f'missing (pip install tsguard[{extra}])'}")
    lines += ["", f"platform      {result['platform']}"]
    lines.append(f"device        {result['device'] or 'unknown'}, {result['threads']} thread(s)")
    names = result["datasets"]
    lines.append(f"data sets     {len(names)} at hand: {', '.join(names) or 'none'}")
    lines += ["", *(result["problems"] or ["Everything that is needed works."])]
    return "\n".join(lines), code
