"""``python -m tsguard_vision demo``; the command line of tsguard itself knows no images."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, or 2 on bad input."""
    parser = argparse.ArgumentParser(
        prog="python -m tsguard_vision", description="tsguard for images."
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    demo = commands.add_parser(
        "demo",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        help="poison real images, train undefended and with E2ABL, compare",
    )
    demo.add_argument("--dataset", default="digits", help="digits, or a folder of sheets")
    demo.add_argument("--attack", default="badnets", help="name of a trigger for images")
    demo.add_argument("--backbone", default="wideresnet16_1", help="wideresnet16_1, resnet18, ...")
    demo.add_argument("--rate", type=float, default=0.1, help="poisoned share, 0 to 1")
    demo.add_argument("--epochs", type=int, default=15, help="epochs of training")
    demo.add_argument("--seed", type=int, default=0, help="seed of poisoning and training")
    demo.add_argument("--out", type=Path, default=Path("demo_report"), help="folder to write to")
    demo.add_argument("--json", action="store_true", help="print the result as JSON")
    options = parser.parse_args(arguments)
    from tsguard_vision._demo import format_table, run_demo

    try:
        report = run_demo(
            options.dataset,
            options.attack,
            options.backbone,
            options.rate,
            options.seed,
            options.out,
            n_epochs=options.epochs,
            verbose=True,
        )
    except (ValueError, ImportError, OSError) as error:
        sys.stderr.write(f"tsguard_vision: error: {' '.join(str(error).split())}\n")
        return 2
    text = f"{format_table(report)}\n\nReport and plots: {options.out}"
    sys.stdout.write((json.dumps(report) if options.json else text) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
