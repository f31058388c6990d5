"""A progress line on a terminal: how much is done, how fast, and how long the rest will take.

The line is plain text after a carriage return, drawn by the caller that reports progress. rich's progress bars are
drawn by a thread, which must not run where worker processes are forked, and they hide the cursor, which a killed
process cannot restore.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import TextIO

from charlm.sizes import format_size

DELAY = 2.0                             # seconds of work before anything is drawn
INTERVAL = 0.25                         # seconds between updates of the line
MIN_WINDOW, MAX_WINDOW = 10.0, 60.0     # limits in seconds of the window for the speed, which is half the time so far
_ERASE = "\r\x1b[K"


class Meter:
    """A progress line for input of `size` bytes, or None if the size is unknown.

    Without a stream it draws nothing. After DELAY seconds, `update` redraws it at most every INTERVAL seconds. Nothing
    is drawn on a terminal that fails or on which another process is in the foreground.
    """

    def __init__(self, stream: TextIO | None, *, size: int | None, unit: str = "", what: str = "",
                 clock: Callable[[], float] = time.monotonic):
        self._stream, self.size, self._unit, self._what, self._clock = stream, size, unit, what, clock
        self._began = self._last = clock()
        self._drawn = False
        self._seen: deque[tuple[float, int, int]] = deque([(self._began, 0, 0)])    # time, position, bytes done

    def update(self, position: int, count: int = 0, done: int | None = None) -> None:
        """Report the position in the input, the units done, and the bytes done if they differ from the position."""
        now = self._clock()
        if self._stream is None or now - self._last < INTERVAL:
            return
        self._last = now
        self._seen.append((now, position, position if done is None else done))
        window = min(max((now - self._began) / 2, MIN_WINDOW), MAX_WINDOW)
        while len(self._seen) > 2 and self._seen[1][0] <= now - window:
            self._seen.popleft()
        if now - self._began >= DELAY and _in_foreground(self._stream):
            self._write(_ERASE + self._line(count)[:max(_columns(self._stream) - 1, 0)])
            self._drawn = True

    def erase(self) -> None:
        """Remove the line from the terminal; the next update draws it again."""
        if self._drawn:
            self._drawn = False
            self._write(_ERASE)

    def close(self) -> None:
        """Remove the line for good."""
        self.erase()
        self._stream = None

    def __enter__(self) -> Meter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def _line(self, count: int) -> str:
        (then, before, done_before), (now, position, done) = self._seen[0], self._seen[-1]
        seconds = max(now - then, 1e-9)
        parts = [f"{count:,} {self._unit}"] if self._unit else []
        if self.size:
            parts.append(f"{format_size(min(position, self.size))} of {format_size(self.size)}")
        parts.append(f"{format_size((done - done_before) / seconds)}/s")
        if self.size and position > before:
            left = max(self.size - position, 0) * seconds / (position - before)
            parts.append(f"{_format_duration(left)} left")
        return (f"{self._what}: " if self._what else "") + " · ".join(parts)

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            if self._stream is not None:
                self._stream.write(text)
                self._stream.flush()


def _format_duration(seconds: float) -> str:
    """Return the remaining time as minutes and seconds, with hours if there are any.

    >>> _format_duration(65), _format_duration(36_000)
    ('1:05', '10:00:00')
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"


def _in_foreground(stream: TextIO) -> bool:
    """Return False if the stream is a terminal that another group of processes reads from."""
    try:
        return os.tcgetpgrp(stream.fileno()) == os.getpgrp()
    except (OSError, ValueError):       # not the controlling terminal of this process
        return True


def _columns(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80
