"""Progress lines of commands: when one is shown, and how it makes room for messages."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from charlm.model import LanguageModel
    from charlm.reports.meter import Meter

LONG_PROMPT = 20_000                    # characters; shorter prompts take next to no time
_KEY = f"{__name__}.meter"              # in the metadata of click's context


def start_meter(size: int | None, *, unit: str = "", what: str = "", streams: bool = False,
                quiet: bool = False) -> Meter:
    """Return a progress line on stderr, which draws nothing unless stderr is a terminal that allows animation.

    If the output `streams`, stdout must not be a terminal either, because the line would appear between its records.
    The line is removed when the command ends, for whatever reason.
    """
    from charlm.reports.meter import Meter
    shown = not quiet and _is_animated() and not (streams and _is_terminal(sys.stdout))
    meter = Meter(sys.stderr if shown else None, size=size, unit=unit, what=what)
    context = click.get_current_context(silent=True)
    if shown and context is not None:
        context.meta[_KEY] = meter
        context.call_on_close(meter.close)
    return meter


def erase_meter() -> None:
    """Remove the command's progress line, if there is one, until it is drawn again."""
    context = click.get_current_context(silent=True)
    meter = None if context is None else context.meta.get(_KEY)
    if meter is not None:
        meter.erase()


def watch_reading(meter: Meter) -> Callable[[int], None]:
    """Return a function that adds the number of bytes just read, and removes the meter at the end of the input."""
    position = 0

    def add(count: int) -> None:
        nonlocal position
        position += count
        meter.update(position)
        if position == meter.size:
            meter.close()
    return add


def watch_measuring(meter: Meter) -> tuple[Callable[[int], None], Callable[[float], None]]:
    """Return two functions: one adds the bytes just read, one takes the share of them that has been measured."""
    position = 0

    def read(count: int) -> None:
        nonlocal position
        position += count

    def measured(share: float) -> None:
        meter.update(round(share * position))
    return read, measured


def watch_prompt(model: LanguageModel, prompt: str) -> None:
    """Show a progress line while a model reads a long prompt of running text."""
    if model.task_row.by_line or len(prompt) < LONG_PROMPT:
        return
    meter = start_meter(len(prompt.encode("utf-8", "replace")), what="prompt", streams=True)
    size, tokens, read = meter.size or 0, len(model.tokenizer.encode(prompt)), 0

    def count(more: int) -> None:
        nonlocal read
        read += more
        meter.update(round(size * read / tokens))
        if read >= tokens:
            meter.close()
    model.watch_reading(count)


def _is_animated() -> bool:
    return _is_terminal(sys.stderr) and os.environ.get("TERM") != "dumb" and not os.environ.get("NO_COLOR")


def _is_terminal(stream: object) -> bool:
    """Return True if a standard stream is a terminal, False also if it is closed or absent."""
    try:
        return bool(stream.isatty())    # type: ignore[attr-defined]
    except (AttributeError, ValueError):
        return False
