"""What the comparisons with other people's repositories share."""

import argparse
import ast
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any


def run_comparison(
    description: str | None,
    path: Path,
    compare: Callable[[Path, Path | None], dict[str, Any]],
    write_table: Callable[[dict[str, Any]], None],
) -> None:
    """Compare on one thread, and write results and table.

    ``compare(clones, data)`` returns the results; versions and device are added to them.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--clones", type=Path, required=True, help="folder of the clones")
    parser.add_argument("--data", type=Path, default=None, help="folder of the archive's files")
    options = parser.parse_args()
    import torch

    from tsguard._experiment import versions

    torch.set_num_threads(1)
    results = compare(options.clones, options.data)
    results |= {"versions": versions(), "device": f"cpu, 1 thread of {os.cpu_count()}"}
    path.write_text(json.dumps(results, indent=2) + "\n")
    write_table(results)


def functions_of(path: Path, names: list[str], **known: Any) -> dict[str, Any]:
    """Return functions, classes and methods of a file without running the rest of it.

    Parameters
    ----------
    path : pathlib.Path
    names : list of str
        A method is ``"Class.method"``; it comes without its decorators, as a function.
    **known
        What the code finds by name besides NumPy, torch and typing.
    """
    import typing

    import numpy as np
    import torch

    found = {
        "np": np,
        "torch": torch,
        "nn": torch.nn,
        "F": torch.nn.functional,
        "DataLoader": torch.utils.data.DataLoader,
        "Any": Any,
        "Union": typing.Union,
        **known,
    }
    wanted = []
    for node in ast.parse(path.read_text()).body:
        name = getattr(node, "name", None)
        if name in names:
            wanted.append(node)
        for method in getattr(node, "body", []):
            full = f"{name}.{getattr(method, 'name', None)}"
            if full in names:
                method.name, method.decorator_list = full.replace(".", "_"), []
                wanted.append(method)
    exec(compile(ast.Module(wanted, type_ignores=[]), str(path), "exec"), found)
    return {name: found[name.replace(".", "_")] for name in names}
