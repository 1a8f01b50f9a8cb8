"""What a cell ran on, and how much memory it took."""

import os
import platform
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")


def describe_device(name: str) -> dict[str, Any]:
    """Return kind and name of a torch device, and the threads that torch may use."""
    device = torch.device(name)
    is_cuda = device.type == "cuda"
    return {
        "kind": device.type,
        "name": torch.cuda.get_device_name(device) if is_cuda else _processor(),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "host": platform.node(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


class PeakMemory:
    """Largest memory of this process since the object was made, libraries included.

    Linux can start the count afresh; elsewhere the peak is that of the process so far.
    """

    def __init__(self) -> None:
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        with suppress(OSError):  # not Linux, or not allowed: the peak of the process so far
            _RESET.write_text("5")

    def megabytes(self) -> float | None:
        """Return the peak of the main memory; None where the system does not say."""
        try:
            lines = _STATUS.read_text().splitlines()
            kilobytes = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
        except (OSError, StopIteration):
            return _of_process()
        return round(kilobytes / 1024, 1)

    def gpu_megabytes(self) -> float | None:
        """Return the peak of what torch took of the GPU; None without one."""
        if not torch.cuda.is_available():
            return None
        return round(torch.cuda.max_memory_allocated() / 2**20, 1)


def _of_process() -> float | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 1024), 1)
