"""How the attributes of a fitted classifier are written as JSON values and plain arrays.

Each attribute has a kind, which writes it (``pack``) and reads it back (``unpack``). What is read
is held against the sizes of the model: a file cannot make a classifier whose parts do not fit.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tsguard._persistence._folder import Arrays, damaged, take

Axis = str | int | None
"""Length of an axis: the name of a size, a number, or None for any."""

DType = type[np.generic] | None
"""A NumPy type, or a kind of types; None for all numbers and booleans."""


@dataclass
class Store:
    """What kinds write to and read from.

    Attributes
    ----------
    classes : ndarray of shape (n_classes,)
        Labels are written as codes, which are indices into it.
    sizes : dict of str to int
        ``n_samples``, ``n_epochs``, ``n_channels``, ``n_timepoints``.
    arrays : dict of str to ndarray
        Filled by writing, emptied by reading.
    """

    classes: NDArray[Any]
    sizes: dict[str, int]
    arrays: Arrays

    def put(self, name: str, values: Any, dtype: DType, *axes: Axis) -> None:
        """Keep an array under a name, or refuse it."""
        array = np.asarray(values)
        self._check(name, array, dtype, axes)
        self.arrays[name] = array

    def get(self, name: str, dtype: DType, *axes: Axis) -> NDArray[Any]:
        """Hand out an array, or refuse it if it is missing or does not fit."""
        if name not in self.arrays:
            raise damaged(f"there is no {name!r}", "arrays.npz")
        array = self.arrays.pop(name)
        self._check(name, array, dtype, axes)
        return array

    def _check(self, name: str, array: NDArray[Any], dtype: DType, axes: Sequence[Axis]) -> None:
        wanted = tuple(self.sizes[one] if isinstance(one, str) else one for one in axes)
        fits = len(wanted) == array.ndim and all(
            length in (None, got) for length, got in zip(wanted, array.shape, strict=True)
        )
        if not fits or not (dtype is None or np.issubdtype(array.dtype, dtype)):
            raise ValueError(
                f"{name} must be {dtype.__name__ if dtype else 'numbers'} of shape {wanted} to be "
                f"saved or loaded, got {array.dtype} of shape {array.shape}; fit and save the "
                "model again."
            )

    def put_labels(self, name: str, labels: Any, *axes: Axis) -> None:
        """Keep labels as codes."""
        codes = {label: code for code, label in enumerate(self.classes.tolist())}
        try:
            values = [codes[label] for label in np.asarray(labels).tolist()]
        except KeyError as error:
            raise ValueError(
                f"{name} must hold labels of classes_ to be saved, got {error}; fit again."
            ) from error
        self.put(name, np.array(values, np.int32), np.int32, *axes)

    def get_labels(self, name: str, *axes: Axis) -> NDArray[Any]:
        """Hand out labels, given as codes."""
        labels: NDArray[Any] = self.classes[self.get_codes(name, len(self.classes), *axes)]
        return labels

    def get_codes(self, name: str, n_values: int, *axes: Axis) -> NDArray[Any]:
        """Hand out indices into ``n_values`` values."""
        codes = self.get(name, np.int32, *axes)
        if codes.size and not 0 <= codes.min() <= codes.max() < n_values:
            raise damaged(f"{name!r} has codes outside 0 to {n_values - 1}", "arrays.npz")
        return codes


@dataclass(frozen=True)
class Scalar:
    """A plain value of one type."""

    type: type

    def pack(self, name: str, value: Any, store: Store) -> Any:
        """Return the value."""
        return self.type(value)

    def unpack(self, name: str, node: Any, store: Store) -> Any:
        """Undo ``pack``."""
        return take({name: node}, name, self.type)


@dataclass(frozen=True)
class Array:
    """An array of numbers; with ``optional``, None is one of its values."""

    dtype: DType
    axes: tuple[Axis, ...]
    optional: bool = False

    def pack(self, name: str, value: Any, store: Store) -> Any:
        """Keep the array; return whether there is one."""
        if value is None and self.optional:
            return False
        store.put(name, value, self.dtype, *self.axes)
        return True

    def unpack(self, name: str, node: Any, store: Store) -> Any:
        """Undo ``pack``."""
        there = take({name: node}, name, bool)
        if not there and self.optional:
            return None
        array = store.get(name, self.dtype, *self.axes)
        if not np.isfinite(array).all():
            raise damaged(f"{name!r} has values that are not finite", "arrays.npz")
        return array


@dataclass(frozen=True)
class ArrayDict:
    """Arrays of one kind by name."""

    dtype: DType
    axes: tuple[Axis, ...]

    def pack(self, name: str, value: Any, store: Store) -> Any:
        """Keep the arrays; return their names."""
        for key, array in value.items():
            store.put(f"{name}.{key}", array, self.dtype, *self.axes)
        return list(value)

    def unpack(self, name: str, node: Any, store: Store) -> Any:
        """Undo ``pack``."""
        keys = [take({name: key}, name, str) for key in take({name: node}, name, list)]
        return {key: store.get(f"{name}.{key}", self.dtype, *self.axes) for key in keys}


@dataclass(frozen=True)
class Labels:
    """An array of class labels."""

    axes: tuple[Axis, ...]

    def pack(self, name: str, value: Any, store: Store) -> Any:
        """Keep the codes."""
        store.put_labels(name, value, *self.axes)
        return True

    def unpack(self, name: str, node: Any, store: Store) -> Any:
        """Undo ``pack``."""
        return store.get_labels(name, *self.axes)


@dataclass(frozen=True)
class SomeLabels:
    """One label, an array of several, or None."""

    def pack(self, name: str, value: Any, store: Store) -> Any:
        """Return None, or keep the codes and return whether there are several."""
        if value is None:
            return None
        store.put_labels(name, np.atleast_1d(value), None)
        return isinstance(value, np.ndarray)

    def unpack(self, name: str, node: Any, store: Store) -> Any:
        """Undo ``pack``."""
        if node is None:
            return None
        several = take({name: node}, name, bool)
        labels = store.get_labels(name, None if several else 1)
        return labels if several else labels[0]


@dataclass(frozen=True)
class Table:
    """A DataFrame of numbers, texts and labels (in columns whose name ends in "label")."""

    n_rows: str

    def pack(self, name: str, value: Any, store: Store) -> Any:
        """Keep the columns; return for each of them how, or the texts that its codes stand for."""
        return {column: self._pack(f"{name}.{column}", value[column], store) for column in value}

    def _pack(self, name: str, column: "pd.Series[Any]", store: Store) -> Any:
        if name.endswith("label"):
            store.put_labels(name, column.to_numpy(), self.n_rows)
            return "labels"
        if column.to_numpy().dtype.kind in "biuf":
            store.put(name, column.to_numpy(), None, self.n_rows)
            return "numbers"
        texts: dict[Hashable, int] = {}
        codes = [texts.setdefault(text, len(texts)) for text in column]
        if not all(isinstance(text, str) for text in texts):
            raise ValueError(f"{name} must hold numbers or texts to be saved, got other objects.")
        store.put(name, np.array(codes, np.int32), np.int32, self.n_rows)
        return list(texts)

    def unpack(self, name: str, node: Any, store: Store) -> Any:
        """Undo ``pack``."""
        columns = take({name: node}, name, dict)
        if not columns:
            raise damaged(f"{name!r} has no columns")
        return pd.DataFrame(
            {key: self._unpack(f"{name}.{key}", how, store) for key, how in columns.items()}
        )

    def _unpack(self, name: str, how: Any, store: Store) -> Any:
        if how == "labels":
            return store.get_labels(name, self.n_rows)
        if how == "numbers":
            return store.get(name, None, self.n_rows)
        texts = [take({name: text}, name, str) for text in take({name: how}, name, list)]
        return [texts[code] for code in store.get_codes(name, len(texts), self.n_rows)]


Kind = Scalar | Array | ArrayDict | Labels | SomeLabels | Table
