"""The files of a saved model: written in one go, and checked before anything is made of them.

A folder may come from anybody. So the names of its files are fixed, nothing in it is ever run,
every file must match its checksum, and no memory is taken that the file itself does not fill.
"""

import hashlib
import io
import json
import math
import zipfile
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import safetensors.torch
import torch
from numpy.lib import format as npy
from numpy.typing import NDArray

from tsguard._atomic import folder_in_one_go
from tsguard._identity import digest_of_values

FORMAT = "tsguard-model"
FORMAT_VERSION = 1

_DESCRIPTION = "model.json"
_WEIGHTS = "weights.safetensors"
_ARRAYS = "arrays.npz"

Arrays = dict[str, NDArray[Any]]
Tensors = dict[str, torch.Tensor]
_T = TypeVar("_T")


def take(values: Any, key: str, kind: type[_T]) -> _T:
    """Return an entry of a description, of exactly the type that it must have.

    Parameters
    ----------
    values : dict
        What was read from JSON.
    key : str
    kind : type

    Raises
    ------
    ValueError
        If the entry is missing or of another type (a boolean is no integer).
    """
    value = values.get(key) if isinstance(values, dict) else None
    if type(value) is not kind:
        raise damaged(f"{key!r} is {type(value).__name__}, not {kind.__name__}")
    return value


def damaged(reason: object, name: str = _DESCRIPTION) -> ValueError:
    """Return the error about a file that does not hold what it should."""
    return ValueError(
        f"{name} must be as tsguard.save wrote it, got a damaged or altered file ({reason}); "
        "save the model again or get another copy."
    )


# -- writing -----------------------------------------------------------------------------------


def check_replaceable(folder: Path) -> None:
    """Refuse to write where something else than a model would be lost.

    Raises
    ------
    FileExistsError
        If `folder` is a file, or holds anything but a model.
    """
    if not folder.exists():
        return
    others = ["a file"]
    if folder.is_dir():
        names = sorted(path.name for path in folder.iterdir())
        others = [name for name in names if name not in (_DESCRIPTION, _WEIGHTS, _ARRAYS)]
        if names and not others and not _is_model(folder):
            others = names
    if others:
        raise FileExistsError(
            f"folder must be new, empty or hold a model written by tsguard.save, got {folder} "
            f"({', '.join(others[:3])}); choose another one or remove it."
        )


def write_folder(
    folder: Path, description: dict[str, Any], tensors: Tensors, arrays: Arrays
) -> None:
    """Write a model; a reader finds the old folder or the new one, never half of one.

    Parameters
    ----------
    folder : Path
        Missing parents are made.
    description : dict
        Plain values for ``model.json``; format, version and checksums are added.
    tensors : dict of str to torch.Tensor
        On the CPU, contiguous, no two sharing memory.
    arrays : dict of str to ndarray
        Of numbers or booleans.

    Raises
    ------
    FileExistsError
        See :func:`check_replaceable`.
    """
    check_replaceable(folder)
    # Not compressed: then an array cannot be larger than the file that declares it.
    stream = io.BytesIO()
    np.savez(stream, **arrays)  # type: ignore[arg-type]  # NumPy takes a name as its own option
    contents = {_WEIGHTS: safetensors.torch.save(tensors), _ARRAYS: stream.getvalue()}
    description = {"format": FORMAT, "format_version": FORMAT_VERSION, **description}
    description["files"] = {
        name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in contents.items()
    }
    description["sha256"] = digest_of_values(description, allow_nan=False)
    contents[_DESCRIPTION] = json.dumps(description, indent=1, allow_nan=False).encode("ascii")
    with folder_in_one_go(folder) as part:
        for name, data in contents.items():
            (part / name).write_bytes(data)


# -- reading -----------------------------------------------------------------------------------


def read_folder(folder: Path) -> tuple[dict[str, Any], Tensors, Arrays]:
    """Read what :func:`write_folder` wrote; the inverse of it.

    Raises
    ------
    FileNotFoundError
        If the folder or one of its files is not there.
    ValueError
        If it is no model, is of a newer format, or is damaged.
    """
    description = _read_description(folder)
    files = take(description, "files", dict)
    weights = _read_checked(folder, _WEIGHTS, take(files, _WEIGHTS, dict))
    packed = _read_checked(folder, _ARRAYS, take(files, _ARRAYS, dict))
    try:
        # Copied into memory of torch's own, aligned as that of any other network.
        tensors = {name: one.clone() for name, one in safetensors.torch.load(weights).items()}
    except Exception as error:  # whatever a header made on purpose leads to
        raise damaged(error, _WEIGHTS) from error
    try:
        arrays = _unpack(packed)
    except Exception as error:  # zipfile and NumPy's headers have a dozen kinds of their own
        raise damaged(error, _ARRAYS) from error
    return description, tensors, arrays


def _read_description(folder: Path) -> dict[str, Any]:
    path = folder / _DESCRIPTION
    _check_file(path)
    try:
        description = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise damaged(error) from error
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise ValueError(
            f"folder must hold a model written by tsguard.save, got {path} of another format; "
            "give another folder."
        )
    version = take(description, "format_version", int)
    if version > FORMAT_VERSION:
        raise ValueError(
            f"format_version of {path} must be at most {FORMAT_VERSION}, got {version}, written "
            f"by tsguard {description.get('tsguard_version')}; update tsguard."
        )
    try:
        digest = digest_of_values(description, allow_nan=False)
    except (ValueError, RecursionError) as error:
        raise damaged(error) from error
    if version < 1 or description.get("sha256") != digest:
        raise damaged("its checksum does not match")
    return description


def _is_model(folder: Path) -> bool:
    try:
        _read_description(folder)
    except (OSError, ValueError):
        return False
    return True


def _check_file(path: Path) -> None:
    if not path.is_file():  # nor a pipe or a device, which would be read for ever
        raise FileNotFoundError(
            f"folder must hold a model written by tsguard.save, got no file {path}; check the path."
        )


def _read_checked(folder: Path, name: str, declared: dict[str, Any]) -> bytes:
    """Return the bytes of a file once they match; what is used later is what was checked."""
    path = folder / name
    _check_file(path)
    size, expected = path.stat().st_size, take(declared, "bytes", int)
    if size != expected:
        raise damaged(f"it has {size} bytes instead of {expected}", name)
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != take(declared, "sha256", str):
        raise damaged("its checksum does not match", name)
    return data


def _unpack(data: bytes) -> Arrays:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        if sum(one.file_size for one in members) > len(data):
            raise ValueError("it unpacks to more than it holds")
        return {
            one.filename.removesuffix(".npy"): _read_array(archive.read(one)) for one in members
        }


def _read_array(data: bytes) -> NDArray[Any]:
    """Return the array of a ``.npy`` file, once its header agrees with the file's length."""
    stream = io.BytesIO(data)
    version = npy.read_magic(stream)  # type: ignore[no-untyped-call]  # NumPy leaves it untyped
    if version != (1, 0):
        raise ValueError(f"an array is of version {version}")
    shape, _, dtype = npy.read_array_header_1_0(stream)  # type: ignore[no-untyped-call]
    if dtype.kind not in "biuf" or math.prod(shape) * dtype.itemsize != len(data) - stream.tell():
        raise ValueError(f"an array claims to be {dtype} of shape {shape}")
    stream.seek(0)
    array: NDArray[Any] = npy.read_array(stream)  # type: ignore[no-untyped-call]
    return array
