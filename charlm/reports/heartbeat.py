"""A file that shows that a run is alive or how it ended, for a monitor (`train --heartbeat`).

A thread rewrites it, because reading a corpus or validating may take minutes without an event.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable

from charlm.events import Event, Resumed, Step, Stopped, Validation
from charlm.reports.plain import format_fields, local_time
from charlm.reports.progress import Progress

INTERVAL = 10.0                         # seconds between two beats
LAST_BEAT = 1.0                         # seconds by which the last beat may delay the end of the process
_STATUS = {0: "finished", 5: "diverged"}        # by exit code


class Heartbeat(Progress):
    """A report in one line, `time=… status=running pid=… step=…`, that replaces its file every INTERVAL seconds.

    `idle` is the number of seconds since the last event. On a full disk the previous line is overwritten in place,
    which needs no space. The first failure is reported as a warning, and every beat tries again.
    """

    def __init__(self, path: str, output: str, warn: Callable[[str], None]):
        self._path, self._output, self._warn = path, output, warn
        self._fields: dict[str, object] = dict.fromkeys(("step", "of", "loss", "held_out", "seconds_left"))
        self._exit_code: int | None = None
        self._last_event = time.monotonic()
        self._warned, self._over = False, threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def start(self) -> None:
        """Write the first line, then one every INTERVAL seconds until `end` is called."""
        self._thread.start()

    def show(self, event: Event) -> None:
        """Keep the figures of an event for the next line."""
        self._last_event = time.monotonic()
        match event:
            case Step():
                self._fields |= {"step": event.step, "of": event.steps, "loss": event.loss,
                                 "seconds_left": round(event.seconds_left)}
            case Validation():
                self._fields["held_out"] = event.loss
            case Resumed() | Stopped():
                self._fields["step"] = event.step

    def end(self, exit_code: int) -> None:
        """Write the last line, with the exit code of the command."""
        self._exit_code = exit_code
        self._over.set()
        self._thread.join(LAST_BEAT)    # a hanging disk must not keep the process alive

    def _beat(self) -> None:
        self._write()
        while not self._over.wait(INTERVAL):
            self._write()
        self._write()

    def _line(self) -> str:
        code = self._exit_code
        status = "running" if code is None else _STATUS.get(code, "interrupted" if code > 128 else "failed")
        idle = round(time.monotonic() - self._last_event) if code is None else None
        return format_fields(time=local_time(), status=status, pid=os.getpid(), output=self._output, **self._fields,
                             idle=idle, exit=code) + "\n"

    def _write(self) -> None:
        """Replace the file, so that no reader sees half a line; no fsync, because a beat is soon outdated anyway."""
        folder, name = os.path.split(os.path.realpath(self._path))
        temporary, line = os.path.join(folder, f".{name}.charlm-tmp"), self._line().encode("utf-8", "replace")
        try:
            _write(temporary, os.O_CREAT | os.O_TRUNC, line)
            os.replace(temporary, os.path.join(folder, name))
        except OSError as error:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            with contextlib.suppress(OSError):
                _write(os.path.join(folder, name), 0, line)
            if not self._warned:
                self._warned = True
                self._warn(f"warning: {self._path}: the heartbeat cannot be written ({error.strerror}); trying again")


def _write(path: str, flags: int, data: bytes) -> None:
    """Write a file from its beginning and truncate it to the new length."""
    descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | flags, 0o666)
    try:
        os.write(descriptor, data)
        os.ftruncate(descriptor, len(data))
    finally:
        os.close(descriptor)
