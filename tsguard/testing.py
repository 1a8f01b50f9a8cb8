"""A check that a trigger keeps the rules which poisoning, evaluation and benchmarks rely on."""

import json
import random
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import NotFittedError

from tsguard._random import numpy_stream
from tsguard._validation import Panel
from tsguard.attacks import LearnedTrigger, Trigger, get_trigger, poison

__all__ = ["check_trigger"]

_Labels = NDArray[np.str_]

_PLAIN = "make its parameters of numbers, strings and tuples"


def check_trigger(trigger: Trigger | type[Trigger]) -> None:
    """Check that a trigger keeps every rule of its kind; say which is broken if one is.

    The rules: it is found by its name; it is a frozen dataclass that compares by its parameters
    and comes back from JSON; it stamps any usual form of input (univariate, multivariate, lists,
    unequal lengths, one series, constant series) without changing it, in place too, writing finite
    float32 values; very short series are stamped or refused with a ``ValueError``; the same seed
    gives the same result and no global random generator is used; every ordinary series is changed,
    whatever else is in the batch; :func:`tsguard.poison` stamps exactly the series it should. A
    learned trigger refuses to be applied before ``fit``, which returns a new trigger.

    Parameters
    ----------
    trigger : Trigger or class
        A class is tried with its defaults. An instance is tried with its parameters, which must fit
        series of 64 time steps with one channel and with three. A learned trigger is learned here,
        several times, on 40 series: give one with few epochs.

    Raises
    ------
    AssertionError
        With one sentence on the first rule that is broken.
    TypeError
        If ``trigger`` is no trigger at all.

    Examples
    --------
    >>> from tsguard import attacks
    >>> from tsguard.testing import check_trigger
    >>> check_trigger(attacks.HumTrigger)
    >>> check_trigger(attacks.PatchTrigger(position="end", length=10))
    """
    one = _instance(trigger)
    _check_name(one)
    _check_value(one)
    for n_channels in (1, 3):
        X, y = _ordinary_series(n_channels, 64)
        ready = _check_learning(one, X, y) if isinstance(one, LearnedTrigger) else one
        _check_seed(ready, X)
        _check_json(ready, X)
        _check_change(ready, X, y)
        _check_in_place(ready, X)
        _check_rows(ready, X)
        _check_input_forms(ready, X)
    _check_poison(one, X, y)
    for n_timepoints in (2, 1):
        _check_short(one, n_timepoints)


# --- what it is


def _instance(trigger: Any) -> Trigger:
    """Return the trigger, not learned yet; of a class, the one with its defaults."""
    if isinstance(trigger, type) and issubclass(trigger, Trigger):
        remedy = "give every parameter a default and define what the base class asks for"
        with _no_error(f"{trigger.__name__}() must make a trigger", remedy):
            trigger = trigger()
    if not isinstance(trigger, Trigger):
        raise TypeError(
            f"trigger must be a Trigger or a class of triggers, got {trigger!r}; "
            "derive your class from tsguard.attacks.Trigger."
        )
    if isinstance(trigger, LearnedTrigger):
        return replace(trigger, weights=None, shape=None)
    return trigger


def _check_name(trigger: Trigger) -> None:
    name, kind = type(trigger).__name__, getattr(trigger, "kind", None)
    _rule(
        isinstance(kind, str) and re.fullmatch(r"[a-z][a-z0-9_]*", kind),
        f"{name}.kind must be a short name of lower-case letters, digits and underscores, got "
        f"{kind!r}; write kind: ClassVar[str] = 'my_trigger' into the class.",
    )
    with _no_error(f"get_trigger({kind!r}) must make a {name}", "give every parameter a default"):
        found = type(get_trigger(str(kind)))
    _rule(
        found is type(trigger),
        f"get_trigger({kind!r}) must make this {name}, got {found.__module__}.{found.__name__}; "
        "give each class a kind of its own.",
    )


def _check_value(trigger: Trigger) -> None:
    name = type(trigger).__name__
    _rule(
        "__dataclass_fields__" in vars(type(trigger)),
        f"{name} must be a frozen dataclass, got a plain class whose parameters nobody sees; "
        "write @dataclass(frozen=True) above it.",
    )
    with _no_error(f"{name} must compare and hash by its parameters", _PLAIN):
        equal = replace(trigger) == trigger and hash(replace(trigger)) == hash(trigger)
    _rule(
        equal,
        f"{name} must compare and hash by its parameters, got two of equal parameters that "
        "differ; leave == to the dataclass.",
    )


def _check_json(trigger: Trigger, X: Panel) -> None:
    name = type(trigger).__name__
    with _no_error(f"{name} must come back from JSON", _PLAIN):
        restored = Trigger.from_dict(json.loads(json.dumps(trigger.to_dict())))
    _rule(
        restored == trigger,
        f"{name} must come back from JSON as it was, got {restored!r} from {trigger!r}; {_PLAIN}.",
    )
    _rule(
        np.array_equal(_stamped(restored, X), _stamped(trigger, X)),
        f"{name} must stamp the same after it came back from JSON, got other values; "
        "keep all that it needs in its parameters.",
    )


