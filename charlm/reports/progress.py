"""The choice of a progress report, and a guard that keeps a broken stderr from stopping the run."""

from __future__ import annotations

import os
import sys
from typing import Protocol

from charlm.events import Event


class Progress(Protocol):
    """A report that shows events as they arrive. Its methods do nothing unless they are overridden."""

    def show(self, event: Event) -> None:
        """Show one event."""
        return None                     # an empty body would make the method abstract

    def close(self) -> None:
        """Finish the report and restore the terminal."""
        return None


class Silent(Progress):
    """A report that shows nothing."""


class _Failsafe:
    """A report that falls silent when its stream breaks: a closed terminal must not cost a training run."""

    def __init__(self, progress: Progress):
        self._progress = progress

    def show(self, event: Event) -> None:
        try:
            self._progress.show(event)
        except (OSError, ValueError):
            self._progress = Silent()

    def close(self) -> None:
        try:
            self._progress.close()
        except (OSError, ValueError):
            self._progress = Silent()


class Both(Progress):
    """Two reports of the same events."""

    def __init__(self, first: Progress, second: Progress):
        self._both = first, second

    def show(self, event: Event) -> None:
        """Show one event in both."""
        for progress in self._both:
            progress.show(event)

    def close(self) -> None:
        """Finish both."""
        for progress in self._both:
            progress.close()


def choose_progress(*, quiet: bool, timestamps: bool = False) -> Progress:
    """Return a live panel on a terminal, plain lines elsewhere, a silent report if quiet or without stderr."""
    if quiet or sys.stderr is None:
        return Silent()
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        from charlm.reports.live import LivePanel
        return _Failsafe(LivePanel())
    from charlm.reports.plain import PlainLines
    return _Failsafe(PlainLines(sys.stderr, timestamps=timestamps))
