"""INT, TERM and HUP as a flag, so that a run can save its state before the process dies."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]

SAME_REQUEST = 2.0                      # seconds: a terminal and a launcher may both send a signal


class Interruption:
    """The first signal that arrived, if any."""

    def __init__(self) -> None:
        self.signum: int | None = None
        self.received_at = 0.0          # seconds of the monotonic clock

    def requested(self) -> bool:
        """Return True once a signal has arrived."""
        return self.signum is not None


@contextmanager
def interruption() -> Iterator[Interruption]:
    """Set a flag at the first signal instead of dying; a signal more than two seconds later kills."""
    flag = Interruption()

    def receive(signum: int, frame: object) -> None:
        if flag.signum is None:
            flag.signum, flag.received_at = signum, time.monotonic()
        elif time.monotonic() - flag.received_at > SAME_REQUEST:
            signal.signal(signum, signal.SIG_DFL)
            os.kill(os.getpid(), signum)

    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number in SIGNALS:
        if before[number] is not signal.SIG_IGN:        # nohup ignored it
            signal.signal(number, receive)
    try:
        yield flag
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
