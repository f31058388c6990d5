"""Progress as `key=value` lines, for logs and pipes."""

from __future__ import annotations

import json
import re
import time
from typing import TextIO

from charlm.events import Event, Planned, Resumed, Sampled, Saved, Step, Stopped, Validation, Warned
from charlm.reports.visible import visible

_PLAIN = re.compile(r"[\w./+:-]+")
EVERY = 10.0                            # seconds between lines about steps


def _fields(**values: object) -> str:
    """`a=1 b=0.5 c=word d="two words"`: text is quoted as JSON unless it is one plain word, and
    shows no control character."""
    def show(value: object) -> str:
        if isinstance(value, float):
            return f"{value:.4f}" if abs(value) < 1000 else f"{value:.0f}"
        plain = not isinstance(value, str) or _PLAIN.fullmatch(value)
        return str(value) if plain else visible(json.dumps(value, ensure_ascii=False))
    return " ".join(f"{name}={show(value)}" for name, value in values.items() if value is not None)


class Lines:
    """One line an event; steps only now and then."""

    def __init__(self, stream: TextIO, *, every: float = EVERY):
        self._stream, self._every = stream, every
        self._next = time.monotonic()

    def show(self, record: Event) -> None:
        line = self._line(record)
        if line:
            print(line, file=self._stream, flush=True)

    def close(self) -> None:
        self._stream.flush()

    def _line(self, record: Event) -> str:
        if isinstance(record, Planned):
            return _fields(event="plan", model=record.model, corpus=record.corpus,
                           steps=record.steps, epochs=record.epochs,
                           expected_seconds=record.seconds, repeat=record.repeat)
        if isinstance(record, Resumed):
            return _fields(event="resumed", step=record.step)
        if isinstance(record, Step):
            return self._step(record)
        if isinstance(record, Validation):
            return _fields(event="validation", step=record.step, loss=record.loss,
                           word_error_rate=record.error_rate, bits_per_character=record.bits_per_character,
                           best=int(record.best))
        if isinstance(record, Sampled):
            return _fields(event="sample", text=record.text)
        if isinstance(record, Saved):
            return _fields(event="saved", path=record.path)
        if isinstance(record, Warned):
            return _fields(event="warning", message=record.message)
        if isinstance(record, Stopped):
            return _fields(event="stopped", reason=record.reason, step=record.step, best=record.loss,
                           word_error_rate=record.error_rate, bits_per_character=record.bits_per_character,
                           seconds=record.seconds, path=record.path or None, next=record.next_command or None,
                           resume=record.resume_command or None)
        return ""

    def _step(self, record: Step) -> str:
        if time.monotonic() < self._next:
            return ""
        self._next = time.monotonic() + self._every
        return _fields(event="step", step=record.step, of=record.steps, loss=record.loss,
                       gradient_norm=record.gradient_norm, learning_rate=f"{record.learning_rate:.2e}",
                       characters_per_second=round(record.characters_per_second),
                       seconds_left=round(record.seconds_left),
                       skipped=None if record.updated else 1)
