"""How a training run is shown: chosen by where stderr goes, and never able to stop the run."""

from __future__ import annotations

import os
import sys
from typing import Protocol

from charlm.events import Event


class Progress(Protocol):
    """Shows records as they come."""

    def show(self, record: Event) -> None: ...

    def close(self) -> None: ...


class Silent:
    """Shows nothing."""

    def show(self, record: Event) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""


class _Sturdy:
    """Passes records on until the stream breaks: a closed terminal must not cost a training run."""

    def __init__(self, progress: Progress):
        self._progress = progress

    def show(self, record: Event) -> None:
        try:
            self._progress.show(record)
        except (OSError, ValueError):
            self._progress = Silent()

    def close(self) -> None:
        try:
            self._progress.close()
        except (OSError, ValueError):
            self._progress = Silent()


def choose_progress(*, quiet: bool) -> Progress:
    """A live panel on a terminal, plain lines elsewhere, nothing when quiet or without stderr."""
    if quiet or sys.stderr is None:
        return Silent()
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        from charlm.reports.live import Live
        return _Sturdy(Live())
    from charlm.reports.plain import Lines
    return _Sturdy(Lines(sys.stderr))
