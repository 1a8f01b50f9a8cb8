"""Where tensors live: one place that turns ``device="auto"`` into a torch device."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def resolve_device(device: str | torch.device) -> torch.device:
    """Return the torch device asked for, or the best one present for ``"auto"``.

    Parameters
    ----------
    device : str or torch.device
        ``"auto"`` (CUDA where present, else the CPU), or a name that torch knows.

    Returns
    -------
    torch.device

    Raises
    ------
    ValueError
        If torch does not know the name, or the device is not there.
    """
    if isinstance(device, str) and device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
        torch.empty(1, device=resolved).cpu()  # "meta" holds no values
    except (RuntimeError, AssertionError, TypeError) as error:
        raise ValueError(
            f"device must be 'auto' or a device of this machine (such as 'cpu'), got {device!r}; "
            "use device='auto' to take the best one present."
        ) from error
    return resolved


@contextmanager
def torch_threads_kept() -> Iterator[None]:
    """Give torch back as many threads as it had.

    Numba's parallel loops (aeon's MiniRocket has some) set how many threads OpenMP uses, and torch
    follows. With more threads than free cores, small networks train fifty times slower.
    """
    n_threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)
