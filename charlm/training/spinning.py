"""Threads of torch that wait for each other, set up through the environment before torch is imported. No torch."""

from __future__ import annotations

import os

SPINS = "1000"                          # some microseconds; see tests/benchmarks/step.py


def spin_briefly() -> None:
    """Let torch's threads spin only briefly while they wait for each other; call it before torch is imported."""
    # Sleeping at once makes two threads as slow as one; beside a busy process, a long spin makes them slower still.
    # ACTIVE, because libgomp otherwise spins even less as soon as several threads of this process use it.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
        os.environ["OMP_WAIT_POLICY"] = "ACTIVE"
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")      # NumPy only draws small samples here
