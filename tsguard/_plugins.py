"""Triggers and defenses of the user's own: importing their file or module puts them on the list.

Only a name that the user gives is ever imported. Trigger files (``Trigger.load``) are data; reading
one imports nothing.
"""

import importlib
import importlib.util
import sys
from pathlib import Path


def import_plugin(name: str) -> None:
    """Import a Python file or module, which defines triggers or registers defenses.

    Parameters
    ----------
    name : str
        Path of a file that ends in ``.py``, or the name of a module that can be imported.

    Raises
    ------
    ValueError
        If there is no such file or module, or importing it fails.
    """
    try:
        if name.endswith(".py"):
            _import_file(Path(name))
        else:
            importlib.import_module(name)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and f"{name}.".startswith(f"{error.name}."):
            reason = "no such module"
        elif isinstance(error, FileNotFoundError) and error.filename == str(Path(name).resolve()):
            reason = "no such file"
        else:
            reason = f"{type(error).__name__} ({error}) while importing it"
        raise ValueError(
            f"plugin must be a Python file (.py) or the name of a module that can be imported, got "
            f"{name!r}: {reason}; correct the name or the file."
        ) from error


def _import_file(path: Path) -> None:
    path = path.resolve()
    name = f"tsguard_plugin_{path.stem}"
    loaded = sys.modules.get(name)
    if loaded is not None and loaded.__file__ == str(path):
        return
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # before it runs, as an import does: dataclasses look it up
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
