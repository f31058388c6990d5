"""INT, TERM and HUP as a flag, so that work in hand can be put away before the process dies by them."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Interruption:
    """Which signal has come, if any."""

    def __init__(self) -> None:
        self.signum: int | None = None

    def requested(self) -> bool:
        return self.signum is not None


@contextmanager
def interruption() -> Iterator[Interruption]:
    """While active a signal only sets the flag; a second one is the same as the first.

    A signal that was ignored when the process began (nohup) stays ignored.
    """
    flag = Interruption()

    def note(signum: int, frame: object) -> None:
        flag.signum = flag.signum or signum

    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number in SIGNALS:
        if before[number] is not signal.SIG_IGN:
            signal.signal(number, note)
    try:
        yield flag
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
