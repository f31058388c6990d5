"""What the bits of a training depend on beside its inputs: versions, processor, threads."""

from __future__ import annotations

import platform

import torch

from charlm.errors import UsageError
from charlm.version import __version__

_NAMES = {"charlm": "charlm", "torch": "torch", "processor": "processor", "device": "device",
          "threads": "--threads", "processes": "processes"}


def environment(*, device: str, threads: int, processes: int = 1) -> dict:
    """Plain values that are equal where a training gives equal bits."""
    return {"charlm": __version__, "torch": str(torch.__version__), "processor": _processor(device),
            "device": device, "threads": threads, "processes": processes}


def _processor(device: str) -> str:
    if device == "cuda":
        return torch.cuda.get_device_name()
    return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"


def differences(before: dict, now: dict) -> str:
    """What has changed, as one line; nothing when nothing has.

    >>> differences({"threads": 2, "torch": "2.6"}, {"threads": 1, "torch": "2.6"})
    '--threads was 2 and is 1'
    """
    return ", ".join(f"{_NAMES.get(name, name)} was {before.get(name)} and is {now.get(name)}"
                     for name in sorted({*before, *now}) if before.get(name) != now.get(name))


def choose_device(wish: str, before: str | None = None) -> str:
    """`auto` stays where the run was before, else takes a GPU, when there is one.

    Raises UsageError for a GPU that is wished and not there.
    """
    if wish == "auto" and before == "cpu":
        return "cpu"
    available = torch.cuda.is_available()
    if wish == "cuda" and not available:
        raise UsageError("--device cuda: torch sees no GPU here; use --device cpu")
    return "cuda" if available and wish != "cpu" else "cpu"


def set_up(threads: int | None) -> int:
    """Set threads and flush denormals, which slow a trained network's gates; return the threads."""
    if threads:
        torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    return torch.get_num_threads()
