"""Files and folders that appear in one go: a reader finds the old one or the new one."""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def folder_in_one_go(target: Path) -> Iterator[Path]:
    """Give a new folder beside `target`, which takes its place when all went well.

    Whatever was at `target` is replaced then; whether it may be is the caller's business.
    """
    with _part_folder(target) as part:
        yield part
        if not target.exists():
            part.rename(target)
            return
        old = _beside(target)
        target.rename(old)
        try:
            part.rename(target)
        finally:
            if not target.exists():
                old.rename(target)
        shutil.rmtree(old, ignore_errors=True)


@contextmanager
def files_in_one_go(target: Path) -> Iterator[Path]:
    """Give a new folder beside `target`; what it holds is moved there when all went well.

    What else is in `target` stays; entries of the same name are replaced.

    Raises
    ------
    OSError
        If `target` is a file.
    """
    if target.exists() and not target.is_dir():
        raise NotADirectoryError(f"out must be a folder, got the file {target}; choose another.")
    with _part_folder(target) as part:
        yield part
        if not target.exists():
            part.rename(target)
            return
        for entry in part.iterdir():
            if (target / entry.name).is_dir():
                shutil.rmtree(target / entry.name)
            entry.replace(target / entry.name)


@contextmanager
def file_in_one_go(target: Path) -> Iterator[Path]:
    """Give a new path beside `target`; the file written there takes its place when all went well.

    Raises
    ------
    OSError
        If `target` is a directory or a device.
    """
    if target.exists() and not target.is_file():
        raise FileExistsError(
            f"out must be a new file or one to replace, got {target}, which is a "
            f"{'directory' if target.is_dir() else 'device'}; choose another name."
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    part = _beside(target)
    try:
        yield part
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def explain(error: OSError, what: str) -> OSError:
    """Return an error of the operating system as one sentence.

    Parameters
    ----------
    error : OSError
    what : str
        The name of what was to be written.
    """
    if error.errno is None:
        return error  # a sentence already
    reason = os.strerror(error.errno).lower()
    where = f"{error.filename}: " if error.filename else ""
    return type(error)(
        f"{what} could not be written ({where}{reason}); free some space, change the permissions "
        "or choose another place."
    )


@contextmanager
def _part_folder(target: Path) -> Iterator[Path]:
    """Give a new folder beside `target`; what is left of it in the end is removed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = _beside(target)
    part.mkdir()
    try:
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _beside(target: Path) -> Path:
    return target.with_name(f".{target.name}.{uuid.uuid4().hex}.part")
