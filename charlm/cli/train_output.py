"""The output of `charlm train`: what it may replace, and the run beside it that is resumed."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import click

from charlm.cli.exit_codes import exit_code_of

if TYPE_CHECKING:
    from charlm.checkpoint import Checkpoint, Checkpoints
    from charlm.reports.progress import Progress


def check_output(path: str, texts: list[str], checkpoints: Checkpoints, *, replace: bool, resume_command: str) -> None:
    """Refuse an output that is a text of the run or no model; unless it may be replaced, also one that exists."""
    from charlm.container import is_container
    files = [text for text in texts if text != "-" and os.path.exists(text)]
    if os.path.exists(path) and any(os.path.samefile(file, path) for file in files):
        raise click.UsageError(f"{path} is itself a text of this run; name another file with -o")
    if os.path.isfile(path) and os.path.getsize(path) and not is_container(path):
        raise click.UsageError(f"{path} exists and is not a model, so nothing replaces it; name another file with -o")
    if replace:
        return
    if checkpoints.exist():
        raise click.UsageError(f"{path} has an unfinished run; continue it with: {resume_command}; or start from "
                               "scratch with --force")
    if os.path.exists(path):
        raise click.UsageError(f"{path} exists; name another file with -o, or replace it with --force")


def check_log(log: str, others: list[str], *, replace: bool) -> None:
    """Refuse a log that is another file of the run or, unless it may be replaced or continued, one that exists."""
    if os.path.realpath(log) in map(os.path.realpath, others):
        raise click.UsageError(f"{log} is another file of this run; name another one with --log")
    if os.path.isfile(log) and not replace:
        raise click.UsageError(f"{log} exists; name another file with --log, or replace it with --force")


def check_heartbeat(path: str, others: list[str]) -> None:
    """Refuse a heartbeat in another file of the run, or in place of a file that is no heartbeat."""
    if os.path.realpath(path) in map(os.path.realpath, others):
        raise click.UsageError(f"{path} is another file of this run; name another one with --heartbeat")
    if not os.path.lexists(path):
        return
    if not os.path.isfile(path) or os.path.getsize(path) and not _begins(path, b"time="):
        raise click.UsageError(f"{path} exists and is no heartbeat; name another file with --heartbeat")


def _begins(path: str, start: bytes) -> bool:
    with open(path, "rb") as file:
        return file.read(len(start)) == start


@contextlib.contextmanager
def heartbeat(path: str | None, output: str, warn: Callable[[str], None]) -> Iterator[Progress]:
    """Keep a heartbeat in a file, if one is named: yield a report for its figures, and say at the end how it ended."""
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


def resumed_checkpoint(path: str, checkpoints: Checkpoints, report: Callable[[str], None], *,
                       force: bool, quiet: bool = False) -> Checkpoint | None:
    """Return the newest checkpoint, or None if `force` lets a run start without one. Raises UsageError otherwise.

    A damaged checkpoint is reported even if the run is quiet: its disk may fail.
    """
    checkpoint = checkpoints.newest(report)
    if checkpoint is not None or os.path.exists(path):
        return checkpoint
    if not force:
        raise click.UsageError(f"{path} has no run to resume; leave out --resume to start one, or add --force to start "
                               "one where there is nothing to resume")
    if not quiet:
        report("no checkpoint yet; starting from scratch with the options of this command")
    return None


def is_finished(path: str, checkpoint: Checkpoint | None, report: Callable[[str], None]) -> bool:
    """Return whether there is a model but no run to resume; `report` then says how to go on."""
    if checkpoint is not None or not os.path.exists(path):
        return False
    report(f"{path} has no checkpoint: its run finished, or never began; to train on, use --init-from "
           f"{shlex.quote(path)}, or --force without --resume to start from scratch")
    return True
