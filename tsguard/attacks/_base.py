"""What a trigger is, and the list of the triggers there are.

A new trigger is one file with one class: a frozen dataclass derived from :class:`Trigger` with a
short name ``kind`` and a method ``_stamp``. Being defined is what puts it on the list.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from tsguard._random import RandomState
from tsguard._validation import Panel

Series = ArrayLike | Sequence[ArrayLike]
"""What ``check_panel`` turns into a panel."""

_KINDS: dict[str, type["Trigger"]] = {}


@dataclass(frozen=True)
class Trigger(ABC):
    """A change that the attacker makes to a series.

    Triggers are small values: two with equal parameters are equal, and :meth:`to_dict` is enough to
    make one again. The constructor stores; parameters are checked where they are used.
    """

    kind: ClassVar[str]
    """Short name, as :func:`get_trigger` and configuration files know it."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "kind" in cls.__dict__:
            _KINDS[cls.kind] = cls

    def apply(self, X: Series, random_state: RandomState = None) -> Panel:
        """Return a stamped copy of ``X``; ``X`` itself stays as it is.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_channels, n_timepoints) or (n_samples, n_timepoints)
            A list of series of unequal length is stretched to the longest first.
        random_state : int, numpy.random.RandomState or None
            Used by triggers that differ from series to series; fixed triggers ignore it.

        Returns
        -------
        ndarray of float32
            Of the shape of ``X``; of shape (n_samples, n_channels, n_timepoints) if ``X`` is no
            array. The size of the change is measured in units of the range
            (maximum - minimum) of each series and channel, so a constant channel is not changed.

        Raises
        ------
        ValueError
            If ``X`` is no valid panel or a parameter of the trigger does not fit it.
        """
        stamped = self._stamp(X, random_state)
        is_flat = isinstance(X, np.ndarray) and X.ndim == 2
        return stamped[:, 0] if is_flat else stamped

    @abstractmethod
    def _stamp(self, X: Series, random_state: RandomState) -> Panel:
        """Check ``X`` and return a stamped copy of shape (n_samples, n_channels, n_timepoints)."""

    def to_dict(self) -> dict[str, Any]:
        """Return kind and parameters, ready for ``json.dumps``."""
        parameters = {field.name: _plain(getattr(self, field.name)) for field in fields(self)}
        return {"kind": self.kind} | parameters

    @staticmethod
    def from_dict(values: dict[str, Any]) -> "Trigger":
        """Make the trigger that :meth:`to_dict` described."""
        # JSON knows no tuples; lists would make the trigger unequal to the one that was saved.
        parameters = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        del parameters["kind"]
        return get_trigger(values["kind"], **parameters)


def get_trigger(name: str, **parameters: Any) -> Trigger:
    """Make a trigger from its short name.

    Parameters
    ----------
    name : str
        One of :func:`list_triggers`.
    **parameters
        Parameters of the trigger; those left out keep their default.

    Raises
    ------
    ValueError
        If there is no trigger of that name.
    TypeError
        If the trigger has no such parameter.

    Examples
    --------
    >>> from tsguard.attacks import get_trigger
    >>> get_trigger("noise", seed=7)
    NoiseTrigger(amplitude=0.1, seed=7)
    """
    if name not in _KINDS:
        raise unknown_name_error("trigger", name, list_triggers())
    kind = _KINDS[name]
    known = [field.name for field in fields(kind) if field.init]
    for parameter in parameters:
        if parameter not in known:
            raise TypeError(
                f"parameters of trigger {name!r} must be among {known}, got {parameter!r}; "
                "correct or remove it."
            )
    return kind(**parameters)


def list_triggers() -> list[str]:
    """Return the short names of all triggers, sorted."""
    return sorted(_KINDS)


def resolve_trigger(trigger: Trigger | str) -> Trigger:
    """Return the trigger itself or, given a name, the trigger of that name with its defaults."""
    if isinstance(trigger, str):
        return get_trigger(trigger)
    if not isinstance(trigger, Trigger):
        raise TypeError(
            f"trigger must be a Trigger or the name of one, got {type(trigger).__name__}; "
            f"make one with get_trigger(name), name being one of {list_triggers()}."
        )
    return trigger


def unknown_name_error(what: str, got: object, known: Iterable[str]) -> ValueError:
    """Return the error for a name that is not among the known ones, with near matches."""
    names = sorted(known)
    near = get_close_matches(str(got), names)
    advice = f"did you mean {' or '.join(map(repr, near))}?" if near else "choose one of these."
    return ValueError(f"{what} must be one of {names}, got {got!r}; {advice}")


def is_integer(value: object) -> bool:
    """Say whether the value is an integer of Python or NumPy; a boolean is none."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    """Say whether the value is a real number of Python or NumPy; a boolean is none."""
    return isinstance(value, Real) and not isinstance(value, bool)


def _plain(value: Any) -> Any:
    """Turn NumPy scalars and tuples into what JSON has."""
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value
