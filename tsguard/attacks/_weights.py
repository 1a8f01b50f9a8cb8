"""What a learned trigger has learned: named arrays that compare, hash and travel as plain data."""

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float32]


class Weights(Mapping[str, Array]):
    """Read-only float32 arrays by name.

    They are written as base64 within JSON: exact to the last bit, and reading them runs no code.
    """

    def __init__(self, arrays: Mapping[str, ArrayLike]) -> None:
        self._arrays = {name: np.array(value, np.float32) for name, value in arrays.items()}
        for array in self._arrays.values():
            array.flags.writeable = False

    def __getitem__(self, name: str) -> Array:
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Weights):
            return NotImplemented
        return self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash(tuple((name, array.tobytes()) for name, array in self._arrays.items()))

    def __repr__(self) -> str:
        return f"Weights({', '.join(f'{name}: {a.shape}' for name, a in self._arrays.items())})"

    def get_array(self, name: str, shape: tuple[int, ...]) -> Array:
        """Return an array whose shape is as expected; -1 stands for any length.

        Raises
        ------
        ValueError
            If it is missing or of another shape, as in a damaged file. Kernels trust shapes.
        """
        array = self._arrays.get(name, np.empty(0, np.float32))
        fits = array.ndim == len(shape) and all(
            wanted in (-1, length) for wanted, length in zip(shape, array.shape, strict=True)
        )
        if name not in self._arrays or not fits:
            raise ValueError(
                f"weights of a trigger must hold {name!r} of shape {shape}, got {self!r}; "
                "learn the trigger again."
            )
        return array

    def to_dict(self) -> dict[str, Any]:
        """Return shapes and values, ready for ``json.dumps``."""
        return {
            name: {
                "shape": list(array.shape),
                "float32": base64.b64encode(array.astype("<f4").tobytes()).decode("ascii"),
            }
            for name, array in self._arrays.items()
        }

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> "Weights":
        """Undo :meth:`to_dict`.

        Raises
        ------
        ValueError
            If the description is damaged, or a value is not finite.
        """
        arrays = {}
        for name, value in values.items():
            try:
                raw = base64.b64decode(value["float32"], validate=True)
                arrays[name] = np.frombuffer(raw, "<f4").reshape(value["shape"])
            except (KeyError, TypeError, ValueError, binascii.Error) as error:
                raise ValueError(
                    f"weights of a trigger must hold shape and float32 values in base64, "
                    f"got a damaged entry {name!r} ({error}); save the trigger again."
                ) from error
            if not np.isfinite(arrays[name]).all():
                raise ValueError(
                    f"weights of a trigger must be finite, got NaN or infinity in {name!r}; "
                    "learn the trigger again."
                )
        return Weights(arrays)
