"""Is it a number, is it one of the known names? For messages that say what was meant."""

import math
from collections.abc import Iterable
from difflib import get_close_matches
from numbers import Integral, Real
from typing import TypeGuard


def is_integer(value: object) -> TypeGuard[int]:
    """Say whether the value is an integer of Python or NumPy; a boolean is none."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_number(value: object) -> TypeGuard[float]:
    """Say whether the value is a finite real number of Python or NumPy; a boolean is none."""
    return not isinstance(value, bool) and isinstance(value, Real) and math.isfinite(value)


def unknown_name_error(what: str, got: object, known: Iterable[str]) -> ValueError:
    """Return the error for a name that is not among the known ones, with near matches."""
    names = sorted(known)
    near = near_names(str(got), names)
    advice = f"did you mean {' or '.join(map(repr, near))}?" if near else "choose one of these."
    return ValueError(f"{what} must be one of {names}, got {got!r}; {advice}")


def near_names(got: str, known: Iterable[str]) -> list[str]:
    """Return up to three known names that are spelled like this one, the nearest first."""
    spelled = {name.lower(): name for name in known}
    return [spelled[one] for one in get_close_matches(got.lower(), spelled)]
