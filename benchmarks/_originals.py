"""Single functions out of other people's repositories, for the comparisons with them."""

import ast
from pathlib import Path
from typing import Any


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
        **{"np": np, "torch": torch, "nn": torch.nn, "F": torch.nn.functional},
        **{"DataLoader": torch.utils.data.DataLoader, "Any": Any, "Union": typing.Union},
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
