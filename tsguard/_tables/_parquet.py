"""Tables as Parquet files, read by pyarrow (extra ``parquet``)."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tsguard._tables._reader import Decide, Mark
from tsguard._tables._table import Record, Table

N_ROWS = 4096  # read at a time


class ParquetTable(Table):
    """A Parquet file; column types stay as they are."""

    kind = "Parquet table"

    def __init__(self, path: Path) -> None:
        self.path = path
        self._arrow = _import_arrow()
        try:
            names = list(self._arrow.parquet.ParquetFile(path).schema_arrow.names)
        except (self._arrow.ArrowException, ValueError) as error:
            raise ValueError(
                f"{path} must be a Parquet file, got one that can't be read "
                f"({str(error).splitlines()[0]}); check the format."
            ) from error
        # pandas stores the index of a table as a column of this name.
        self._places = [
            i for i, name in enumerate(names) if not re.fullmatch(r"__index_level_\d+__", name)
        ]
        self.header = [names[i] for i in self._places]

    def records(self) -> Iterator[Record]:
        """Yield the rows, numbered from 1."""
        number = 0
        for batch in self._batches():
            columns = [batch.column(i).to_pylist() for i in self._places]
            for cells in zip(*columns, strict=True):
                number += 1
                yield number, cells

    def _batches(self) -> Iterator[Any]:
        with self._arrow.parquet.ParquetFile(self.path) as file:
            yield from file.iter_batches(batch_size=N_ROWS)

    def write(self, target: Path, label: int | None, key: int | None, decide: Decide) -> None:
        """Write the table again."""
        schema, number = self._arrow.parquet.read_schema(self.path), 0
        with self._arrow.parquet.ParquetWriter(target, schema) as writer:
            for batch in self._batches():
                asked: Any = range(number, number + batch.num_rows)
                if key is not None:
                    asked = batch.column(self._places[key]).to_pylist()
                number += batch.num_rows
                marks = [decide(one) for one in asked]
                if label is not None:
                    batch = self._relabelled(batch, self._places[label], marks)
                writer.write_batch(
                    batch.filter(self._arrow.array([m is not Mark.DROP for m in marks]))
                )

    def _relabelled(self, batch: Any, place: int, marks: list[Any]) -> Any:
        arrow, column = self._arrow, batch.column(place)
        labels = [
            old if isinstance(mark, Mark) else mark
            for old, mark in zip(column.to_pylist(), marks, strict=True)
        ]
        kind = column.type
        if arrow.types.is_dictionary(kind):
            new = arrow.array(labels, kind.value_type).dictionary_encode().cast(kind)
        else:
            new = arrow.array(labels, kind)
        return batch.set_column(place, batch.schema.field(place), new)


def _import_arrow() -> Any:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise ImportError(
            "pyarrow must be installed to read Parquet files; run `pip install tsguard[parquet]`, "
            "or save the table as CSV."
        ) from error
    return pyarrow
