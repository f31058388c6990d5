"""The error boundary: every way a command can end, as one line on stderr and an exit code.

    0 done   1 internal, memory   2 usage   3 model   4 corpus   5 diverged   6 storage   7 in use
    141 the reader of stdout went away; death by INT, TERM or HUP is by that signal itself
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
from collections.abc import Callable, Iterator

import click

from charlm.errors import CharlmError, StorageError

CLOSED_PIPE = 141
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
_MEMORY = "out of memory; lower --batch-size, --bptt or --hidden"


class ClosedPipe(Exception):
    """Whoever read stdout has left. Not an OSError: click turns those of closed pipes into exit 1."""


class TerminatedBySignal(Exception):
    """The work is put away; now die by this signal."""

    def __init__(self, signum: int):
        self.signum = signum


def run_and_exit(command: Callable[[], object]) -> None:
    """Run a command, report what went wrong, exit. With CHARLM_DEBUG=1 tracebacks are shown."""
    _unicode_streams()
    try:
        code = command()
        _flush()
    except (KeyboardInterrupt, click.Abort):
        _die(signal.SIGINT)
    except TerminatedBySignal as killed:
        _die(killed.signum)
    except (ClosedPipe, BrokenPipeError):
        _exit(CLOSED_PIPE)
    except Exception as error:
        if os.environ.get("CHARLM_DEBUG") == "1":
            raise
        _exit(_report(error))
    else:
        _exit(code if isinstance(code, int) else 0)


def _report(error: Exception) -> int:
    """Say what happened in one line; return the exit code."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        print(error.ctx.get_help(), file=sys.stderr)
        return error.exit_code
    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        verb = f" {context.info_name}" if context and context.parent else ""
        message(f"error: {error.format_message()} (charlm{verb} --help lists the flags)")
        return error.exit_code
    if isinstance(error, CharlmError):
        message(f"error: {error}")
        return error.exit_code
    if isinstance(error, OSError) and error.errno in _FULL:
        message(f"error: output cannot be written ({error.strerror})")
        return StorageError.exit_code
    if isinstance(error, MemoryError) or "out of memory" in str(error) \
            or "can't allocate memory" in str(error):
        message(f"error: {_MEMORY}")
    else:
        message(f"error: internal: {type(error).__name__}: {error}; CHARLM_DEBUG=1 shows where")
    return 1


def message(message: str) -> None:
    """One line on stderr, `charlm: ...`; nothing when stderr is gone."""
    from charlm.reports.visible import visible
    with contextlib.suppress(OSError, ValueError, AttributeError):
        print(f"charlm: {visible(' '.join(message.split()))}", file=sys.stderr, flush=True)


def _flush() -> None:
    """Write out what stdout still holds, as `stdout_errors` says."""
    with stdout_errors():
        if sys.stdout is not None:
            sys.stdout.flush()


@contextlib.contextmanager
def stdout_errors() -> Iterator[None]:
    """Name failures of stdout: ClosedPipe when the pipe is closed, StorageError for all else."""
    try:
        yield
    except BrokenPipeError:
        raise ClosedPipe from None
    except OSError as error:
        raise StorageError(f"stdout cannot be written ({error.strerror})") from None


def _unicode_streams() -> None:
    """UTF-8 whatever the locale; text that is no UTF-8 (file names) is shown escaped."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def _exit(code: int) -> None:
    """Exit without a second complaint from the interpreter flushing a broken stdout."""
    try:
        _flush()
    except (ClosedPipe, StorageError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(code)


def _die(signum: int) -> None:
    signal.signal(signum, signal.SIG_DFL)
    os.kill(os.getpid(), signum)
