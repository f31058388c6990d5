"""`charlm train`: a text in, a model file out, with progress on stderr."""

from __future__ import annotations

import functools
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from charlm.cli import options
from charlm.cli.announcing import announcing
from charlm.cli.exit_codes import TerminatedBySignal, message
from charlm.cli.metering import start_meter, watch_reading
from charlm.cli.train_output import check_heartbeat, check_log, heartbeat
from charlm.cli.train_request import TrainRequest, parse_request
from charlm.config import CorpusConfig
from charlm.errors import CharlmError
from charlm.provenance import Provenance, provenance_of
from charlm.tasks import TASKS
from charlm.training.options import TrainingOptions
from charlm.training.spinning import spin_briefly

if TYPE_CHECKING:
    from charlm.checkpoint import Checkpoint, Checkpoints
    from charlm.reports.progress import Progress
    from charlm.text.corpora import Corpus
    from charlm.training.distributed import ProcessGroup
    from charlm.training.starting_point import StartingPoint

EXAMPLES = """\b
Examples:
  charlm train corpus.txt
  charlm train corpus.txt --minutes 3 --force && charlm sample
  zcat big.txt.gz | charlm train - -o big.charlm --minutes 10
  charlm train books/ 'more/**/*.txt.gz'
  charlm train reviews.csv --csv-column review --lines
  charlm train --cell gru --layers 3 --hidden 512 --tied part1.txt part2.txt
  charlm train corpus.txt --tokenizer unigram --vocab-size 4000
  charlm train lexicon.tsv && charlm translate < words.txt
  charlm train novel.txt --fill && echo 'It was the ___ of times' | charlm fill
  charlm train names.txt --lines && charlm sample -N 20 --unique --novel
  charlm train surnames.tsv --labels && echo "O'Malley" | charlm classify
"""


def _task_options(command: Any) -> Any:
    """Add a flag for each task."""
    for task in reversed(TASKS.values()):
        command = options.option(f"--{task.name}", is_flag=True, help=task.help, group="task")(command)
    return command


@click.command("train", cls=options.GroupedCommand, epilog=EXAMPLES)
@click.argument("corpus", nargs=-1, required=True, metavar="CORPUS...")
@options.option("-o", "--output", metavar="FILE", help="Model to write. Default: <corpus>.charlm here.")
@options.option("--force", is_flag=True, help="Replace an existing model. With --resume: start a run where there is "
                "nothing to resume.")
@_task_options
@options.config_options(CorpusConfig, "reading", fixed=False)
@options.config_options(TrainingOptions, "training", fixed=False)
@options.option("--bidirectional", is_flag=True, help="Short for --encoder bidirectional.", group="network")
@options.option("--resume", is_flag=True, help="Continue an interrupted run, bit for bit. --steps, "
                "--epochs and --minutes then set another length.", group="resuming")
@options.option("--new-corpus", is_flag=True, help="With --resume: accept that the corpus has changed.",
                group="resuming")
@options.option("--init-from", metavar="MODEL", help="Start from the weights of this model; new characters, words and "
                "labels are added to its vocabulary.", group="resuming")
@options.option("--checkpoint-every", type=float, default=60.0, show_default=True, metavar="SECONDS",
                help="Longest time between checkpoints; each validation writes one, too.", group="resuming")
@options.option("--cache-dir", metavar="DIR", help="Directory for temporary files. The tokens of running text are kept "
                "there for later runs on it. Default: TMPDIR or /var/tmp, and nothing is kept.", group="machine")
@options.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True,
                help="auto: a GPU if there is one.", group="machine")
@options.threads
@options.option("--log", metavar="FILE", help="Write every step, validation and sample to this file as JSON lines with "
                "their time; with --resume, go on in it.")
@options.option("--timestamps", is_flag=True, help="Begin every event line with its local time; no effect on a "
                "terminal, which shows a panel.")
@options.option("--heartbeat", metavar="FILE", help="Rewrite this file every ten seconds with the state of the run in "
                "one line, and at the end with its status and exit code.")
@options.quiet
@options.files_help(options.RECORDS + " With --lines each record is an example; labels and pairs need two "
                    "tab-separated columns instead.")
def command(**given: Any) -> None:
    """Train a model on text from files (plain, .gz, .bz2, .xz or .zst) or from plain stdin (`-`).

    Without any option the size of the network and the length of the run follow the size of the text:
    about five minutes for 1 MB on two cores. The best model so far is saved after each validation, and a
    checkpoint from time to time. Ctrl-C ends a run early; --resume continues it.
    """
    began = time.monotonic()
    spin_briefly()
    request = parse_request(given, began)
    run = _run_distributed if int(os.environ.get("WORLD_SIZE", "1")) > 1 else _run_as_writer
    run(request)


def _run_as_writer(request: TrainRequest, process_group: ProcessGroup | None = None) -> None:
    """Train as the process that writes the output, holding its lock."""
    from charlm.checkpoint import Checkpoints
    from charlm.training.output import check_output, reserved
    checkpoints = Checkpoints(request.path)
    check_output(request.path, request.texts, checkpoints, replace=request.force or request.resume,
                 resume_command=request.resume_command)
    files = [*(text for text in request.texts if text != "-"), request.path, *checkpoints.paths]
    if request.log is not None:
        check_log(request.log, files, replace=request.force or request.resume)
    if request.heartbeat is not None:
        check_heartbeat(request.heartbeat, [*files, *filter(None, [request.log])])
    # The heartbeat comes second, as a second run on this output must not write the heartbeat of the first.
    with reserved(request.path, checkpoints), \
            heartbeat(request.heartbeat, request.path, _ignore if request.quiet else message) as beat:
        _run(request, process_group, beat)


