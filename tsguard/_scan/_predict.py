"""``tsguard predict``: a saved model on a file of any size, piece by piece."""

import csv
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from tsguard._atomic import explain, file_in_one_go
from tsguard._scan._folder import MODEL, REPORT
from tsguard._tables import Options, Row, check_file, named_columns, read_chunks
from tsguard._validation import to_panel

if TYPE_CHECKING:
    import pandas as pd

    from tsguard._base import NeuralClassifier

CHUNK = 2048  # series held in memory; a multiple of the network's batch
COLUMNS = ("index", "id", "predicted", "probability", "trigger_score")

Prediction = dict[str, Any]


def predict_file(
    model: "str | os.PathLike[str] | NeuralClassifier",
    data: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    device: str = "cpu",
    label_column: str | int | None = None,
    id_column: str | int | None = None,
    time_column: str | int | None = None,
    ignore: Sequence[str | int] = (),
    chunk_size: int = CHUNK,
) -> "pd.DataFrame | None":
    """Predict the class of every series of a file, which may be larger than memory.

    Missing values are interpolated, and series of another length than the model's are stretched,
    as in training. Labels in the file are not used.

    Parameters
    ----------
    model : str, path or estimator
        A folder written by :func:`tsguard.save` or by :func:`tsguard.scan`, or a fitted
        classifier.
    data : str or path
        A .ts, .tsv, .txt, .arff, .npz, .csv or .parquet file. In a long table the rows of a series
        must stand together.
    out : str or path, optional
        File to write, .csv or .json; it appears in one go.
    device : str, default="cpu"
        Where a model from a folder predicts; ``"auto"`` takes CUDA where present.
    label_column, id_column, time_column : str or int, optional
        Columns of a table, by name or by number from 1, where they are not detected.
    ignore : sequence of str or int, optional
        Columns of a table to leave aside.
    chunk_size : int, default=2048
        Series held in memory at a time.

    Returns
    -------
    pandas.DataFrame or None
        One row per series, where `out` is not given: index, id (None where there is none),
        predicted label, its probability (0 to 1) and trigger_score (0 to 1, higher = more likely
        triggered; None for models without a trap head), see
        :meth:`tsguard.E2ABLClassifier.trigger_score`.

    Raises
    ------
    OSError
        If a file can't be read or written.
    ValueError
        If the model or the data are wrong, or do not fit together.
    sklearn.exceptions.NotFittedError
        If the model is a classifier that has not been fitted.
    TypeError
        If the model is neither a folder nor a classifier.
    ImportError
        If a package for the data's format is missing.
    """
    columns = named_columns(
        ignore, label_column=label_column, id_column=id_column, time_column=time_column
    )
    options = Options(None, **columns)
    predictions = iter_predictions(model, data, options, device=device, chunk_size=chunk_size)
    if out is None:
        import pandas as pd

        return pd.DataFrame(list(predictions), columns=list(COLUMNS))
    write_predictions(predictions, Path(out))
    return None


def iter_predictions(
    model: "str | os.PathLike[str] | NeuralClassifier",
    data: str | os.PathLike[str],
    options: Options,
    *,
    device: str = "cpu",
    chunk_size: int = CHUNK,
) -> Iterator[Prediction]:
    """Yield one prediction per series, in the memory of one piece of the file."""
    if chunk_size < 1:
        raise ValueError(f"chunk_size must be 1 or larger, got {chunk_size}; pass a positive one.")
    check_file(Path(data), "DATA")  # before torch is imported
    classifier = load_model(model, device) if isinstance(model, str | os.PathLike) else model
    if not hasattr(classifier, "classes_"):
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(classifier)  # says so of what is no estimator, too
    options = replace(options, n_values=classifier.n_channels_ * classifier.n_timepoints_)
    index = 0
    for rows in read_chunks(data, options, chunk_size):
        yield from _predict(classifier, rows, index, Path(data))
        index += len(rows)
    if index == 0:
        raise ValueError(f"{data} must hold at least one series, got none; add series.")


def load_model(model: str | os.PathLike[str], device: str) -> "NeuralClassifier":
    """Load the classifier of a folder that ``save`` or a scan has written."""
    folder = Path(model)
    inner = folder / MODEL
    if not (folder / "model.json").exists() and inner.is_dir():
        folder = inner  # the folder of a scan
    if folder.is_file():
        raise NotADirectoryError(
            f"MODEL must be a folder written by tsguard scan or tsguard.save, got {folder}, a "
            "file; name a folder."
        )
    if not folder.exists():
        raise FileNotFoundError(
            f"MODEL must be a folder written by tsguard scan or tsguard.save, got {folder}, which "
            "is not there."
        )
    if not (folder / "model.json").exists() and (folder / REPORT).exists():
        raise FileNotFoundError(
            f"MODEL must be the folder of a scan that trained a model, got {folder}, made with "
            "--no-train; scan again without it."
        )
    from tsguard._persistence import load

    return load(folder, device)


def _predict(
    classifier: "NeuralClassifier", rows: list[Row], start: int, path: Path
) -> Iterator[Prediction]:
    n_channels = {len(row.values) for row in rows}
    if n_channels != {classifier.n_channels_}:
        raise ValueError(
            f"{path} must have the {classifier.n_channels_} channel(s) that the model was trained "
            f"on, got {max(n_channels)}; check the columns, or take the model of these data."
        )
    panel = to_panel([row.values for row in rows], n_timepoints=classifier.n_timepoints_)
    probabilities = classifier.predict_proba(panel)
    best = probabilities.argmax(axis=1)
    labels = classifier.classes_[best].tolist()
    shares = np.take_along_axis(probabilities, best[:, None], 1)[:, 0].tolist()
    scores: list[Any] = [None] * len(rows)
    if hasattr(classifier, "trigger_score"):
        scores = classifier.trigger_score(panel).tolist()
    for offset, row in enumerate(rows):
        values = (start + offset, row.id, labels[offset], shares[offset], scores[offset])
        yield dict(zip(COLUMNS, values, strict=True))


def write_predictions(predictions: Iterable[Prediction], out: Path) -> None:
    """Write predictions to a .csv or .json file, which appears in one go."""
    if out.suffix.lower() not in (".csv", ".json"):
        raise ValueError(
            f"out must be a .csv or .json file, got {str(out)!r}; choose another name."
        )
    try:
        with (
            file_in_one_go(out) as part,
            part.open("w", encoding="utf-8", newline="") as stream,
        ):
            write_stream(predictions, stream, as_json=out.suffix.lower() == ".json")
    except OSError as error:
        raise explain(error, "out") from error


def print_predictions(predictions: Iterable[Prediction], *, as_json: bool) -> None:
    """Print predictions once all of them are there: a failure prints nothing.

    They wait in a temporary file, not in memory.
    """
    with _temporary() as stream:
        write_stream(predictions, stream, as_json=as_json)
        stream.seek(0)
        try:
            shutil.copyfileobj(stream, sys.stdout)
            sys.stdout.flush()
        except BrokenPipeError:  # the reader (`head`, say) has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except OSError as error:
            raise explain(error, "the predictions") from error


def _temporary() -> AbstractContextManager[Any]:
    return tempfile.TemporaryFile("w+", encoding="utf-8", newline="")


def write_stream(predictions: Iterable[Prediction], stream: TextIO, *, as_json: bool) -> None:
    """Write predictions as CSV with a header, or as a JSON array with one object per line."""
    if not as_json:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(predictions)
        return
    separator = "[\n"
    for one in predictions:
        stream.write(f"{separator}{json.dumps(one, ensure_ascii=False)}")
        separator = ",\n"
    stream.write("\n]\n")
