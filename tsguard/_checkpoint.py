"""A folder from which an interrupted ``fit`` goes on.

``checkpoint.json`` says which fit it belongs to and names one file of tensors for every run of the
engine so far. A new state is written beside the old one; replacing ``checkpoint.json``, which the
operating system does in one step, makes it count. So whenever a process dies, the folder holds the
new state or the one before. Nothing in it is ever run. The format: ``docs/save-and-load.md``.
"""

import hashlib
import json
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import safetensors.torch
from torch import Tensor

from tsguard._atomic import explain, file_in_one_go
from tsguard._identity import digest_of_values

FORMAT = "tsguard-checkpoint"
FORMAT_VERSION = 1

SHORTEST_PAUSE = 1.0  # seconds between two states
LARGEST_SHARE = 0.02  # of the time that writing may take, the ends of runs aside

_INDEX = "checkpoint.json"
_LOCK = "lock"
_OURS = re.compile(r"checkpoint\.json|lock|run-\d+(-epoch-\d+)?\.safetensors|\..+\.part")


@dataclass(frozen=True)
class State:
    """A run of the engine between two epochs, or after its last one.

    Attributes
    ----------
    tensors : dict of str to torch.Tensor
        On the CPU, no two sharing memory.
    epochs : list of dict
        ``Records.epochs`` so far.
    finished : bool
        Whether this is the end of the run.
    """

    tensors: dict[str, Tensor]
    epochs: list[dict[str, float | str]]
    finished: bool


