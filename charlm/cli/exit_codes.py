"""The error boundary: every way a command can end, as an exit code and at most one line on stderr.

    0 done   1 internal error, out of memory, too few lines found   2 usage   3 model or checkpoint refused
    4 corpus or input lines refused   5 training diverged   6 storage failed   7 output in use
    141 the reader of stdout closed the pipe   128 + n killed by signal n (INT, TERM, HUP)
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator

import click

from charlm.cli.metering import erase_meter
from charlm.errors import CharlmError, StorageError

CLOSED_PIPE = 141
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
_LINE_BREAKS = re.compile(r"[\t-\r\x1c-\x1f\x85\u2028\u2029]\s*")


class ClosedPipe(Exception):
    """Raised when the reader of stdout is gone. Not an OSError: click turns a closed pipe's into exit code 1."""


class TerminatedBySignal(Exception):
    """Raised after cleanup: re-raise this signal so that the exit status is 128 + n."""

    def __init__(self, signum: int):
        self.signum = signum


def run_and_exit(command: Callable[[], object]) -> None:
    """Run a command, report its error, exit. With CHARLM_DEBUG=1 the traceback is shown instead."""
    _set_utf8()
    try:
        code = command()
        _flush()
    except (KeyboardInterrupt, click.Abort):
        _die(signal.SIGINT)
    except TerminatedBySignal as terminated:
        _die(terminated.signum)
    except (ClosedPipe, BrokenPipeError):
        _exit(CLOSED_PIPE)
    except Exception as error:
        if os.environ.get("CHARLM_DEBUG") == "1":
            raise
        _exit(_report(error))
    else:
        _exit(code if isinstance(code, int) else 0)


def exit_code_of(error: BaseException) -> int:
    """Return the exit code of a command that ends with this exception."""
    if isinstance(error, TerminatedBySignal):
        return 128 + error.signum
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        return 128 + signal.SIGINT
    if isinstance(error, (ClosedPipe, BrokenPipeError)):
        return CLOSED_PIPE
    if isinstance(error, (click.ClickException, CharlmError)):
        return error.exit_code
    full = isinstance(error, OSError) and error.errno in _FULL
    return StorageError.exit_code if full else CharlmError.exit_code


def _report(error: Exception) -> int:
    """Report an error in one line on stderr and return its exit code."""
    code = exit_code_of(error)
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.ctx.get_help(), err=True)
    elif isinstance(error, click.ClickException):
        message(f"error: {_click_message(error)}")
    elif isinstance(error, CharlmError):
        message(f"error: {getattr(error, 'for_command_line', error)}")
    elif isinstance(error, OSError) and code == StorageError.exit_code:
        message(f"error: output cannot be written ({error.strerror})")
    elif isinstance(error, MemoryError) or "out of memory" in str(error) or "can't allocate memory" in str(error):
        message("error: out of memory; lower --batch-size, --bptt or --hidden")
    else:
        message(f"error: internal: {type(error).__name__}: {error}; CHARLM_DEBUG=1 shows the traceback")
    return code


def _click_message(error: click.ClickException) -> str:
    """Return the message of an error found by click, ending with the help that lists the valid choices."""
    context = getattr(error, "ctx", None)
    help_of = f"charlm {context.info_name} --help lists the options" if context and context.parent \
        else "charlm --help lists the commands"
    return f"{_number_message(error) or error.format_message().rstrip('.')}{_variable(error)} ({help_of})"


def _variable(error: click.ClickException) -> str:
    """Return the environment variable that a wrong value is from, as `, set by NAME`; "" if it was typed."""
    param, context = getattr(error, "param", None), getattr(error, "ctx", None)
    if context is None or param is None or not hasattr(param, "variables") \
            or context.get_parameter_source(param.name) is not click.core.ParameterSource.ENVIRONMENT:
        return ""
    return next((f", set by {name}" for name, _ in param.variables(context.auto_envvar_prefix or "")
                 if os.environ.get(name)), "")


def _number_message(error: click.ClickException) -> str:
    """Return e.g. "--seed must be a whole number from 0, not '1.5'"; "" if the error is not about a number."""
    if not isinstance(error, click.BadParameter) or not error.param or not error.message:
        return ""
    kind = error.param.type
    if not isinstance(kind, (click.types.IntParamType, click.types.FloatParamType)):
        return ""
    words = ["whole number" if isinstance(kind, click.types.IntParamType) else "number"]
    words += [f"{word} {bound}" for word, name in (("from", "min"), ("to", "max"))
              if (bound := getattr(kind, name, None)) is not None]
    return f"{'/'.join(error.param.opts)} must be a {' '.join(words)}, not {error.message.rpartition(' is not ')[0]}"


def message(text: str) -> None:
    """Print one line, `charlm: ...`, on stderr. Line breaks become spaces; a closed or absent stderr is ignored."""
    from charlm.reports.visible import visible
    # A byte of a file name that is not UTF-8 (PEP 383) is shown as an escape.
    text = _LINE_BREAKS.sub(" ", text.strip()).encode("utf-8", "backslashreplace").decode("utf-8")
    erase_meter()
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(f"charlm: {visible(text)}\n")     # print would use stdout
        sys.stderr.flush()


def _flush() -> None:
    """Write what stdout has buffered. Raises like `stdout_errors`."""
    with stdout_errors():
        if sys.stdout is not None:
            sys.stdout.flush()


@contextlib.contextmanager
def stdout_errors() -> Iterator[None]:
    """Turn failures of stdout into ClosedPipe if its reader is gone, else into StorageError."""
    try:
        yield
    except BrokenPipeError:
        raise ClosedPipe from None
    except OSError as error:
        raise StorageError(f"stdout cannot be written ({error.strerror})") from None


def _set_utf8() -> None:
    """Write UTF-8 whatever the locale; file names that are not UTF-8 are escaped."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def _exit(code: int) -> None:
    """Exit; if stdout is broken, keep the interpreter from reporting that again."""
    try:
        _flush()
    except (ClosedPipe, StorageError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(code)


def _die(signum: int) -> None:
    signal.signal(signum, signal.SIG_DFL)
    os.kill(os.getpid(), signum)