def _check_learning(trigger: LearnedTrigger, X: Panel, y: _Labels) -> LearnedTrigger:
    """Return the trigger, learned."""
    name = type(trigger).__name__
    sentence = f"{name} must refuse with NotFittedError before it is learned"
    remedy = "leave apply and _stamp to LearnedTrigger"
    with _no_error(sentence, remedy), suppress(NotFittedError):
        trigger.apply(X)
        raise AssertionError(f"{sentence}, got a result; {remedy}.")
    ready = _learned(trigger, X, y)
    _rule(
        ready is not trigger and not trigger.is_fitted and ready.is_fitted,
        f"{name}.fit must return a new trigger that is learned, got the old one or one that is "
        "not; leave fit to LearnedTrigger and write _learn.",
    )
    # Not around the first call: the first import of a library may draw (tsai's does).
    with _global_generators_untouched(f"{name}.fit"):
        again = _learned(trigger, X, y)
    _rule(
        again == ready,
        f"{name} must learn the same from the same seed, got two different triggers; "
        "draw from generators made of knowledge.seed.",
    )
    return ready


# --- what it does


def _check_change(trigger: Trigger, X: Panel, y: _Labels) -> None:
    # Those of the target class may be left alone: there is nothing to turn them into.
    changed = (_stamped(trigger, X) != X).any(axis=(1, 2))
    changed &= (_stamped(trigger, -X) != -X).any(axis=(1, 2))  # high series and low ones
    changed = changed[y != "a"]
    _rule(
        changed.all(),
        f"{type(trigger).__name__} must change every ordinary series, got {int((~changed).sum())} "
        f"of {len(changed)} unchanged; choose stronger defaults.",
    )
    constant = np.full_like(X[:3], 5.0)
    _stamped(trigger, constant, "constant series")


def _check_in_place(trigger: Trigger, X: Panel) -> None:
    name, expected = type(trigger).__name__, _stamped(trigger, X)
    unwritten, inside = np.full_like(X, np.nan), X.copy()
    with _no_error(f"{name} must write to out where it is given", "leave apply to the base class"):
        result = trigger.apply(X, random_state=0, out=unwritten)
        trigger.apply(inside, random_state=0, out=inside)
    _rule(
        result is unwritten and _same(result, expected),
        f"{name} must write the whole result to out, got values left out or written elsewhere; "
        "fill all of out in _stamp.",
    )
    _rule(
        _same(inside, expected),
        f"{name} must give the same result in place, apply(X, out=X), got another; "
        "read what you need of X before you write to out.",
    )


def _check_seed(trigger: Trigger, X: Panel) -> None:
    _rule(
        np.array_equal(_stamped(trigger, X), _stamped(trigger, X)),
        f"{type(trigger).__name__} must give the same result for the same random_state, got two "
        "different ones; draw only from a generator made of random_state or of a seed parameter.",
    )


def _check_rows(trigger: Trigger, X: Panel) -> None:
    """Stamp a series among others and, unless something is drawn for each, alone."""
    name, row, expected = type(trigger).__name__, len(X) // 2, _stamped(trigger, X)
    others = -3 * X[::-1]
    others[row] = X[row]
    message = (
        f"{name} must stamp a series the same way whatever else is in the batch, got another "
        "result {}; compute means, ranges and the like for each series by itself."
    )
    _rule(
        _same(_stamped(trigger, others)[row], expected[row]), message.format("among other series")
    )
    if np.array_equal(trigger.apply(X, random_state=1), expected):  # nothing is drawn
        alone = _stamped(trigger, X[row : row + 1], "one series alone")
        _rule(_same(alone[0], expected[row]), message.format("for a series alone"))


def _check_input_forms(trigger: Trigger, X: Panel) -> None:
    name, expected = type(trigger).__name__, _stamped(trigger, X)
    forms: dict[str, Any] = {
        "float64": X.astype(np.float64),
        "an array in another memory order": np.asfortranarray(X),
        "a list of arrays": list(X),
    }
    if X.shape[1] == 1:
        forms["a 2-D array"] = X[:, 0]
    for what, form in forms.items():
        result = _stamped(trigger, form, what)
        _rule(
            _same(result.reshape(X.shape), expected),
            f"{name} must stamp {what} as it stamps the same series in one float32 array, got "
            "other values; leave apply to the base class.",
        )
    unequal = [X[0], X[1][:, :40]]
    shape = _stamped(trigger, unequal, "series of unequal length").shape
    _rule(
        shape == (2, *X.shape[1:]),
        f"{name} must stretch series of unequal length to the longest, got shape {shape} for the "
        "result; leave apply to the base class.",
    )