class Checkpoint:
    """The states of one fit, in a folder.

    A fit may run the engine several times. Runs are numbered in their order: those that an earlier
    process has finished are handed out again, and so is the state of the one it was in.

    Parameters
    ----------
    folder : str or path
        New, empty, or a checkpoint of the same fit.

    Raises
    ------
    TypeError
        If ``folder`` is no path.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        if not isinstance(folder, str | os.PathLike):
            raise TypeError(
                f"checkpoint must be the path of a folder or None, got {type(folder).__name__}; "
                "give one such as 'my_checkpoint'."
            )
        self.folder = Path(os.fsdecode(folder)).absolute()  # the same one wherever we go meanwhile
        self._identity: dict[str, Any] = {}
        self._entries: list[dict[str, Any]] = []  # of the states that count, one per run
        self._states: list[State] = []  # those found on opening
        self._run = -1
        self._not_before = 0.0
        self._lock: IO[bytes] | None = None

    def open(self, identity: dict[str, Any], seed: int) -> int:
        """Make the folder, or go on from what it holds.

        Parameters
        ----------
        identity : dict
            Plain values that tell this fit from others; see :func:`tsguard._identity.identity_of`.
        seed : int
            Of a new fit.

        Returns
        -------
        int
            The seed of the fit: the given one, or the one with which it was begun.

        Raises
        ------
        OSError
            If the folder holds something else, is in use or can't be written.
        ValueError
            If it belongs to another fit, or is damaged.
        """
        try:
            begun = self._look()
            self.folder.mkdir(parents=True, exist_ok=True)
            self._take_lock()
            index: dict[str, Any] = {**identity, "seed": seed, "runs": []}
            if begun:
                index = self._read_index()
                self._compare(index, identity)
            self._entries = index["runs"]
            self._states = [self._read_state(entry) for entry in self._entries]
            if not all(state.finished for state in self._states[:-1]):
                raise self.damaged("a run was begun before the one before it was over")
            self._identity = identity | {"seed": index["seed"]}
            if not begun:
                self._write_index()
            self._tidy()
        except OSError as error:
            raise explain(error, "checkpoint") from error
        return int(index["seed"])

    def close(self) -> None:
        """Let others use the folder."""
        if self._lock is not None:
            self._lock.close()

    def next_run(self) -> State | None:
        """Begin the next run of the engine; return what an earlier process did of it."""
        self._run += 1
        return self._states[self._run] if self._run < len(self._states) else None

    def keep(self, capture: Callable[[], State], *, finished: bool) -> None:
        """Write the state of the current run: at its end, else if it has been long enough.

        Raises
        ------
        OSError
            If it can't be written; the state before is still there.
        """
        start = time.monotonic()
        if start < self._not_before and not finished:
            return
        try:
            self._write(capture())
        except OSError as error:
            raise explain(error, "checkpoint") from error
        end = time.monotonic()
        self._not_before = end + max(SHORTEST_PAUSE, (end - start) / LARGEST_SHARE)

    def damaged(self, reason: object, name: str = _INDEX) -> ValueError:
        """Return the error about a file that does not hold what it should."""
        return ValueError(
            f"checkpoint must be as fit wrote it, got {self.folder} with a damaged or altered "
            f"{name} ({reason}); restore a copy, or remove the folder to begin anew."
        )

    # -- the folder ----------------------------------------------------------------------------

    def _look(self) -> bool:
        """Return whether a fit has been begun here; refuse a folder of something else."""
        if not self.folder.exists():
            return False
        others = ["a file"]
        if self.folder.is_dir():
            names = sorted(path.name for path in self.folder.iterdir())
            others = [name for name in names if not _OURS.fullmatch(name)]
        if others:
            raise FileExistsError(
                f"checkpoint must be a new or empty folder or one of the same fit, got "
                f"{self.folder} ({', '.join(others[:3])}); choose another one."
            )
        if _INDEX not in names and any(name.startswith("run-") for name in names):
            raise self.damaged(f"there is no {_INDEX}")
        return _INDEX in names

    def _take_lock(self) -> None:
        """Keep other processes out; the system lifts the lock when this one ends, however it does.

        Where there are no such locks, nobody is kept out.
        """
        try:
            import fcntl
        except ImportError:
            return
        self._lock = (self.folder / _LOCK).open("ab")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BlockingIOError(
                f"checkpoint must be used by one fit at a time, got {self.folder}, which another "
                "one is using; wait for it or give another folder."
            ) from error
        except OSError:
            return

    def _compare(self, index: dict[str, Any], identity: dict[str, Any]) -> None:
        difference = _difference(index, identity)
        if difference is not None:
            raise ValueError(
                f"checkpoint must belong to this fit, got {self.folder} of another one "
                f"({difference}); give the data and parameters of that fit, or another folder."
            )

    # -- reading -------------------------------------------------------------------------------

    def _read_index(self) -> dict[str, Any]:
        try:
            index = json.loads((self.folder / _INDEX).read_bytes())
            known = isinstance(index, dict) and index.get("format") == FORMAT
            newer = known and int(index["format_version"]) > FORMAT_VERSION
            intact = known and index.get("sha256") == digest_of_values(index, allow_nan=True)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise self.damaged(error) from error
        if newer:
            raise ValueError(
                f"format_version of checkpoint {self.folder} must be at most {FORMAT_VERSION}, got "
                f"{index['format_version']}; update tsguard."
            )
        if not intact:
            raise self.damaged("its checksum does not match")
        runs = index.get("runs")
        entries = isinstance(runs, list) and all(isinstance(entry, dict) for entry in runs)
        if not entries or type(index.get("seed")) is not int:
            raise self.damaged("'runs' or 'seed' is missing or of another type")
        return dict(index)

    def _read_state(self, entry: dict[str, Any]) -> State:
        """Read and check one file, all of it before anything is trained."""
        name = str(entry.get("file"))
        path = self.folder / name
        if not (_OURS.fullmatch(name) and path.is_file()):
            raise self.damaged("it is not there", name)
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != entry.get("sha256"):
            raise self.damaged("its checksum does not match", name)
        try:
            # Copied into memory of torch's own, aligned as that of any other network.
            tensors = {key: one.clone() for key, one in safetensors.torch.load(data).items()}
            return State(tensors, entry["epochs"], entry["finished"])
        except Exception as error:  # whatever a header made on purpose leads to
            raise self.damaged(error, name) from error

    # -- writing -------------------------------------------------------------------------------

    def _write(self, state: State) -> None:
        stage = "" if state.finished else f"-epoch-{len(state.epochs)}"
        name = f"run-{self._run}{stage}.safetensors"
        data = safetensors.torch.save(state.tensors)
        _write_through(self.folder / name, data)
        entry = {
            "file": name,
            "sha256": hashlib.sha256(data).hexdigest(),
            "finished": state.finished,
            "epochs": state.epochs,
        }
        self._entries = [*self._entries[: self._run], entry]
        self._write_index()
        self._tidy()

    def _write_index(self) -> None:
        version = {"format": FORMAT, "format_version": FORMAT_VERSION}
        index = {**version, **self._identity, "runs": self._entries}
        index["sha256"] = digest_of_values(index, allow_nan=True)  # a mean loss may be NaN
        with file_in_one_go(self.folder / _INDEX) as part:
            _write_through(part, json.dumps(index, indent=1).encode("ascii"))

    def _tidy(self) -> None:
        """Remove states that no longer count, and what a process that died has left."""
        wanted = {_INDEX, _LOCK, *(entry["file"] for entry in self._entries)}
        for path in self.folder.iterdir():
            if path.name not in wanted and _OURS.fullmatch(path.name):
                path.unlink(missing_ok=True)


def _difference(index: dict[str, Any], identity: dict[str, Any]) -> str | None:
    """Say what tells two fits apart, the first such thing; None if they are the same."""
    for name, here in identity.items():
        there = index.get(name)
        if isinstance(here, dict) and isinstance(there, dict):
            inner = _difference(there, here)
            if inner is not None:
                return inner
        elif there != here:
            return f"{name} is {there!r} there and {here!r} here"
    return None


def _write_through(path: Path, data: bytes) -> None:
    """Write a file down to the disk, for a machine that loses its power."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
