"""Run the notebooks and store what they show: `python notebooks/refresh.py [NOTEBOOK ...]`."""

import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent


def execute(path: Path, extra_cell: str = "") -> nbformat.NotebookNode:
    """Return the notebook after a run in a folder of its own; `extra_cell` runs at the end."""
    notebook = nbformat.read(path, as_version=4)
    if extra_cell:
        notebook.cells.append(nbformat.v4.new_code_cell(extra_cell))
    # Data from the bundle only, commands from this environment, and the same sums on any machine.
    environment = {name: value for name, value in os.environ.items() if name != "TSGUARD_DATA"}
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook,
            timeout=600,
            record_timing=False,
            coalesce_streams=True,
            extra_arguments=["--log-level=ERROR"],
        )
        client.execute(cwd=folder, env=environment)
    # Versions of Python and editors' notes would change with every run.
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return notebook


if __name__ == "__main__":
    for path in [Path(name) for name in sys.argv[1:]] or sorted(FOLDER.glob("*.ipynb")):
        nbformat.write(execute(path), path)
