"""The machine that a run trains on: chosen, set up, and described so that a resumed run notices a change."""

from __future__ import annotations

import platform

import torch

from charlm.errors import UsageError
from charlm.version import __version__


def choose_device(requested: str, previous: str | None = None) -> str:
    """Return "cpu" or "cuda"; "auto" keeps a run on the CPU. Raises UsageError if no GPU is available for "cuda"."""
    if requested == "auto" and previous == "cpu":
        return "cpu"
    available = torch.cuda.is_available()
    if requested == "cuda" and not available:
        raise UsageError("--device cuda: torch sees no GPU here; use --device cpu")
    return "cuda" if available and requested != "cpu" else "cpu"


def set_up(threads: int | None) -> int:
    """Set the number of threads, if given, and return it; flush denormals, which slow down saturated gates."""
    if threads:
        torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    return torch.get_num_threads()


def environment(*, device: str, threads: int, processes: int = 1) -> dict:
    """Return the versions and hardware that the bits of the weights depend on: equal values, equal bits."""
    processor = torch.cuda.get_device_name() if device == "cuda" else \
        f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
    return {"charlm": __version__, "torch": str(torch.__version__), "processor": processor,
            "device": device, "threads": threads, "processes": processes}


def differences(before: dict, now: dict) -> str:
    """Return the differences between two environments on one line; an empty string if they are equal.

    >>> differences({"threads": 2, "torch": "2.6"}, {"threads": 1, "torch": "2.6"})
    '--threads was 2 and is 1'
    """
    return ", ".join(f"{'--threads' if name == 'threads' else name} was {before.get(name)} and is {now.get(name)}"
                     for name in sorted({*before, *now}) if before.get(name) != now.get(name))
