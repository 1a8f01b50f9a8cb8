"""One seed, many named streams; the global generators are left as they were.

Every random choice draws from a stream named after its purpose, so adding a draw in one place
(say, one more augmentation) leaves every other place bit-identical.
"""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils import check_random_state

if TYPE_CHECKING:  # torch takes seconds to import, and poisoning a data set does without
    import torch

_GLOBALS = threading.RLock()

RandomState = int | np.random.RandomState | None


def resolve_seed(random_state: RandomState) -> int:
    """Turn scikit-learn's ``random_state`` into one integer seed.

    Parameters
    ----------
    random_state : int, numpy.random.RandomState or None
        ``None`` draws a fresh seed, a ``RandomState`` is advanced by one draw.

    Returns
    -------
    int
        A seed in ``[0, 2**32)``.
    """
    if isinstance(random_state, int | np.integer) and not isinstance(random_state, bool):
        if not 0 <= random_state < 2**32:
            raise ValueError(
                f"random_state must be from 0 to {2**32 - 1}, got {random_state}; pass another "
                "integer."
            )
        return int(random_state)
    if random_state is None:
        return int(np.random.SeedSequence().generate_state(1)[0] >> 1)
    return int(check_random_state(random_state).randint(2**31 - 1))


def numpy_stream(seed: int, name: str) -> np.random.Generator:
    """Return the NumPy generator of the stream called ``name``."""
    return np.random.default_rng([seed, *name.encode()])


def torch_stream(seed: int, name: str) -> "torch.Generator":
    """Return the torch (CPU) generator of the stream called ``name``."""
    import torch

    generator = torch.Generator()
    generator.manual_seed(int(numpy_stream(seed, name).integers(2**62)))
    return generator


@contextmanager
def torch_globals_from(seed: int, name: str) -> Iterator[None]:
    """Let code that can only draw from torch's global generators draw from the stream ``name``.

    Weight initialisation and dropout know no generator argument. Inside the context the global
    generators follow the stream; afterwards they are as if nothing had happened. Threads take
    turns, since they share the global generators; processes do not.
    """
    import torch

    in_use = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    devices = range(torch.cuda.device_count()) if in_use else []
    with _GLOBALS, torch.random.fork_rng(devices=devices):
        drawn = int(numpy_stream(seed, name).integers(2**62))
        torch.default_generator.manual_seed(drawn)
        if in_use:  # else torch.manual_seed would queue a seed for whenever CUDA comes to be used
            torch.cuda.manual_seed_all(drawn)
        yield


@contextmanager
def global_generators_kept() -> Iterator[None]:
    """Put Python's and NumPy's global generators back as they were before what is done inside.

    For code that draws from them. Threads take turns, as in :func:`torch_globals_from`.
    """
    with _GLOBALS:
        python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002
