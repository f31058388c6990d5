"""The other files that `charlm train` writes; `charlm.training.output` is about the model."""

from __future__ import annotations

import os

import click


def check_log(log: str, others: list[str], *, replace: bool) -> None:
    """Refuse a log that is another file of the run or, unless it may be replaced or continued, one that exists."""
    if os.path.realpath(log) in map(os.path.realpath, others):
        raise click.UsageError(f"{log} is another file of this run; name another one with --log")
    if os.path.isfile(log) and not replace:
        raise click.UsageError(f"{log} exists; name another file with --log, or replace it with --force")
