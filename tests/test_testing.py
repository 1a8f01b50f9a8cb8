"""check_trigger: every built-in trigger passes, and every rule can be broken."""

import random
import warnings
from dataclasses import dataclass, field, fields

import numpy as np
import pytest
import torch

from tsguard.attacks import LearnedTrigger, Trigger, _base, get_trigger, list_triggers
from tsguard.testing import check_trigger

# Taken when the tests are collected; other test files may define triggers of their own.
BUILT_IN = [
    name for name in list_triggers() if type(get_trigger(name)).__module__.startswith("tsguard.")
]
#: Little learning is enough to see whether the rules hold.
QUICK = {"surrogate_epochs": 1, "n_steps": 2, "n_generations": 2, "n_candidates": 6, "n_series": 4}


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_triggers_keep_all_rules(name):
    kind = type(get_trigger(name))
    known = {one.name for one in fields(kind)}
    check_trigger(kind(**{key: value for key, value in QUICK.items() if key in known}))


# --- broken triggers


@pytest.fixture(autouse=True)
def own_list_of_triggers(monkeypatch):
    """What is defined in a test is forgotten after it."""
    monkeypatch.setattr(_base, "_KINDS", dict(_base._KINDS))


def lift_first(self, X, out, generator):
    """A trigger without fault: the first value grows by the range."""
    out[:] = X
    out[..., 0] += np.ptp(X, axis=2)


def trigger_class(base=Trigger, annotations=None, **members):
    """A trigger class without fault but for ``members``."""
    stamp = {"_stamp": lift_first} if base is Trigger else {}
    body = {"kind": "toy", "__annotations__": annotations or {}, **stamp, **members}
    return dataclass(frozen=True)(type("Toy", (base,), body))


def learned_class(**members):
    def stamp_learned(self, X, out, weights):
        out[:] = X + weights["shift"]

    def learn(self, knowledge):
        return {"shift": np.float32([0.5])}

    return trigger_class(
        LearnedTrigger, **{"_stamp_learned": stamp_learned, "_learn": learn} | members
    )


def refuse(trigger, message):
    with pytest.raises(AssertionError) as caught:
        check_trigger(trigger)
    sentence = str(caught.value)
    assert message in sentence
    assert sentence.startswith(("Toy", "get_trigger"))
    assert "\n" not in sentence
    assert ", got " in sentence
    assert sentence.endswith(".")


def test_toys_without_fault_pass():
    check_trigger(trigger_class())
    check_trigger(trigger_class()())
    check_trigger(learned_class())


def test_a_fitted_trigger_is_learned_anew():
    X, y = np.eye(4), ["a", "a", "b", "b"]
    check_trigger(learned_class()().fit(X, y, "a"))


def test_what_is_no_trigger_is_a_type_error():
    for wrong in ("patch", int, None):
        with pytest.raises(TypeError, match="trigger must be a Trigger or a class of triggers"):
            check_trigger(wrong)


def test_identity():
    refuse(trigger_class(kind="My Toy"), "kind must be a short name")
    refuse(trigger_class(kind=None), "kind must be a short name")
    needs_one = trigger_class(annotations={"size": float})
    refuse(needs_one, "Toy() must make a trigger, got TypeError")
    refuse(needs_one(1.0), "get_trigger('toy') must make a Toy, got TypeError")
    first = trigger_class()
    trigger_class()
    refuse(first, "give each class a kind of its own")
    plain = type("Toy", (Trigger,), {"kind": "toy", "_stamp": lift_first})
    refuse(plain, "must be a frozen dataclass")


def test_value():
    refuse(trigger_class(__eq__=object.__eq__), "two of equal parameters that differ")
    unhashable = field(default_factory=lambda: {"a": 1.0})
    refuse(
        trigger_class(annotations={"sizes": dict}, sizes=unhashable),
        "must compare and hash by its parameters, got TypeError",
    )


def test_json():
    refuse(
        trigger_class(annotations={"size": complex}, size=1j), "come back from JSON, got TypeError"
    )
    forgetful = trigger_class(
        annotations={"size": float}, size=1.0, to_dict=lambda self: {"kind": "toy"}
    )
    refuse(forgetful(size=2.0), "come back from JSON as it was, got Toy(size=1.0)")

    made = iter(range(1, 99))

    def remember(self):
        object.__setattr__(self, "shift", np.float32(next(made)))

    def stamp(self, X, out, generator):
        out[:] = X + self.shift

    refuse(trigger_class(__post_init__=remember, _stamp=stamp), "after it came back from JSON")


def broken_stamp(body):
    """A trigger that does ``body(X, out)`` after the faultless stamp."""

    def stamp(self, X, out, generator):
        lift_first(self, X, out, generator)
        body(X, out)

    return trigger_class(_stamp=stamp)


def overwrite(X, out):
    X[..., 1] = 0


def divide(X, out):
    with np.errstate(all="ignore"):
        out[..., 1] /= np.ptp(X, axis=2)


def twice(X, out):
    out[..., 1] = X.max(axis=2)  # in place, X has a new maximum by now


def standardise_batch(X, out):
    out[:] += X[..., 1:].std()


def count(X, out):
    out[..., 1] += len(X)


