"""Where training computes, and the process-wide settings of torch that go with it."""

from __future__ import annotations

import torch

from charlm.errors import UsageError


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
