"""What the bits of a training depend on beside its inputs: versions, processor, threads."""

from __future__ import annotations

import platform

import torch

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
