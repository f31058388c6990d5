"""The first words of a command that may take long to begin: what it is doing, unless it soon has more to say."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

DELAY = 0.5                             # seconds of silence; a command that is refused at once says only why


class _Announcer:
    def __init__(self, report: Callable[[str], None]):
        self._report, self._lock = report, threading.Lock()
        self._activity, self._speaks = "", False
        self._timer = threading.Timer(DELAY, self._begin)
        self._timer.daemon = True
        self._timer.start()

    def announce(self, activity: str) -> None:
        with self._lock:
            self._activity = activity
            if self._speaks:
                self._report(activity)

    def _begin(self) -> None:
        with self._lock:
            self._speaks = True
            if self._activity:
                self._report(self._activity)

    def end(self) -> None:
        self._timer.cancel()
        with self._lock:
            self._activity = ""         # in case the timer has just begun


@contextmanager
def announcing(report: Callable[[str], None]) -> Iterator[Callable[[str], None]]:
    """Yield a function that reports an activity once DELAY seconds have passed, if that is still going on then."""
    announcer = _Announcer(report)
    try:
        yield announcer.announce
    finally:
        announcer.end()
