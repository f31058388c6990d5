"""Spin-waiting of torch's threads, set up through the environment before torch is imported. No torch."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

SPINS = "1000"                          # a few microseconds; see tests/benchmarks/step.py


def spin_briefly() -> None:
    """Make torch's threads spin only briefly while they wait for each other; call it before torch is imported."""
    # Without spinning, two threads are as slow as one; beside a busy process, long spinning is slower still.
    # ACTIVE, because libgomp otherwise spins even less once several threads of this process use it.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
        os.environ["OMP_WAIT_POLICY"] = "ACTIVE"
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")      # NumPy only draws small samples here


@contextlib.contextmanager
def environment_for_torch() -> Iterator[None]:
    """Set the environment in which the command imports torch, unless torch is loaded; restore it afterwards."""
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
