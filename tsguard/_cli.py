"""The command line. Heavy imports wait until a command runs, so that ``--help`` is quick."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import tsguard
from tsguard._bench._command import add_bench
from tsguard._doctor import add_doctor
from tsguard._exceptions import TrainingDivergedError
from tsguard._report._command import add_report
from tsguard._scan._command import add_predict, add_scan


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, 2 on bad input, 3 for suspects found."""
    parser = _build_parser()
    options = parser.parse_args(arguments)
    try:
        # A command returns what to print, or that and an exit code.
        result: str | tuple[str, int] = options.run(options)
    except (ValueError, ImportError, OSError, TrainingDivergedError) as error:
        sys.stderr.write(f"tsguard: error: {_sentence(error)}\n")
        return 2
    except MemoryError as error:
        sys.stderr.write(f"tsguard: error: there is too little memory ({_sentence(error)}).\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("tsguard: stopped\n")
        return 130  # as shells have it for Ctrl-C
    output, code = result if isinstance(result, tuple) else (result, 0)
    return _print(output, code)


def _print(output: str, code: int) -> int:
    """Print the result and return ``code``, or 2 where it can't be written."""
    try:
        sys.stdout.write(f"{output}\n" if output else "")
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python tries again
        if not isinstance(error, BrokenPipeError):  # the reader (`head`, say) has seen enough
            reason = str(error.strerror).lower()
            sys.stderr.write(
                f"tsguard: error: the result could not be printed ({reason}); free some space or "
                "print it to another place.\n"
            )
            return 2
    return code


def _sentence(error: Exception) -> str:
    """Return what is wrong in one line, also where the operating system alone knows it."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        text = (
            f"{error.filename or 'a file'} could not be read or written "
            f"({error.strerror.lower()}); check the path, its permissions and the space left."
        )
    return " ".join(text.split())


class _Parser(argparse.ArgumentParser):
    """Answers wrong arguments with one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"tsguard: error: {message}; see {self.prog} --help.\n")


def _build_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="tsguard",
        description="Train clean time-series classifiers on data that may hide a backdoor.",
    )
    parser.add_argument("--version", action="version", version=f"tsguard {tsguard.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_demo(commands)
    add_scan(commands)
    add_predict(commands)
    _add_export(commands)
    add_doctor(commands)
    add_bench(commands)
    add_report(commands)
    return parser


def _add_demo(commands: Any) -> None:
    demo = commands.add_parser(
        "demo",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        help="poison a real data set, train undefended and with E2ABL, compare",
        description="Poison a real data set, train on it undefended, on the true labels (oracle) "
        "and with E2ABL, print a table and write report.json and plots.",
    )
    demo.add_argument(
        "--dataset",
        default="JapaneseVowels",
        help="name of a data set of series, or a path; 'digits': images",
    )
    own = argparse.SUPPRESS  # the demo of the data set has the default
    demo.add_argument(
        "--attack",
        default=own,
        help="name of a trigger, see --list-attacks (default: patch; badnets for images)",
    )
    demo.add_argument(
        "--list-attacks",
        action="store_true",
        default=argparse.SUPPRESS,
        help="list all triggers and exit",
    )
    demo.add_argument(
        "--plugin",
        action="append",
        default=argparse.SUPPRESS,  # "(default: [])" would not help anybody
        metavar="FILE",
        help="a Python file (or module) that defines triggers of your own; may be repeated",
    )
    demo.add_argument(
        "--backbone",
        default=own,
        help="inceptiontime, fcn, resnet1d or tsai:<Name>; wideresnet16_1 or resnet18 for images "
        "(default: the first of each)",
    )
    demo.add_argument("--rate", type=float, default=0.1, help="poisoned share, 0 to 1")
    demo.add_argument("--seed", type=int, default=0, help="seed of poisoning and training")
    demo.add_argument("--out", type=Path, default=Path("demo_report"), help="folder to write to")
    demo.add_argument("--json", action="store_true", help="print the result as JSON")
    demo.set_defaults(run=_demo)


def _add_export(commands: Any) -> None:
    parser = commands.add_parser(
        "export",
        help="write a saved model as an ONNX file, for runtimes without torch",
        description="Write what a saved model does when it predicts as one ONNX file: from raw "
        "series to class probabilities. Class labels stand in the file's metadata.",
    )
    parser.add_argument("model", metavar="MODEL", help="folder of a scan or of a saved model")
    parser.add_argument("out", metavar="OUT.onnx", type=Path, help="file to write")
    parser.set_defaults(run=_export)


def _demo(options: argparse.Namespace) -> str:
    from tsguard._plugins import import_plugin

    for plugin in getattr(options, "plugin", []):
        import_plugin(plugin)
    if hasattr(options, "list_attacks"):
        from tsguard.attacks._notes import trigger_list

        return trigger_list()
    from tsguard._demo import find_demo, format_table

    names = ("attack", "backbone", "rate", "seed", "out")
    given = {name: getattr(options, name) for name in names if hasattr(options, name)}
    report = find_demo(options.dataset)(options.dataset, **given, verbose=True)
    if options.json:
        return json.dumps(report)
    return f"{format_table(report)}\n\nReport and plots: {options.out}"


def _export(options: argparse.Namespace) -> str:
    from tsguard._onnx import export_onnx
    from tsguard._scan._predict import load_model

    export_onnx(load_model(options.model, "cpu"), options.out)
    return f"ONNX file: {options.out}"
