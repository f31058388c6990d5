"""The output of a run: the files that it may replace, its lock, and the interrupted run to resume. No torch."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from charlm.checkpoint import Checkpoint, Checkpoints
from charlm.container import is_container
from charlm.errors import UsageError
from charlm.lock import locked
from charlm.storage import remove_leftovers, require_writable


def check_output(path: str, texts: list[str], checkpoints: Checkpoints, *, replace: bool, resume_command: str) -> None:
    """Refuse an output that is a text of the run or not a model; without `replace`, also any that exists."""
    files = [text for text in texts if text != "-" and os.path.exists(text)]
    if model := next((file for file in files if file.endswith(".charlm") and os.path.isfile(file)
                      and is_container(file)), None):
        raise UsageError(f"{model} is a model, not a text; train it on a text with: charlm train TEXT --init-from "
                         f"{shlex.quote(model)}")
    if os.path.exists(path) and any(os.path.samefile(file, path) for file in files):
        raise UsageError(f"{path} is itself a text of this run; name another file with -o")
    if os.path.isfile(path) and os.path.getsize(path) and not is_container(path):
        raise UsageError(f"{path} exists and is not a model, so it is never replaced; name another file with -o")
    if replace:
        return
    if checkpoints.exist():
        raise UsageError(f"{path} has an unfinished run; continue it with: {resume_command}; or start from "
                               "scratch with --force")
    if os.path.exists(path):
        raise UsageError(f"{path} exists; name another file with -o, or replace it with --force")


@contextmanager
def reserved(path: str, checkpoints: Checkpoints) -> Iterator[None]:
    """Hold the lock of a writable output. Raises StorageError, or InUseError if another run holds the lock."""
    require_writable(path)
    checkpoints.require_writable()
    with locked(path):
        remove_leftovers(path)
        checkpoints.remove_leftovers()
        yield


def resumed_checkpoint(path: str, checkpoints: Checkpoints, report: Callable[[str], None], *,
                       force: bool, quiet: bool = False) -> Checkpoint | None:
    """Return the newest checkpoint, or None if `force` lets a run start without one. Raises UsageError otherwise.

    A damaged checkpoint is reported even if the run is quiet, because its disk may be failing.
    """
    checkpoint = checkpoints.newest(report)
    if checkpoint is not None or os.path.exists(path):
        return checkpoint
    if not force:
        raise UsageError(f"{path} has no run to resume; leave out --resume to start one, or add --force to start "
                               "one if there is nothing to resume")
    if not quiet:
        report("no checkpoint yet; starting from scratch with the options of this command")
    return None


def is_finished(path: str, checkpoint: Checkpoint | None, report: Callable[[str], None]) -> bool:
    """Return whether there is a model but no run to resume; if so, report how to proceed."""
    if checkpoint is not None or not os.path.exists(path):
        return False
    report(f"{path} has no checkpoint: its run finished, or never began; to train on, use --init-from "
           f"{shlex.quote(path)}, or --force without --resume to start from scratch")
    return True
