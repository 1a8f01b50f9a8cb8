"""What a trigger is, and the list of the triggers there are.

A new trigger is one file with one class: a frozen dataclass derived from :class:`Trigger` (or from
:class:`PatternTrigger`, or from :class:`LearnedTrigger`) with a short name ``kind``. Being defined
is what puts it on the list. ``docs/add-your-own-attack.md`` goes through an example.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tsguard._atomic import file_in_one_go
from tsguard._random import RandomState, numpy_stream, resolve_seed
from tsguard._validation import Panel, check_fraction, check_panel
from tsguard._values import unknown_name_error
from tsguard.attacks._checks import Channels, channel_mask
from tsguard.attacks._kernels import add_pattern, run
from tsguard.attacks._weights import Weights

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

    domain: ClassVar[str] = "series"
    """What it is made for; :func:`list_triggers` lists those of one domain."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "kind" not in cls.__dict__:
            return  # a base class for others
        known = _KINDS.get(cls.kind, cls)
        # The same class may be defined again, as when a notebook's cell is run twice.
        if (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
            raise ValueError(
                f"kind of a trigger must be its own, got {cls.kind!r}, which "
                f"{known.__module__}.{known.__qualname__} has; choose another name."
            )
        _KINDS[cls.kind] = cls

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if isinstance(value, list | np.ndarray):
                # Tuples of plain numbers compare, hash and come back from JSON as they were.
                plain = value.tolist() if isinstance(value, np.ndarray) else value
                object.__setattr__(self, one.name, _restored(plain))

    def apply(
        self, X: Series, random_state: RandomState = None, *, out: Panel | None = None
    ) -> Panel:
        """Stamp the trigger onto every series of ``X``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_channels, n_timepoints) or (n_samples, n_timepoints)
            Stays as it is unless it is also ``out``. A list of series of unequal length is
            stretched to the longest first.
        random_state : int, numpy.random.RandomState or None
            For triggers that draw something for each series; fixed triggers take no notice.
        out : ndarray of float32, optional
            Where to write the result, C-contiguous and of the shape of ``X``. ``out=X`` stamps in
            place, which saves the memory of a copy.

        Returns
        -------
        ndarray of float32
            ``out`` if it was given, else a new array. Of the shape of ``X``; of shape
            (n_samples, n_channels, n_timepoints) if ``X`` is no array.

        Raises
        ------
        ValueError
            If ``X`` is no valid panel or a parameter of the trigger does not fit it.
        sklearn.exceptions.NotFittedError
            If the trigger is one that must be learned first, and was not.
        """
        panel = np.ascontiguousarray(self._check_input(X))
        is_flat = isinstance(X, np.ndarray) and X.ndim == 2
        shape = (panel.shape[0], panel.shape[2]) if is_flat else panel.shape
        result = np.empty(shape, panel.dtype) if out is None else _check_out(out, shape, panel)
        name = getattr(self, "kind", type(self).__name__)
        generator = numpy_stream(resolve_seed(random_state), f"{name} trigger")
        self._stamp(panel, result.reshape(panel.shape), generator)
        return result

    def for_training(self, X: Series, random_state: RandomState = None) -> Panel:
        """Return what :func:`tsguard.poison` puts into a training set: as :meth:`apply`, mostly.

        An attack may prepare its training samples in a way of their own and stamp test samples
        with the bare trigger.
        """
        return self.apply(X, random_state)

    def _check_input(self, X: Series) -> Panel:
        """Return ``X`` as the array that ``_stamp`` takes, or refuse it."""
        return check_panel(X)

    @abstractmethod
    def _stamp(self, X: Panel, out: Panel, generator: np.random.Generator) -> None:
        """Write the stamped series to ``out``, which may be ``X`` itself.

        Both are C-contiguous float32 of shape (n_samples, n_channels, n_timepoints); ``X`` has been
        checked to be finite. What is drawn anew for each series comes from ``generator``.
        """

    def to_dict(self) -> dict[str, Any]:
        """Return kind, parameters and what was learned, ready for ``json.dumps``."""
        parameters = {one.name: _plain(getattr(self, one.name)) for one in fields(self)}
        return {"kind": self.kind} | parameters

    @staticmethod
    def from_dict(values: dict[str, Any]) -> "Trigger":
        """Make the trigger that :meth:`to_dict` described; its values are only read, never run."""
        if not isinstance(values, dict) or not isinstance(values.get("kind"), str):
            raise ValueError(
                "a trigger's description must be a dict with its 'kind', "
                f"got {type(values).__name__}; give what to_dict returned."
            )
        parameters = {name: _restored(value) for name, value in values.items() if name != "kind"}
        return get_trigger(values["kind"], **parameters)

    def save(self, path: str | Path) -> None:
        """Write the trigger to a JSON file, learned weights included."""
        # In one go: who reads at the same time finds the old file or the new one, never a half.
        with file_in_one_go(Path(path)) as part:
            part.write_text(json.dumps(self.to_dict()))

    @staticmethod
    def load(path: str | Path) -> "Trigger":
        """Read a trigger that :meth:`save` wrote.

        Raises
        ------
        ValueError
            If the file holds no trigger, or none that this version knows.
        TypeError
            If it names a parameter that the trigger does not have.
        """
        try:
            values = json.loads(Path(path).read_text())
        except (ValueError, RecursionError) as error:
            raise ValueError(
                f"{path} must be a trigger file written by Trigger.save, got no JSON ({error}); "
                "give another file."
            ) from error
        return Trigger.from_dict(values)


@dataclass(frozen=True)
class PatternTrigger(Trigger):
    """Base of the triggers that add one pattern, the same for every series.

    A subclass says what the pattern looks like (``_pattern``); how strong it is and where it goes
    are the parameters here.

    Parameters
    ----------
    amplitude : float
        Largest change in units of the range (maximum - minimum) of each series and channel, 0 to 1.
        A constant channel has no range and is not changed.
    channels : "all", int or tuple of int
        Channels that are stamped.
    """

    amplitude: float = 0.1
    channels: Channels = field(default="all", kw_only=True)

    def _stamp(self, X: Panel, out: Panel, generator: np.random.Generator) -> None:
        _, n_channels, n_timepoints = X.shape
        size = check_fraction(self.amplitude, "amplitude")
        mask = channel_mask(self.channels, n_channels)
        pattern = size * mask[:, np.newaxis] * self._pattern(n_channels, n_timepoints)
        run(add_pattern, X, out, pattern.astype(np.float32))

    @abstractmethod
    def _pattern(self, n_channels: int, n_timepoints: int) -> NDArray[np.float64]:
        """Return the pattern, between -1 and 1, of shape (n_channels, n_timepoints).

        Of shape (n_timepoints,) if it is the same for every channel.
        """


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
    NoiseTrigger(amplitude=0.1, channels='all', seed=7)
    """
    if name not in _KINDS:
        raise unknown_name_error("trigger", name, list_triggers())
    kind = _KINDS[name]
    known = [one.name for one in fields(kind) if one.init]
    for parameter in parameters:
        if parameter not in known:
            raise TypeError(
                f"parameters of trigger {name!r} must be among {known}, got {parameter!r}; "
                "correct or remove it."
            )
    return kind(**parameters)


def list_triggers(domain: str = "series") -> list[str]:
    """Return the short names of all triggers of a domain, sorted."""
    return sorted(name for name, kind in _KINDS.items() if kind.domain == domain)


def resolve_trigger(trigger: Trigger | str) -> Trigger:
    """Return the trigger itself or, given a name, the trigger of that name with its defaults."""
    if isinstance(trigger, str):
        return get_trigger(trigger)
    if isinstance(trigger, type) and issubclass(trigger, Trigger):
        raise TypeError(
            f"trigger must be a Trigger or the name of one, got the class {trigger.__name__}; "
            f"make one with {trigger.__name__}()."
        )
    if not isinstance(trigger, Trigger):
        raise TypeError(
            f"trigger must be a Trigger or the name of one, got {type(trigger).__name__}; "
            f"make one with get_trigger(name), name being one of {list_triggers()}."
        )
    return trigger


def _check_out(out: Panel, shape: tuple[int, ...], panel: Panel) -> Panel:
    """Return the array to write to, or refuse one that could not hold the result."""
    is_array = isinstance(out, np.ndarray)
    if not is_array or out.dtype != panel.dtype or not out.flags.carray or out.shape != shape:
        got = f"{out.dtype} of shape {out.shape}" if is_array else type(out).__name__
        raise ValueError(
            f"out must be a writable C-contiguous {panel.dtype} array of shape {shape}, got {got}; "
            "leave it out to get a new array."
        )
    if np.may_share_memory(out, panel) and out.ctypes.data != panel.ctypes.data:
        raise ValueError(
            "out must be X itself or memory of its own, got an array that overlaps X; copy it."
        )
    return out


def _plain(value: Any) -> Any:
    """Turn NumPy scalars, tuples and weights into what JSON has."""
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, Weights):
        return value.to_dict()
    return value.item() if isinstance(value, np.generic) else value


def _restored(value: Any) -> Any:
    """Undo ``_plain``; JSON knows no tuples, and lists would make the trigger unequal."""
    if isinstance(value, list):
        return tuple(_restored(item) for item in value)
    return Weights.from_dict(value) if isinstance(value, dict) else value
