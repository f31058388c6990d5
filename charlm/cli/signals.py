"""INT, TERM and HUP as a flag, so that work in hand can be put away before the process dies by them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]

SAME_WITHIN = 2.0                       # seconds: a terminal and a launcher may both send a signal


class Interruption:
    """Which signal has come, if any."""

    def __init__(self) -> None:
        self.signum: int | None = None
        self.came = 0.0

    def requested(self) -> bool:
        return self.signum is not None


@contextmanager
def interruption() -> Iterator[Interruption]:
    """While active a signal only sets the flag; one within two seconds is the same, a later one kills.

    A signal that was ignored when the process began (nohup) stays ignored.
    """
    flag = Interruption()

    def note(signum: int, frame: object) -> None:
        if flag.signum is None:
            flag.signum, flag.came = signum, time.monotonic()
        elif time.monotonic() - flag.came > SAME_WITHIN:
            signal.signal(signum, signal.SIG_DFL)
            os.kill(os.getpid(), signum)

    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number in SIGNALS:
        if before[number] is not signal.SIG_IGN:
            signal.signal(number, note)
    try:
        yield flag
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