def index(X, out):
    out[..., 8] = X[..., 8]


def fail(X, out):
    raise RuntimeError("no idea\nwhat to do")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (overwrite, "must leave its input as it is"),
        (divide, "must write finite values for constant series"),
        (twice, "must give the same result in place"),
        (standardise_batch, "whatever else is in the batch, got another result among other series"),
        (count, "whatever else is in the batch, got another result for a series alone"),
        (index, "must stamp series of 2 time steps or refuse them with a ValueError, got IndexE"),
        (fail, "must stamp ordinary series, got RuntimeError (no idea); see"),
        (lambda X, out: np.random.normal(), "Toy.apply must not use global random generators"),  # noqa: NPY002
        (lambda X, out: random.random(), "got draws from random;"),
        (lambda X, out: torch.rand(1), "got draws from torch;"),
    ],
)
def test_stamp(body, message):
    refuse(broken_stamp(body), message)


def test_short_series_may_be_refused_with_a_value_error():
    def refuse_short(X, out):
        if X.shape[2] < 8:
            raise ValueError("series must have at least 8 time steps, got fewer; pass longer ones.")

    check_trigger(broken_stamp(refuse_short))


def test_no_change_is_no_trigger():
    def keep(self, X, out, generator):
        out[:] = X

    refuse(trigger_class(_stamp=keep), "must change every ordinary series, got 20 of 20 unchanged")

    def lift_high(self, X, out, generator):
        out[:] = X + (X.mean(axis=2, keepdims=True) > 0)

    refuse(trigger_class(_stamp=lift_high), "must change every ordinary series, got 20 of 20")


def test_draws_without_a_seed():
    def draw(self, X, out, generator):
        out[:] = X + np.random.default_rng().normal(size=X.shape)

    refuse(trigger_class(_stamp=draw), "must give the same result for the same random_state")


def test_draws_for_each_series_are_allowed():
    def draw(self, X, out, generator):
        out[:] = X + generator.normal(size=(len(X), 1, 1))

    check_trigger(trigger_class(_stamp=draw))


def broken_apply(body):
    """A trigger whose ``apply`` returns ``body(X, result)`` for its result, unless given out."""

    def apply(self, X, random_state=None, *, out=None):
        result = Trigger.apply(self, X, random_state, out=out)
        return body(X, result) if out is None else result

    return trigger_class(apply=apply)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (lambda X, result: result.astype(float), "must return a float32 array"),
        (lambda X, result: result[:, :, :-1], "must return a float32 array of the shape of X"),
        (
            lambda X, result: result + (getattr(X, "dtype", 0) == np.float64),
            "must stamp float64 as it stamps",
        ),
        (
            lambda X, result: result[..., : min(len(one.T) for one in X)],
            "must stretch series of unequal length to the longest, got shape (2, 1, 40)",
        ),
    ],
)
def test_apply(body, message):
    refuse(broken_apply(body), message)


def test_what_is_left_out_is_noticed():
    def apply(self, X, random_state=None, *, out=None):
        return Trigger.apply(self, X, random_state)

    refuse(trigger_class(apply=apply), "must write the whole result to out")

    def apply_without_out(self, X, random_state=None):
        return Trigger.apply(self, X, random_state)

    refuse(trigger_class(apply=apply_without_out), "must write to out where it is given, got TypeE")

    def begin(self, X, out, generator):
        out[..., :5] = X[..., :5] + 1

    # What lies in fresh memory decides which rule notices first.
    with pytest.raises(AssertionError, match="Toy must"):
        check_trigger(trigger_class(_stamp=begin))


def test_poison():
    def fail_at_ten(X, out):
        if len(X) == 10:
            raise RuntimeError("ten")

    def rest_at_ten(X, out):
        if len(X) == 10:
            out[:] = X
            out[1:, ..., 0] += 1

    refuse(broken_stamp(fail_at_ten), "must work in poison(), got RuntimeError (ten)")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # poison() warns of the series left unchanged
        refuse(broken_stamp(rest_at_ten), "exactly the 10 series that poison() chose for it, got 9")


def learned_broken(body):
    """A learned trigger that does ``body(knowledge)`` while it learns."""

    def learn(self, knowledge):
        return {"shift": np.float32([0.5 + (body(knowledge) or 0)])}

    return learned_class(_learn=learn)


def test_learning():
    refuse(
        learned_class(_stamp=lift_first),
        "must refuse with NotFittedError before it is learned, got a",
    )
    eager = learned_class(_stamp=lambda self, X, out, random_state: fail(X, out))
    refuse(eager, "must refuse with NotFittedError before it is learned, got RuntimeError")
    refuse(learned_class(fit=lambda self, *_, **__: self), "fit must return a new trigger")
    unseeded = learned_broken(lambda knowledge: np.random.default_rng().normal())
    refuse(unseeded, "must learn the same from the same seed")
    refuse(learned_broken(lambda knowledge: knowledge.X.fill(0)), "Toy.fit must leave its input")
    refuse(learned_broken(lambda knowledge: fail(None, None)), "Toy.fit must learn from ordinary")
    drawing = learned_broken(lambda knowledge: 0 * random.random())
    refuse(drawing, "Toy.fit must not use global random generators, got draws from random;")
