"""Every step of a run as a JSON line with a time stamp, in a separate file (`train --log`)."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Any, BinaryIO

from charlm.events import Event, Resumed, Sampled, Step, Validation, Warned
from charlm.reports.progress import Both, Progress

_LOGGED = {Step: "step", Validation: "validation", Sampled: "sample"}


class StepLog(Progress):
    """A report that appends to a file; a failure is reported as a warning and ends the log, not the run.

    When a run resumes, the log keeps its lines up to the step from which the run continues; later lines are removed,
    because the run repeats those steps, so every step is logged once. If the log is renamed or truncated during the
    run, as by logrotate, a new file is begun under its name, or lines are appended at its new end.
    """

    def __init__(self, path: str, warn: Callable[[Warned], None], *, replace: bool):
        self._path, self._warn, self._replace = path, warn, replace
        self._file: BinaryIO | None = None
        self._step, self._failed = 0, False

    def show(self, event: Event) -> None:
        """Log an event, if it is a step, a validation or a sample."""
        if isinstance(event, (Resumed, Step, Validation)):
            self._step = event.step
        if type(event) in _LOGGED and not self._failed:
            try:
                self._write(event)
            except (OSError, ValueError) as error:
                self._failed = True
                reason = getattr(error, "strerror", None) or error
                self._warn(Warned(f"{self._path}: the log ends here ({reason}); the training goes on"))

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            with contextlib.suppress(OSError):      # the last line failed before
                self._file.close()
            self._file = None

    def _write(self, event: Event) -> None:
        if self._file is None or _is_elsewhere(self._file, self._path):
            self.close()
            first = self._step - isinstance(event, Step)        # updates done before this event
            self._file, self._replace = _opened(self._path, None if self._replace else first), False
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        record = {"time": now, "event": _LOGGED[type(event)], "step": self._step, **_values(event)}
        self._file.write((json.dumps(record, ensure_ascii=False) + "\n").encode("utf-8", "replace"))
        self._file.flush()


def with_log(progress: Progress, path: str, *, replace: bool) -> Progress:
    """Return a report that also logs every step to a file; see StepLog."""
    return Both(progress, StepLog(path, progress.show, replace=replace))


def _values(event: Any) -> dict[str, Any]:
    """Return the fields of an event, with null for numbers that JSON lacks."""
    return {name: {part: _number(norm) for part, norm in value.items()} if isinstance(value, dict) else _number(value)
            for name, value in asdict(event).items()}


def _number(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _opened(path: str, step: int | None) -> BinaryIO:
    """Open a log behind its lines up to a step, or an empty one. Raises OSError, and ValueError for other lines."""
    if step is None or not os.path.isfile(path):
        return open(path, "wb", opener=_appending)
    file = open(path, "r+b", opener=_appending)         # noqa: SIM115  # the log keeps it open
    try:
        end = _end_of(file, step)
        file.seek(end)
        file.truncate()
        return file
    except BaseException:
        file.close()
        raise


def _appending(path: str, flags: int) -> int:
    """Open a file for appending: without O_APPEND, a truncated file would be filled with zeros up to its old end."""
    return os.open(path, flags | os.O_APPEND, 0o666)


def _is_elsewhere(file: BinaryIO, path: str) -> bool:
    """Return True if an open file no longer has this name. Raises OSError."""
    try:
        return not os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return True


def _end_of(lines: BinaryIO, step: int) -> int:
    """Return the position after the last line about this step or an earlier one. Raises ValueError for other lines."""
    end = 0
    for line in lines:
        if not line.endswith(b"\n"):
            break                       # cut off when the run was killed
        if _step_of(line) > step:
            break
        end += len(line)
    return end


def _step_of(line: bytes) -> int:
    with contextlib.suppress(ValueError, RecursionError):
        record = json.loads(line)
        if isinstance(record, dict) and type(record.get("step")) is int:
            return int(record["step"])
    raise ValueError("it is not a log of charlm, and is left as it is")
