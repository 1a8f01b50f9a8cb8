"""Where cells run: here, in processes of this machine, on a Dask or on a Ray cluster.

Each way is an existing engine's. All of them take tasks one after the other and yield what came of
them as it comes, so that the caller can store it at once.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

from joblib import Parallel, delayed, effective_n_jobs, parallel_config

from tsguard._bench._grid import Config
from tsguard._values import is_integer, unknown_name_error

Task = tuple[Any, ...]
"""Arguments of the function; the first one is the configuration of a cell."""

Outcome = tuple[Config, Any]
"""The configuration and what the function returned, or the error of the engine."""

ENGINES = ("local", "dask", "ray")


@dataclass(frozen=True)
class Workers:
    """Where cells run.

    Attributes
    ----------
    engine : {"local", "dask", "ray"}
    jobs : int
        Processes of engine "local"; 1 runs everything in this one. A cluster has its own number.
    address : str or None
        Of the cluster's scheduler; None starts a cluster on this machine.
    """

    engine: str = "local"
    jobs: int = 1
    address: str | None = None

    def checked(self) -> "Workers":
        """Return this if it is valid, or raise a ValueError."""
        if self.engine not in ENGINES:
            raise unknown_name_error("engine", self.engine, ENGINES)
        if not is_integer(self.jobs) or self.jobs < 1:
            raise ValueError(
                f"jobs must be an integer of at least 1, got {self.jobs!r}; 1 is the default."
            )
        if self.address is not None and self.engine == "local":
            raise ValueError(
                f"address must come with engine 'dask' or 'ray', got {self.address!r} for 'local'; "
                "name the engine of the cluster."
            )
        return self


def each_result(
    function: Callable[..., Any], tasks: Iterable[Task], workers: Workers
) -> Iterator[Outcome]:
    """Call a function with each task and yield the results in the order in which they come.

    Parameters
    ----------
    function : callable
        Must be importable where it runs, and should catch its own errors.
    tasks : iterable of tuple
        Taken only as workers get free.
    workers : Workers

    Raises
    ------
    ImportError
        If the engine is not installed.
    ChildProcessError
        If a process of engine "local" was killed. Dask runs a cell again elsewhere, and yields an
        error for one that keeps killing its workers.
    """
    if workers.engine == "dask":
        return _on_dask(function, tasks, workers.address)
    if workers.engine == "ray":
        return _on_ray(function, tasks, workers.address)
    return _local(function, tasks, workers.jobs)


def _call(function: Callable[..., Any], task: Task) -> Outcome:
    return task[0], function(*task)


def _local(function: Callable[..., Any], tasks: Iterable[Task], jobs: int) -> Iterator[Outcome]:
    if jobs == 1:
        yield from (_call(function, task) for task in tasks)
        return
    # joblib shares the cores out: each process gets its part of the threads.
    parallel = Parallel(jobs, return_as="generator_unordered", batch_size=1)
    try:
        yield from parallel(delayed(_call)(function, task) for task in tasks)
    except BrokenExecutor as error:
        raise ChildProcessError(
            "a worker process was killed, most likely for lack of memory; what is finished is "
            "stored, run the same command again to go on, with fewer jobs."
        ) from error


def _on_dask(
    function: Callable[..., Any], tasks: Iterable[Task], address: str | None
) -> Iterator[Outcome]:
    # Dask's own futures and not joblib's backend for it: that one waits for ever for a task which
    # has killed too many workers (no callback comes; joblib 1.6).
    try:
        from distributed import Client, as_completed
    except ImportError as error:
        raise ImportError(
            "dask.distributed must be installed for engine 'dask'; "
            "run `pip install tsguard[bench]`."
        ) from error
    waiting = iter(tasks)
    running: dict[str, Task] = {}
    with Client(address) as client:
        completed = as_completed()
        while True:
            room = max(2, 2 * sum(client.ncores().values())) - len(running)
            for task in islice(waiting, max(0, room)):
                future = client.submit(_call, function, task, pure=False)
                running[future.key] = task
                completed.add(future)
            if not running:
                return
            future = next(completed)
            task, failure = running.pop(future.key), future.exception()
            yield future.result() if failure is None else (task[0], failure)


def _on_ray(
    function: Callable[..., Any], tasks: Iterable[Task], address: str | None
) -> Iterator[Outcome]:
    try:
        import ray
        from ray.util.joblib import register_ray
    except ImportError as error:
        raise ImportError(
            "ray must be installed for engine 'ray'; run `pip install ray`."
        ) from error
    if not ray.is_initialized():
        ray.init(address=address)
    register_ray()
    yield from _in_chunks(function, tasks, "ray")


def _in_chunks(
    function: Callable[..., Any], tasks: Iterable[Task], backend: str, n_jobs: int = -1
) -> Iterator[Outcome]:
    """Run tasks on a backend of joblib that returns only when all it was given is done."""
    waiting = iter(tasks)
    with parallel_config(backend=backend, n_jobs=n_jobs):
        size = 4 * effective_n_jobs(n_jobs)
        while chunk := list(islice(waiting, size)):
            yield from Parallel(batch_size=1)(delayed(_call)(function, task) for task in chunk)
