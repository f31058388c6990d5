"""Progress lines of commands: when one is shown, and how it gives way to messages."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from charlm.reports.meter import Meter

_KEY = f"{__name__}.meter"              # in the metadata of click's context


def start_meter(size: int | None, *, unit: str = "", what: str = "", streams: bool = False,
                quiet: bool = False) -> Meter:
    """Return a progress line on stderr, which draws nothing unless stderr is a terminal that may be animated.

    If the product `streams`, stdout must be no terminal, because the line would get between its records. The end of
    the command, for whatever reason, removes the line.
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
    """Return a function that takes the number of bytes just read, for a meter of reading."""
    position = 0

    def add(count: int) -> None:
        nonlocal position
        position += count
        meter.update(position)
    return add


def _is_animated() -> bool:
    return _is_terminal(sys.stderr) and os.environ.get("TERM") != "dumb" and not os.environ.get("NO_COLOR")


def _is_terminal(stream: object) -> bool:
    """Return whether a standard stream is a terminal; one that is closed or absent is none."""
    try:
        return bool(stream.isatty())    # type: ignore[attr-defined]
    except (AttributeError, ValueError):
        return False
