"""NumPy archives with the arrays X and y, read piece by piece."""

import math
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from tsguard._tables._reader import Decide, Mark, Reader, Row, Values, check_filled

N_SERIES = 1024  # read at a time


class NpzReader(Reader):
    """X of shape (n_samples, n_timepoints) or (n_samples, n_channels, n_timepoints), and y."""

    typed_labels = False  # they have a type of their own

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._damage_named(), zipfile.ZipFile(path) as archive:
            entries = archive.namelist()
            self._names = [one.removesuffix(".npy") for one in entries]
            self._packed = any(one.compress_type for one in archive.infolist())
        if "X" not in self._names:
            raise self._refused(f"no array X (but {', '.join(self._names[:5]) or 'nothing'})")
        other = next((one for one in entries if not one.endswith(".npy")), None)
        if other is not None:
            raise self._refused(f"also the file {other!r}, which is no array")
        self._shape = self._check_header()
        self._check_others()
        self.has_labels = "y" in self._names
        self.layout = f"NumPy archive, X of shape {self._shape}" + (
            " and y" if self.has_labels else " without y"
        )

    def _refused(self, got: str) -> ValueError:
        return ValueError(
            f"{self.path} must hold series as numbers in an array X and labels in an array y, got "
            f"{got}; save it with np.savez(path, X=X, y=y), shorter series padded with NaN."
        )

    def _check_header(self) -> tuple[int, ...]:
        with self._open("X") as stream:
            try:
                shape, fortran, dtype = _header(stream)
            except ValueError as error:
                raise self._refused(f"an X that can't be read ({error})") from error
        if dtype.kind not in "biuf" or len(shape) not in (2, 3) or 0 in shape:
            raise self._refused(f"X of type {dtype} and shape {shape}")
        if fortran and len(shape) > 1:
            raise self._refused("X in Fortran order (make it np.ascontiguousarray)")
        return shape

    def _check_others(self) -> None:
        """Refuse arrays that the cleaned archive can't have, before any work is done."""
        for name in self._names:
            with self._open(name) as stream:
                try:
                    dtype = _header(stream)[2]
                except ValueError as error:
                    raise self._refused(f"an array {name} that can't be read ({error})") from error
            if dtype.hasobject and name != "y":
                raise ValueError(
                    f"{self.path} must hold arrays of numbers or texts, got Python objects in "
                    f"{name!r}; save it as texts ({name}.astype(str)), or leave it out."
                )

    @contextmanager
    def _damage_named(self) -> Iterator[None]:
        try:
            yield
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise ValueError(
                f"{self.path} must be a NumPy archive, got a file that can't be read ({error}); "
                "check the format, or fetch it again."
            ) from error

    @contextmanager
    def _open(self, name: str) -> Iterator[IO[bytes]]:
        with (
            self._damage_named(),
            zipfile.ZipFile(self.path) as archive,
            archive.open(f"{name}.npy") as stream,
        ):
            yield stream

    def rows(self) -> Iterator[Row]:
        """Yield the series in order."""
        labels = self._labels()
        for index, values in enumerate(self._series()):
            place = f"X[{index}]"
            if np.isinf(values).any():
                raise ValueError(
                    f"{self.path} must hold finite numbers, got infinity in {place}; correct it or "
                    "write NaN."
                )
            label = None if labels is None else labels[index]
            yield Row(check_filled(values, place, self.path), label, place)

    def _labels(self) -> NDArray[Any] | None:
        if not self.has_labels:
            return None
        with self._damage_named(), np.load(self.path, allow_pickle=False) as arrays:
            try:
                labels: NDArray[Any] = arrays["y"]
            except ValueError as error:
                raise self._refused(f"y that can't be read ({error})") from error
        if labels.ndim == 2 and labels.shape[1] == 1:
            labels = labels[:, 0]
        if labels.shape != self._shape[:1]:
            raise self._refused(f"y of shape {labels.shape} for X of shape {self._shape}")
        if labels.dtype.kind not in "biufU":
            raise self._refused(f"y of type {labels.dtype} (make it integers or texts)")
        return labels

    def _series(self) -> Iterator[Values]:
        n_samples, *rest = self._shape
        with self._open("X") as stream:
            dtype = _header(stream)[2]
            size = math.prod(rest) * dtype.itemsize
            for start in range(0, n_samples, N_SERIES):
                count = min(N_SERIES, n_samples - start)
                data = stream.read(count * size)
                if len(data) != count * size:
                    raise self._refused("an X that ends too early")
                block = np.frombuffer(data, dtype).reshape(count, -1, rest[-1])
                yield from block.astype(np.float64)

    def rewrite(self, target: Path, decide: Decide) -> None:
        """Write the archive again; other arrays with one entry per series are cut like X."""
        n_samples = self._shape[0]
        marks = [decide(index) for index in range(n_samples)]
        keep = np.array([mark is not Mark.DROP for mark in marks])
        with np.load(self.path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in self._names}
        for index, mark in enumerate(marks):
            if not isinstance(mark, Mark) and self.has_labels:
                arrays["y"][index] = mark
        for name, array in arrays.items():
            if array.ndim and len(array) == n_samples:
                arrays[name] = array[keep]
        save = np.savez_compressed if self._packed else np.savez
        with target.open("wb") as out:
            save(out, **arrays)


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, order and type of the array that follows."""
    version = npy.read_magic(stream)  # type: ignore[no-untyped-call]  # NumPy leaves it untyped
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = read(stream)  # type: ignore[no-untyped-call]
    return shape, fortran, dtype
