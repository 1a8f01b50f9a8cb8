"""Work on the rows of an array in several threads.

The functions that run here (numba kernels compiled with ``nogil``) let go of the interpreter lock,
so plain threads are enough. Numba's own parallel loops use OpenMP, and OpenMP ends any forked child
process that uses it again: a benchmark that forks its workers would die without a message.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import TypeVar

from joblib import cpu_count

Result = TypeVar("Result")

#: Below this size one thread is done before a second one has started.
_SMALL = 2**22


def map_rows(function: Callable[[slice], Result], n_rows: int, n_bytes: int) -> list[Result]:
    """Call ``function(rows)`` on slices that together cover ``range(n_rows)``.

    Parameters
    ----------
    function : callable
        Takes a slice of rows; calls may run at the same time. It must not call ``map_rows``.
    n_rows : int
    n_bytes : int
        Size of what is worked on; little work is done in one call.

    Returns
    -------
    list
        What the calls returned, in the order of the rows.
    """
    n_threads = min(_n_cores(), n_rows) if n_bytes > _SMALL else 1
    bounds = [n_rows * i // n_threads for i in range(n_threads + 1)]
    first, *others = [slice(low, high) for low, high in pairwise(bounds)]
    if not others:
        return [function(first)]
    # This thread works too: one less to wake and to wait for.
    running = [_pool(os.getpid()).submit(function, rows) for rows in others]
    return [function(first), *(one.result() for one in running)]


@cache
def _n_cores() -> int:
    return int(cpu_count())  # what the container allows, not what the machine has


@cache
def _pool(process: int) -> ThreadPoolExecutor:
    """Return the threads of this process; a forked child has another id, and none yet."""
    return ThreadPoolExecutor(max(1, _n_cores() - 1), thread_name_prefix="tsguard")