def _run_distributed(request: TrainRequest) -> None:
    """Train as one process of torchrun. Only rank 0 writes files and reports."""
    if "-" in request.corpus:
        raise click.UsageError("only one of several processes can read standard input; name a file instead of -")
    from charlm.training.distributed import init_process_group
    from charlm.training.environment import choose_device
    with init_process_group(choose_device(request.device)) as process_group:
        if process_group.is_main:
            _run_as_writer(request, process_group)
            return
        try:
            _run(request, process_group)
        except (CharlmError, click.ClickException) as error:
            sys.exit(error.exit_code)   # rank 0 reports it


def _run(request: TrainRequest, process_group: ProcessGroup | None = None, beat: Progress | None = None) -> None:
    """Choose the starting point, read the corpus, and train."""
    from charlm.checkpoint import Checkpoints
    from charlm.training.output import is_finished
    from charlm.training.preparation import choose_start, require_same_corpus
    checkpoints, is_main = Checkpoints(request.path), process_group is None or process_group.is_main
    silent, report = request.quiet or not is_main, message if is_main else _ignore
    checkpoint = _checkpoint(checkpoints, request, report) if is_main or request.resume else None
    if process_group is not None:
        process_group.barrier()         # before rank 0 writes another checkpoint
    if request.resume and is_finished(request.path, checkpoint, _ignore if silent else message):
        return
    start = choose_start(checkpoint, request.init_from, request.task)
    reading = start.corpus_config(request.reading, new_corpus=request.new_corpus)
    if request.device == "cuda":
        from charlm.training.environment import choose_device
        choose_device("cuda")
    with announcing(_ignore if silent else message) as announce:
        announce("reading corpus …")
        read = functools.partial(_read_corpus, request, start, reading, _ignore if silent else message)
        corpus, task = read() if process_group is None else process_group.once_per_machine(read)
        require_same_corpus(start, corpus, new_corpus=request.new_corpus)
        announce("loading torch …")
        from charlm.previews import preview
        from charlm.training.distributed import SINGLE_PROCESS
        from charlm.training.session import Session
    session = Session(request.path, request.device, request.threads, request.began, lambda: False, start, reading,
                      preview if is_main else None, checkpoints, request.checkpoint_every,
                      request.resume_command, request.repeat_command, process_group or SINGLE_PROCESS,
                      _provenance(request, start))
    progress = _progress(request, silent, is_main=is_main, beat=beat)
    _train(corpus, task, start.training_options(request.training), session, progress)
    if not silent:
        _compare(request, start)


def _provenance(request: TrainRequest, start: StartingPoint) -> Provenance:
    """Return the provenance of a run that begins now."""
    from charlm.modelfile import content_digest
    return provenance_of(["charlm", *sys.argv[1:]], request.texts, init_from=request.init_from or "",
                         init_digest=content_digest(start.initial) if start.initial else "")


def _compare(request: TrainRequest, start: StartingPoint) -> None:
    """Say how the text of the model that the run began with fares, if that text is there."""
    from charlm.modelfile import load
    if start.initial is None or request.init_from is None:
        return
    from charlm.old_text import comparison
    if line := comparison(request.init_from, start.initial, load(request.path)):
        message(line)


def _ignore(text: str) -> None:
    """Report nothing."""


def _checkpoint(checkpoints: Checkpoints, request: TrainRequest, report: Callable[[str], None]) -> Checkpoint | None:
    """Return the checkpoint to resume, if one is asked for and there is one."""
    if request.resume:
        from charlm.training.output import resumed_checkpoint
        return resumed_checkpoint(request.path, checkpoints, report, force=request.force, quiet=request.quiet)
    if request.force:
        checkpoints.supersede()
    return None


def _read_corpus(request: TrainRequest, start: StartingPoint, reading: CorpusConfig,
                 report: Callable[[str], None]) -> tuple[Corpus, str]:
    """Return the corpus and its task."""
    from charlm.text.reading import require_readable
    require_readable(request.texts)
    from charlm.text.sources import expand
    from charlm.text.temporary import TemporaryFiles
    from charlm.training.preparation import open_corpus, read_corpus
    files = TemporaryFiles(request.cache_dir, report)
    files.prepare()
    files.announce("a private copy of the corpus", sum(map(os.path.getsize, filter(os.path.isfile, request.texts))))
    with start_meter(expand(request.corpus).size, what="reading", quiet=report is _ignore) as meter:
        texts = open_corpus(request.corpus, reading, report, watch_reading(meter))
        return read_corpus(texts, None, request.task, start, reading, report, files)


def _progress(request: TrainRequest, silent: bool, *, is_main: bool, beat: Progress | None) -> Progress:
    """Return the report of a run."""
    from charlm.reports.progress import Both, choose_progress
    progress = choose_progress(quiet=silent, timestamps=request.timestamps)
    if beat is not None:
        progress = Both(progress, beat)
    if request.log is None or not is_main:
        return progress
    from charlm.reports.step_log import with_log
    return with_log(progress, request.log, replace=request.force and not request.resume)


def _train(corpus: Corpus, task: str, training: TrainingOptions, session: Any, progress: Progress) -> None:
    """Run the training and show its events; if a signal interrupted it, exit with that signal."""
    from charlm.cli.signals import interruption
    from charlm.events import Stopped
    from charlm.training.session import run
    stopped = False

    def last_words() -> str:
        resume = f"; resume with: {session.resume_command}" if session.resumable() else ""
        return "" if stopped else f"stopped before the interrupted run could be saved{resume}"

    with interruption(last_words) as flag:
        try:
            for event in run(corpus, task, training, replace(session, interrupted=flag.requested)):
                progress.show(event)
                stopped = isinstance(event, Stopped)
        finally:
            progress.close()
    if flag.signum is not None:
        raise TerminatedBySignal(flag.signum)