def _check_poison(trigger: Trigger, X: Panel, y: _Labels) -> None:
    name = type(trigger).__name__
    with _no_error(f"{name} must work in poison()", "stamp any number of series"):
        poisoned = poison(X, y, trigger, rate=0.25, target="a", random_state=0)
    changed = (poisoned.X != X).any(axis=(1, 2))
    _rule(
        changed.sum() == 10 and np.array_equal(changed, poisoned.is_poisoned),
        f"{name} must change exactly the 10 series that poison() chose for it, got "
        f"{int(changed.sum())} changed; change every series that is passed, and nothing else.",
    )


def _check_short(trigger: Trigger, n_timepoints: int) -> None:
    """Very short series may be refused, but only with a ValueError."""
    X, y = _ordinary_series(1, n_timepoints)
    what = f"series of {n_timepoints} time step{'s' * (n_timepoints > 1)}"
    sentence = f"{type(trigger).__name__} must stamp {what} or refuse them with a ValueError"
    with _no_error(sentence, "check n_timepoints first"), suppress(ValueError):
        if isinstance(trigger, LearnedTrigger):
            trigger = trigger.fit(X, y, "a", random_state=0)
        trigger.apply(X, random_state=0)
        _stamped(trigger, X, what)


# --- tools


def _rule(holds: Any, sentence: str) -> None:
    if not holds:
        raise AssertionError(sentence)


@contextmanager
def _no_error(sentence: str, remedy: str) -> Iterator[None]:
    """Turn any error inside into one that says what should have worked."""
    try:
        yield
    except AssertionError:
        raise
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0].rstrip(".")
        raise AssertionError(
            f"{sentence}, got {type(error).__name__} ({reason}); {remedy}."
        ) from error


def _stamped(trigger: Trigger, X: Any, what: str = "ordinary series") -> Panel:
    """Apply the trigger and check what must hold for every result."""
    name = type(trigger).__name__
    before = [np.array(one) for one in X]
    with (
        _no_error(f"{name} must stamp {what}", "see check_trigger for what it has to accept"),
        _global_generators_untouched(f"{name}.apply"),
    ):
        result = trigger.apply(X, random_state=0)
    _rule(
        all(np.array_equal(one, old) for one, old in zip(X, before, strict=True)),
        f"{name} must leave its input as it is, got a changed X; write to out only.",
    )
    is_float32 = isinstance(result, np.ndarray) and result.dtype == np.float32
    _rule(
        is_float32 and (isinstance(X, list) or result.shape == X.shape),
        f"{name} must return a float32 array of the shape of X for {what}, got "
        f"{getattr(result, 'dtype', type(result).__name__)} of shape {np.shape(result)}; "
        "leave apply to the base class.",
    )
    _rule(
        np.isfinite(result).all(),
        f"{name} must write finite values for {what}, got NaN or infinity; "
        "mind a division by a range of 0.",
    )
    return result


def _learned(trigger: LearnedTrigger, X: Panel, y: _Labels) -> LearnedTrigger:
    name, before = type(trigger).__name__, X.copy()
    with _no_error(f"{name}.fit must learn from ordinary series", "see LearnedTrigger"):
        ready = trigger.fit(X, y, "a", random_state=0)
    _rule(
        np.array_equal(X, before),
        f"{name}.fit must leave its input as it is, got a changed X; copy before you write.",
    )
    return ready


@contextmanager
def _global_generators_untouched(what: str) -> Iterator[None]:
    before = _global_generators()
    yield
    after = _global_generators()
    used = [name for name in before if after[name] != before[name]]
    _rule(
        not used,
        f"{what} must not use global random generators, got draws from {' and '.join(used)}; "
        "draw from numpy.random.default_rng(seed).",
    )


def _global_generators() -> dict[str, Any]:
    """Return the state of each global generator that is there, by name."""
    numpy_state = np.random.get_state(legacy=False)["state"]  # noqa: NPY002 (only looked at)
    states: dict[str, Any] = {
        "random": random.getstate(),
        "numpy.random": (numpy_state["key"].tobytes(), numpy_state["pos"]),
    }
    if "torch" in sys.modules:
        states["torch"] = sys.modules["torch"].get_rng_state().numpy().tobytes()
    return states


def _same(result: Panel, expected: Panel) -> bool:
    """Compare up to rounding, which may depend on how many series are worked on at once."""
    return np.allclose(result, expected, rtol=1e-4, atol=1e-4 * float(np.ptp(expected)))


def _ordinary_series(n_channels: int, n_timepoints: int) -> tuple[Panel, _Labels]:
    """Return 40 noisy waves of two classes; channels differ in their level, as in real data."""
    rng = numpy_stream(0, "check_trigger")
    codes = np.arange(40) % 2
    time = np.linspace(0, 2 * np.pi, n_timepoints)
    level = np.arange(1.0, n_channels + 1)[:, None]
    waves = np.sin(time * (codes + 1)[:, None, None]) + 2 * level
    noise = rng.normal(0, 0.2, (len(codes), n_channels, n_timepoints))
    return (waves + noise).astype(np.float32), np.array(["a", "b"])[codes]
