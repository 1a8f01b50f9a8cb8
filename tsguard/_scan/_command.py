"""The commands ``scan`` and ``predict``: their options, and what they print."""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tsguard._scan._predict import Prediction

FORMATS = ".ts, .tsv, .txt, .arff, .npz, .csv or .parquet"


def add_scan(commands: Any) -> None:
    """Add ``tsguard scan`` to the commands."""
    parser = commands.add_parser(
        "scan",
        help="look for a backdoor in a file of labelled series and train a clean model",
        description="Look for a backdoor in a file of labelled series. Writes a report "
        "(report.html, report.json), the suspects (suspects.csv), the cleaned data and a model "
        "trained clean. Exit code: 0 nothing suspicious, 3 suspects found, 2 bad input.",
    )
    parser.add_argument("data", metavar="DATA", help=f"file of labelled series ({FORMATS})")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder to write to")
    parser.add_argument("--labels", type=Path, metavar="FILE", help="labels beside the data")
    parser.add_argument(
        "--decisions",
        type=Path,
        metavar="CSV",
        help="a reviewer's decisions (index,decision,label; keep, relabel or drop), to be obeyed",
    )
    parser.add_argument("--no-train", action="store_true", help="audit only, train no model")
    _add_columns(parser)
    training = parser.add_argument_group("training")
    training.add_argument(
        "--backbone", help="inceptiontime (default), fcn, resnet1d or tsai:<Name>"
    )
    training.add_argument("--epochs", type=int, metavar="N", help="epochs of training (default 40)")
    training.add_argument("--device", help="auto (default), cpu, cuda, ...")
    training.add_argument("--seed", type=int, default=0, help="seed of audit and training (0)")
    training.add_argument(
        "--checkpoint",
        type=Path,
        metavar="DIR",
        help="keep the training here, so that the same command goes on after an interruption",
    )
    parser.add_argument("--json", action="store_true", help="print report.json")
    parser.set_defaults(run=_scan)


def add_predict(commands: Any) -> None:
    """Add ``tsguard predict`` to the commands."""
    parser = commands.add_parser(
        "predict",
        help="predict the class of every series of a file, and how likely it is triggered",
        description="Predict the class of every series of a file, which may be larger than memory. "
        "Columns: index, id, predicted, probability, trigger_score (0 to 1, higher = more likely "
        "to carry the trigger that training has caught).",
    )
    parser.add_argument("model", metavar="MODEL", help="folder of a scan or of a saved model")
    parser.add_argument("data", metavar="DATA", help=f"file of series ({FORMATS})")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help=".csv or .json file to write (default: print)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of CSV")
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda, ...")
    _add_columns(parser)
    parser.set_defaults(run=_predict)


def _add_columns(parser: argparse.ArgumentParser) -> None:
    tables = parser.add_argument_group(
        "columns of a table", "by name or by number (1 = first, -1 = last), where not detected"
    )
    for name in ("label", "id", "time"):
        tables.add_argument(f"--{name}-column", metavar="COLUMN", help=f"the {name}")
    tables.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="COLUMN",
        help="a column to leave aside; may be repeated",
    )


def _columns(options: argparse.Namespace) -> dict[str, Any]:
    names = ("label_column", "id_column", "time_column")
    return {**{name: getattr(options, name) for name in names}, "ignore": tuple(options.ignore)}


def _scan(options: argparse.Namespace) -> tuple[str, int]:
    from tsguard._scan._run import scan

    wanted = {"backbone": options.backbone, "n_epochs": options.epochs, "device": options.device}
    parameters = {name: value for name, value in wanted.items() if value is not None}
    report = scan(
        options.data,
        options.out,
        labels=options.labels,
        decisions=options.decisions,
        train=not options.no_train,
        checkpoint=options.checkpoint,
        random_state=options.seed,
        verbose=True,
        say=lambda line: sys.stderr.write(f"{line}\n"),
        **_columns(options),
        **parameters,
    )
    code = int(report["exit_code"])
    if options.json:
        return json.dumps(report, ensure_ascii=False), code
    files = ", ".join(["report.json", *report["files"]])
    return f"{report['verdict']}\n\nIn {options.out}: {files}", code


def _predict(options: argparse.Namespace) -> tuple[str, int]:
    from tsguard._scan._predict import iter_predictions, print_predictions, write_predictions
    from tsguard._tables import Options

    columns = _columns(options)
    table = Options(None, **columns)
    predictions = iter_predictions(options.model, options.data, table, device=options.device)
    if options.out is None:
        print_predictions(_watched(predictions), as_json=options.json)
        return "", 0
    write_predictions(_watched(predictions), options.out)
    return f"Predictions: {options.out}", 0


def _watched(predictions: "Iterator[Prediction]") -> "Iterator[Prediction]":
    from tqdm import tqdm

    yield from tqdm(predictions, unit=" series", disable=None)  # shown on a terminal only
