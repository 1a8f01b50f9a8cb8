"""Work on the rows of an array in several threads.

The functions that run here (NumPy's sums, numba kernels compiled with ``nogil``) let go of the
interpreter lock, so plain threads are enough. Numba's own parallel loops use OpenMP, and OpenMP
ends any forked child process that uses it again: a benchmark that forks its workers would die
without a message. For the same reason the threads live for one call only.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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
        Takes a slice of rows; calls may run at the same time.
    n_rows : int
    n_bytes : int
        Size of what is worked on; little work is done in one call.

    Returns
    -------
    list
        What the calls returned, in the order of the rows.
    """
    n_threads = min(cpu_count(), n_rows) if n_bytes > _SMALL else 1
    bounds = [n_rows * i // n_threads for i in range(n_threads + 1)]
    first, *others = [slice(low, high) for low, high in pairwise(bounds)]
    if not others:
        return [function(first)]
    # This thread works too: a thread less to start and to wait for.
    with ThreadPoolExecutor(len(others)) as pool:
        results = pool.map(function, others)
        return [function(first), *results]
