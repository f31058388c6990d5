"""The options of `charlm train` as one request, checked before a corpus is read."""

from __future__ import annotations

import functools
import os
import shlex
from dataclasses import dataclass, replace
from typing import Any

import click

from charlm.cli.models import default_output
from charlm.config import CorpusConfig, to_flags
from charlm.tasks import DEFAULT_FOR_TSV, TASKS
from charlm.text.sources import expand, held_out_files
from charlm.training.options import TrainingOptions

REPEATED = "again.charlm"               # output of a repeated run, which must not replace the model it repeats


@dataclass(frozen=True)
class TrainRequest:
    """The options of the command."""

    corpus: tuple[str, ...]
    output: str | None
    force: bool
    task: str | None                    # None: chosen by the corpus
    reading: CorpusConfig
    training: TrainingOptions
    resume: bool
    new_corpus: bool
    init_from: str | None
    checkpoint_every: float
    cache_dir: str | None
    device: str
    threads: int | None
    log: str | None
    timestamps: bool
    heartbeat: str | None
    quiet: bool
    began: float                        # time.monotonic() when the command began

    @functools.cached_property
    def sources(self) -> tuple[str, ...]:
        """The files that the names of the corpus stand for."""
        return expand(self.corpus).paths

    @property
    def path(self) -> str:
        """The path of the model to write."""
        return self.output or default_output(self.corpus[0] if os.path.isdir(self.corpus[0]) else self.sources[0])

    @functools.cached_property
    def texts(self) -> list[str]:
        """The files to read: those of the corpus, and held-out ones."""
        return [*self.sources, *held_out_files(self.reading.held_out)]

    @property
    def repeat_command(self) -> list[str]:
        """The arguments of a command that repeats the run, without its length."""
        given = {name: value for name, value in self.training.given.items() if name != "minutes"}
        reading = {name: value for name, value in vars(self.reading).items() if value is not None}
        return ["charlm", "train", *self.corpus, "-o", REPEATED, *([f"--{self.task}"] if self.task else []),
                *to_flags(CorpusConfig, reading), *to_flags(TrainingOptions, given),
                *(["--init-from", self.init_from] if self.init_from else [])]

    @property
    def resume_command(self) -> str:
        """The command that resumes this run."""
        where = [] if self.output is None else ["-o", self.output]
        where += [] if self.cache_dir is None else ["--cache-dir", self.cache_dir]
        processes = os.environ.get("WORLD_SIZE", "1")
        launcher = ["torchrun", "--nproc-per-node", processes, "-m"] if processes != "1" else []
        return shlex.join([*launcher, "charlm", "train", *self.corpus, *where, "--resume"])


def parse_request(given: dict[str, Any], began: float) -> TrainRequest:
    """Build the request. Refuse options that are invalid for any corpus before one is read."""
    tasks = [name for name in TASKS if given.pop(name)]
    if len(tasks) > 1:
        raise click.UsageError(f"--{tasks[0]} and --{tasks[1]} are two tasks; give one")
    encoder = given["training"].encoder
    if given.pop("bidirectional"):
        if encoder not in (None, "bidirectional"):
            raise click.UsageError(f"--bidirectional and --encoder {encoder} name two encoders; give one")
        given["training"] = replace(given["training"], encoder="bidirectional")
    request = TrainRequest(task=tasks[0] if tasks else None, began=began, **given)
    if request.output == "":
        raise click.UsageError("-o/--output is empty; name a file, or leave it out")
    if request.new_corpus and not request.resume:
        raise click.UsageError("--new-corpus needs --resume; to start from scratch, name another file with -o")
    if request.init_from and request.resume:
        raise click.UsageError("--init-from starts a run and --resume continues one; give one of them")
    if request.cache_dir == "":
        raise click.UsageError("--cache-dir is empty; name a directory, or leave it out")
    if not 0 <= request.checkpoint_every < 1e9:
        raise click.UsageError(f"--checkpoint-every must be from 0 to 1e9 seconds, not {request.checkpoint_every:g}")
    from charlm.training.defaults import check_early
    check_early(request.task or DEFAULT_FOR_TSV, request.training)
    return request
