"""The error boundary: every way a command can end, as one line on stderr and an exit code.

    0 done   1 internal, memory   2 usage   3 model   4 corpus   5 diverged   6 storage
    141 the reader of stdout went away; death by INT, TERM or HUP is by that signal itself
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable

import click

from charlm.errors import CharlmError

CLOSED_PIPE = 141
_MEMORY = "out of memory; lower --batch-size, --bptt or --hidden"


class Killed(Exception):
    """The work is put away; now die by this signal."""

    def __init__(self, signum: int):
        self.signum = signum


def guarded(command: Callable[[], object]) -> None:
    """Run a command, report what went wrong, exit. With CHARLM_DEBUG=1 tracebacks are shown."""
    _unicode_streams()
    try:
        code = command()
        if sys.stdout is not None:
            sys.stdout.flush()
    except (KeyboardInterrupt, click.Abort):
        _die(signal.SIGINT)
    except Killed as killed:
        _die(killed.signum)
    except BrokenPipeError:
        _leave(CLOSED_PIPE)
    except Exception as error:
        if os.environ.get("CHARLM_DEBUG") == "1":
            raise
        _leave(_report(error))
    else:
        _leave(code if isinstance(code, int) else 0)


def _report(error: Exception) -> int:
    """Say what happened in one line; return the exit code."""
    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        verb = f" {context.info_name}" if context and context.parent else ""
        say(f"error: {error.format_message()} (charlm{verb} --help lists the flags)")
        return error.exit_code
    if isinstance(error, CharlmError):
        say(f"error: {error}")
        return error.exit_code
    if isinstance(error, MemoryError) or "out of memory" in str(error) \
            or "can't allocate memory" in str(error):
        say(f"error: {_MEMORY}")
    else:
        say(f"error: internal: {type(error).__name__}: {error}; CHARLM_DEBUG=1 shows where")
    return 1


def say(message: str) -> None:
    """One line on stderr, `charlm: ...`; nothing when stderr is gone."""
    from charlm.reports.visible import visible
    with contextlib.suppress(OSError, ValueError, AttributeError):
        print(f"charlm: {visible(' '.join(message.split()))}", file=sys.stderr, flush=True)


def _unicode_streams() -> None:
    """UTF-8 whatever the locale; text that is no UTF-8 (file names) is shown escaped."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def _leave(code: int) -> None:
    """Exit without a second complaint from the interpreter flushing a broken stdout."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(code)


def _die(signum: int) -> None:
    signal.signal(signum, signal.SIG_DFL)
    os.kill(os.getpid(), signum)
