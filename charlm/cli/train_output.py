"""The other files that `charlm train` writes; `charlm.training.output` is about the model."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import click

from charlm.cli.exit_codes import exit_code_of

if TYPE_CHECKING:
    from charlm.reports.progress import Progress


def check_log(log: str, others: list[str], *, replace: bool) -> None:
    """Refuse a log that is another file of the run or, unless it may be replaced or continued, one that exists."""
    if os.path.realpath(log) in map(os.path.realpath, others):
        raise click.UsageError(f"{log} is another file of this run; name another one with --log")
    if os.path.isfile(log) and not replace:
        raise click.UsageError(f"{log} exists; name another file with --log, or replace it with --force")


def check_heartbeat(path: str, others: list[str]) -> None:
    """Refuse a heartbeat that would overwrite another file of the run, or any file that is not a heartbeat."""
    if os.path.realpath(path) in map(os.path.realpath, others):
        raise click.UsageError(f"{path} is another file of this run; name another one with --heartbeat")
    if not os.path.lexists(path):
        return
    if not os.path.isfile(path) or os.path.getsize(path) and not _begins(path, b"time="):
        raise click.UsageError(f"{path} exists and is not a heartbeat; name another file with --heartbeat")


def _begins(path: str, start: bytes) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(len(start)) == start
    except OSError:                     # a file of another user, for example
        return False


@contextlib.contextmanager
def heartbeat(path: str | None, output: str, warn: Callable[[str], None]) -> Iterator[Progress]:
    """Keep a heartbeat in a file, if one is named: yield its report of events, and record the outcome at the end."""
    from charlm.reports.heartbeat import Heartbeat
    from charlm.reports.progress import Silent
    if path is None:
        yield Silent()
        return
    beat, code = Heartbeat(path, output, warn), 0
    beat.start()
    try:
        yield beat
    except BaseException as error:
        code = exit_code_of(error)
        raise
    finally:
        beat.end(code)
