"""The command line. Heavy imports wait until a command runs, so that ``--help`` is quick."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import tsguard
from tsguard._bench._command import add_bench
from tsguard._doctor import add_doctor
from tsguard._report._command import add_report
from tsguard._scan._command import add_predict, add_scan


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, 2 on bad input, 3 for suspects found."""
    parser = _build_parser()
    options = parser.parse_args(arguments)
    try:
        # A command returns what to print, or that and an exit code.
        result: str | tuple[str, int] = options.run(options)
    except (ValueError, ImportError, OSError) as error:
        sys.stderr.write(f"tsguard: error: {' '.join(str(error).split())}\n")
        return 2
    output, code = result if isinstance(result, tuple) else (result, 0)
    sys.stdout.write(f"{output}\n" if output else "")
    return code


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tsguard",
        description="Train clean time-series classifiers on data that may hide a backdoor.",
    )
    parser.add_argument("--version", action="version", version=f"tsguard {tsguard.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    demo = commands.add_parser(
        "demo",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        help="poison a real data set, train undefended and with E2ABL, compare",
        description="Poison a real data set, train on it undefended, on the true labels (oracle) "
        "and with E2ABL, print a table and write report.json and plots.",
    )
    demo.add_argument("--dataset", default="JapaneseVowels", help="name of a data set, or a path")
    demo.add_argument("--attack", default="patch", help="name of a trigger, see --list-attacks")
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
        "--backbone", default="inceptiontime", help="inceptiontime, fcn, resnet1d or tsai:<Name>"
    )
    demo.add_argument("--rate", type=float, default=0.1, help="poisoned share, 0 to 1")
    demo.add_argument("--seed", type=int, default=0, help="seed of poisoning and training")
    demo.add_argument("--out", type=Path, default=Path("demo_report"), help="folder to write to")
    demo.add_argument("--json", action="store_true", help="print the result as JSON")
    demo.set_defaults(run=_demo)
    add_scan(commands)
    add_predict(commands)
    add_doctor(commands)
    add_bench(commands)
    add_report(commands)
    return parser


def _demo(options: argparse.Namespace) -> str:
    from tsguard._plugins import import_plugin

    for plugin in getattr(options, "plugin", []):
        import_plugin(plugin)
    if hasattr(options, "list_attacks"):
        from tsguard.attacks._notes import trigger_list

        return trigger_list()
    from tsguard._demo import format_table, run_demo

    report = run_demo(
        options.dataset,
        options.attack,
        options.backbone,
        options.rate,
        options.seed,
        options.out,
        verbose=True,
    )
    if options.json:
        return json.dumps(report)
    return f"{format_table(report)}\n\nReport and plots: {options.out}"
