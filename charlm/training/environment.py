"""The machine that a run trains on: chosen, set up, and described so that a resumed run notices a change."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import platform

import torch
from torch import nn

from charlm.errors import UsageError
from charlm.version import __version__

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
_BFLOAT16_UNITS = {"amx_bf16": "AMX", "avx512_bf16": "AVX-512 BF16"}   # flags of /proc/cpuinfo; the fastest first
# M_TRIM_THRESHOLD, M_TOP_PAD and M_MMAP_THRESHOLD of malloc.h: a seventh of the time of an update.
_MALLOC_OPTIONS = {-1: (1 << 31) - 1, -2: 64 << 20, -3: 32 << 20}
_TENSOR_CORES = 8                       # major compute capability from which a GPU multiplies bfloat16 in hardware


def choose_device(requested: str, previous: str | None = None) -> str:
    """Return "cpu" or "cuda"; "auto" keeps a run on the CPU. Raises UsageError if no GPU is available for "cuda"."""
    if requested == "auto" and previous == "cpu":
        return "cpu"
    available = torch.cuda.is_available()
    if requested == "cuda" and not available:
        raise UsageError("--device cuda: torch sees no GPU here; use --device cpu")
    return "cuda" if available and requested != "cpu" else "cpu"


@functools.cache
def bfloat16_unit() -> str:
    """Return the name of the processor's fastest bfloat16 unit, empty if it has none or hides it."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            flags = next((line.split() for line in file if line.startswith("flags")), [])
    except OSError:
        return ""
    return next((name for flag, name in _BFLOAT16_UNITS.items() if flag in flags), "")


def choose_precision(requested: str, *, device: str, cell: str) -> str:
    """Return "bfloat16" or "float32": as requested, if the cell runs in it there; "auto" by the hardware's capability.

    On a CPU, torch has bfloat16 kernels for the LSTM alone (oneDNN's).
    """
    if requested == "float32" or device == "cpu" and not (cell == "lstm" and _lstm_runs_in_bfloat16()):
        return "float32"
    fast = torch.cuda.get_device_capability()[0] >= _TENSOR_CORES if device == "cuda" else bool(bfloat16_unit())
    return "bfloat16" if fast or requested == "bfloat16" else "float32"


@functools.cache
def _lstm_runs_in_bfloat16() -> bool:
    """Return whether this build of torch trains an LSTM in bfloat16 on the CPU."""
    try:
        with torch.random.fork_rng(devices=[]), torch.autocast("cpu", dtype=torch.bfloat16):
            outputs, _ = nn.LSTM(1, 1)(torch.zeros(1, 1, 1))
            outputs.sum().backward()
    except RuntimeError:
        return False
    return outputs.dtype is torch.bfloat16


def set_up(threads: int | None) -> int:
    """Set the number of threads, if given, and return it; flush denormals, which slow down saturated gates."""
    _keep_freed_memory()
    if threads:
        torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    return torch.get_num_threads()


def _keep_freed_memory() -> None:
    """Let glibc's malloc keep freed tensors' memory: returning it costs a fault for each page of the next."""
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for option, value in _MALLOC_OPTIONS.items():
            mallopt(option, value)


def environment(*, device: str, threads: int, processes: int = 1) -> dict:
    """Return the versions and hardware that the bits of the weights depend on: equal values, equal bits."""
    processor = torch.cuda.get_device_name() if device == "cuda" else \
        " ".join(filter(None, (platform.machine(), torch.backends.cpu.get_cpu_capability(), bfloat16_unit())))
    return {"charlm": __version__, "torch": str(torch.__version__), "processor": processor,
            "device": device, "threads": threads, "processes": processes}


def differences(before: dict, now: dict) -> str:
    """Return the differences between two environments on one line; an empty string if they are equal.

    >>> differences({"threads": 2, "torch": "2.6"}, {"threads": 1, "torch": "2.6"})
    '--threads was 2 and is 1'
    """
    return ", ".join(f"{'--threads' if name == 'threads' else name} was {before.get(name)} and is {now.get(name)}"
                     for name in sorted({*before, *now}) if before.get(name) != now.get(name))
