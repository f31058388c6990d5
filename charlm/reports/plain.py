"""Progress as `key=value` lines, for logs and pipes."""

from __future__ import annotations

import json
import re
import time
from datetime import datetime
from typing import TextIO

from charlm.events import Event, Measuring, Planned, Resumed, Sampled, Saved, Step, Stopped, Validation, Warned
from charlm.reports.visible import visible

_UNQUOTED = re.compile(r"[\w./+:-]+")
STEP_INTERVAL = 10.0                    # seconds between lines about steps


def _format_value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4f}" if abs(value) < 1000 else f"{value:.0f}"
    if isinstance(value, str) and not _UNQUOTED.fullmatch(value):
        return visible(json.dumps(value, ensure_ascii=False))
    return str(value)


def local_time() -> str:
    """Return the time in the local zone, which TZ sets, as ISO 8601 with its offset: 2026-11-27T15:05:06+01:00."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


def format_fields(**values: object) -> str:
    """Return `a=1 b=0.5 c=word d="two words"`: None is left out, text other than a plain word is quoted as JSON."""
    return " ".join(f"{name}={_format_value(value)}" for name, value in values.items() if value is not None)


class PlainLines:
    """A report that prints one line per event, but at most one line about steps every `step_interval` seconds.

    With `timestamps` each line begins with its time.
    """

    def __init__(self, stream: TextIO, *, step_interval: float = STEP_INTERVAL, timestamps: bool = False):
        self._stream, self._step_interval, self._timestamps = stream, step_interval, timestamps
        self._next_step_line = time.monotonic()

    def show(self, event: Event) -> None:
        """Print the event's line, if it has one."""
        if line := self._format_step(event) if isinstance(event, Step) else _format_event(event):
            stamp = f"time={local_time()} " if self._timestamps else ""
            print(stamp + line, file=self._stream, flush=True)

    def close(self) -> None:
        """Flush the stream."""
        self._stream.flush()

    def _format_step(self, step: Step) -> str:
        if time.monotonic() < self._next_step_line:
            return ""
        self._next_step_line = time.monotonic() + self._step_interval
        return format_fields(
            event="step", step=step.step, of=step.steps, loss=step.loss, gradient_norm=step.gradient_norm,
            learning_rate=f"{step.learning_rate:.2e}", characters_per_second=round(step.characters_per_second),
            seconds_left=round(step.seconds_left), skipped=None if step.updated else 1)


def _format_event(event: Event) -> str:
    match event:
        case Measuring():
            return format_fields(event="measuring", seconds=event.seconds, note=event.note or None)
        case Planned():
            return format_fields(event="plan", model=event.model, corpus=event.corpus, steps=event.steps,
                                 epochs=event.epochs, expected_seconds=event.seconds,
                                 expected_loss=event.expected, repeat=event.repeat)
        case Resumed():
            return format_fields(event="resumed", step=event.step)
        case Validation():
            return format_fields(event="validation", step=event.step, loss=event.loss,
                                 train_loss=event.train_loss, word_error_rate=event.error_rate,
                                 bits_per_character=event.bits_per_character, best=int(event.best))
        case Sampled():
            return format_fields(event="sample", text=event.text)
        case Saved():
            return format_fields(event="saved", path=event.path)
        case Warned():
            return format_fields(event="warning", message=event.message)
        case Stopped():
            return format_fields(
                event="stopped", reason=event.reason, step=event.step, best=event.loss,
                word_error_rate=event.error_rate, bits_per_character=event.bits_per_character, seconds=event.seconds,
                path=event.path or None, next=event.next_command or None, resume=event.resume_command or None,
                repeat=event.repeat_command or None)
    return ""
