"""Check an installed tsguard: `python check_installed.py CHECKOUT`, run outside of the checkout."""

import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("tsguard", "tsguard_vision")


def main(checkout: Path) -> None:
    """Exit with a sentence if something is missing, in the wrong place or slow."""
    for package in PACKAGES:
        here = Path(find_spec(package).origin).parent
        if not here.is_relative_to(sys.prefix):
            sys.exit(f"{package} is imported from {here}, not from {sys.prefix}.")
        source = checkout / package
        names = [path.relative_to(source) for path in source.rglob("*") if path.is_file()]
        names = [name for name in names if "__pycache__" not in name.parts]
        missing = [str(name) for name in names if not (here / name).is_file()]
        if missing or Path("py.typed") not in names:
            sys.exit(f"{here} must hold py.typed and all of {source}, but lacks {missing}.")

    import tsguard
    from tsguard_vision import load_dataset as load_images

    series, images = tsguard.load_dataset("ItalyPowerDemand"), load_images("digits")
    print(f"bundled: {series.X_train.shape} series, {images.X_train.shape} images")

    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run(["tsguard", "--help"], check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - start)
    print(f"tsguard --help: {min(seconds):.2f} s")
    if min(seconds) > 1:
        sys.exit(f"tsguard --help must take less than a second, took {min(seconds):.2f} s.")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
