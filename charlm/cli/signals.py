"""INT, TERM and HUP as a flag, so that a run can save its state before the process dies.

Python's handlers run in the main thread between two of its instructions, and writing to a slow disk has none between.
So another thread sees to it that the process dies in time whatever the main thread does.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]

SAME_REQUEST = 2.0                      # seconds: a terminal and a launcher may both send a signal
DEADLINE = 4.25                         # seconds from a signal to the death of the process; half a second is for it
_SHOW_CURSOR = "\x1b[?25h"


class Interruption:
    """The first signal that arrived, if any."""

    def __init__(self) -> None:
        self.signum: int | None = None
        self.received_at = 0.0          # seconds of the monotonic clock

    def requested(self) -> bool:
        """Return True once a signal has arrived."""
        return self.signum is not None


@contextmanager
def interruption(last_words: Callable[[], str] = str) -> Iterator[Interruption]:
    """Set a flag at the first signal instead of dying; a signal more than two seconds later kills.

    If the context has not ended within DEADLINE seconds after a signal, `last_words()`, a line or nothing, goes to
    stderr and the process dies by that signal.
    """
    flag = Interruption()

    def receive(signum: int, frame: object) -> None:
        if flag.signum is None:
            flag.signum, flag.received_at = signum, time.monotonic()
        elif time.monotonic() - flag.received_at > SAME_REQUEST:
            signal.signal(signum, signal.SIG_DFL)
            os.kill(os.getpid(), signum)

    before = {number: signal.getsignal(number) for number in SIGNALS}
    with _deadline(last_words):
        for number in SIGNALS:
            if before[number] is not signal.SIG_IGN:    # nohup ignored it
                signal.signal(number, receive)
        try:
            yield flag
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def _deadline(last_words: Callable[[], str]) -> Iterator[None]:
    """Start the thread that kills the process DEADLINE seconds after a signal, unless the context ends before."""
    signals, wakeup = os.pipe()         # the interpreter writes each signal's number there as soon as it arrives
    over, end = os.pipe()
    os.set_blocking(wakeup, False)
    previous = signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
    watch = threading.Thread(target=_watch, args=(signals, over, last_words), daemon=True)
    watch.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(previous)
        os.close(end)
        watch.join()
        for descriptor in (signals, wakeup, over):
            os.close(descriptor)


def _watch(signals: int, over: int, last_words: Callable[[], str]) -> None:
    """Wait for one of our signals, then for the end of the context or the deadline."""
    signum = 0
    while signum not in SIGNALS:
        ready, _, _ = select.select([signals, over], [], [])
        if over in ready:
            return
        signum = os.read(signals, 1)[0]
    if not select.select([over], [], [], DEADLINE)[0]:
        _die(signum, last_words)


def _die(signum: int, last_words: Callable[[], str]) -> None:
    """Write the last words and die by the signal, from a thread that may not set Python's handlers."""
    with suppress(Exception):
        words = f"charlm: {text}\n" if (text := last_words()) else ""
        os.write(2, f"{_SHOW_CURSOR if os.isatty(2) else ''}{words}".encode("utf-8", "backslashreplace"))
    with suppress(Exception):
        ctypes.CDLL(None).signal(int(signum), None)     # SIG_DFL is a null pointer
        os.kill(os.getpid(), signum)
        time.sleep(1)
    os._exit(128 + signum)
