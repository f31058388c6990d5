"""Threads of torch that wait for each other, set up through the environment before torch is imported. No torch."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

SPINS = "1000"                          # some microseconds; see tests/benchmarks/step.py


def spin_briefly() -> None:
    """Let torch's threads spin only briefly while they wait for each other; call it before torch is imported."""
    # Sleeping at once makes two threads as slow as one; beside a busy process, a long spin makes them slower still.
    # ACTIVE, because libgomp otherwise spins even less as soon as several threads of this process use it.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
        os.environ["OMP_WAIT_POLICY"] = "ACTIVE"
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")      # NumPy only draws small samples here


@contextlib.contextmanager
def environment_for_torch() -> Iterator[None]:
    """Let torch, unless it is loaded, be imported here as the command does; the environment is put back."""
    if "torch" in sys.modules:
        yield
        return
    before = dict(os.environ)
    spin_briefly()
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
