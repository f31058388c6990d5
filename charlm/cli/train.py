"""`charlm train`: a text in, a model file out, with progress on stderr."""

from __future__ import annotations

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
from charlm.cli.train_output import check_log, check_output, is_finished, resumed_checkpoint
from charlm.cli.train_request import TrainRequest, parse_request
from charlm.config import CorpusConfig
from charlm.errors import CharlmError, CorpusError
from charlm.provenance import Provenance, provenance_of
from charlm.tasks import DEFAULT, DEFAULT_FOR_TSV, TASKS
from charlm.training.options import TrainingOptions

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
@options.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True,
                help="auto: a GPU if there is one.", group="machine")
@options.threads
@options.option("--log", metavar="FILE", help="Write every step, validation and sample to this file as JSON lines with "
                "their time; with --resume, go on in it.")
@options.quiet
def command(**given: Any) -> None:
    """Train a model on text from files (plain, .gz, .bz2 or .xz) or from plain stdin (`-`).

    Without any option the size of the network and the length of the run follow the size of the text:
    about five minutes for 1 MB on two cores. The best model so far is saved after each validation, and a
    checkpoint from time to time. Ctrl-C ends a run early; --resume continues it.
    """
    began = time.monotonic()
    options.spin_briefly()
    request = parse_request(given, began)
    run = _run_distributed if int(os.environ.get("WORLD_SIZE", "1")) > 1 else _run_as_writer
    run(request)


def _run_as_writer(request: TrainRequest, process_group: ProcessGroup | None = None) -> None:
    """Train as the process that writes the output, holding its lock."""
    from charlm.checkpoint import Checkpoints
    from charlm.lock import locked
    from charlm.storage import remove_leftovers, require_writable
    checkpoints = Checkpoints(request.path)
    check_output(request.path, request.texts, checkpoints, replace=request.force or request.resume,
                 resume_command=request.resume_command)
    if request.log is not None:
        check_log(request.log, [*(text for text in request.texts if text != "-"), request.path, *checkpoints.paths],
                  replace=request.force or request.resume)
    require_writable(request.path)
    checkpoints.require_writable()
    with locked(request.path):
        remove_leftovers(request.path)
        checkpoints.remove_leftovers()
        _run(request, process_group)


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


def _run(request: TrainRequest, process_group: ProcessGroup | None = None) -> None:
    """Choose the starting point, read the corpus, and train."""
    from charlm.checkpoint import Checkpoints
    from charlm.text.reading import require_readable
    checkpoints, is_main = Checkpoints(request.path), process_group is None or process_group.is_main
    silent, report = request.quiet or not is_main, message if is_main else _ignore
    checkpoint = _checkpoint(checkpoints, request, report) if is_main or request.resume else None
    if process_group is not None:
        process_group.barrier()         # before rank 0 writes another checkpoint
    if request.resume and is_finished(request.path, checkpoint, report):
        return
    start = _starting_point(request, checkpoint)
    reading = start.corpus_config(request.reading, new_corpus=request.new_corpus)
    require_readable(request.texts)
    if request.device == "cuda":
        from charlm.training.environment import choose_device
        choose_device("cuda")
    with announcing(_ignore if silent else message) as announce:
        announce("reading corpus …")
        corpus, task = _read_corpus(request, start, reading, _ignore if silent else message)
        if start.run is not None and start.run.corpus["corpus_digest"] != corpus.digest and not request.new_corpus:
            raise CorpusError("the corpus has changed since the run began; accept that with --new-corpus, or start "
                              "from scratch with --force")
        announce("loading torch …")
        from charlm.previews import preview
        from charlm.training.distributed import SINGLE_PROCESS
        from charlm.training.session import Session
    session = Session(request.path, request.device, request.threads, request.began, lambda: False, start, reading,
                      preview if is_main else None, checkpoints, request.checkpoint_every,
                      request.resume_command, request.repeat_command, process_group or SINGLE_PROCESS,
                      _provenance(request, start))
    _train(corpus, task, start.training_options(request.training), session, _progress(request, silent, is_main=is_main))
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
        return resumed_checkpoint(request.path, checkpoints, report, force=request.force)
    if request.force:
        checkpoints.supersede()
    return None


def _starting_point(request: TrainRequest, checkpoint: Checkpoint | None) -> StartingPoint:
    """Return where the run starts. Raises UsageError if the options contradict it."""
    from charlm.training.starting_point import StartingPoint
    start = StartingPoint.from_checkpoint(checkpoint) if checkpoint is not None else \
        StartingPoint.from_model(request.init_from) if request.init_from is not None else StartingPoint.from_scratch()
    start.check_task(request.task)
    return start


def _read_corpus(request: TrainRequest, start: StartingPoint, reading: CorpusConfig,
                 report: Callable[[str], None]) -> tuple[Corpus, str]:
    """Return the corpus and its task, which is recognized from the texts if nothing decides it."""
    from charlm.registry import CORPORA, implementation
    from charlm.text.corpora import CorpusRequest
    from charlm.text.reading import Text
    from charlm.text.tsv import looks_like_pairs
    errors = reading.errors or "strict"
    texts = [Text(source, errors, report) for source in request.corpus]
    recognized = start.task is None and request.task is None and looks_like_pairs(texts)
    task = start.task or request.task or (DEFAULT_FOR_TSV if recognized else DEFAULT)
    held_out = Text(reading.held_out, errors, report) if isinstance(reading.held_out, str) else reading.held_out
    corpus = implementation(CORPORA, task)(texts, CorpusRequest(
        reading, held_out, start.tokenizer, start.source_tokenizer, start.labels,
        f"; --{DEFAULT} reads it as running text" if recognized else ""))
    if recognized:
        report("these are pairs of source<TAB>target; --labels would read them as label<TAB>text, --text as running "
               "text")
    for remark in corpus.remarks:
        report(f"warning: {remark}")
    if corpus.remembered:
        report(f"remembering the text: {corpus.remembered.describe()}")
    if repeated := getattr(corpus, "repeated", 0):
        report(f"pairs that repeat the source of an earlier pair: {repeated}; the model learns every target")
    return corpus, task


def _progress(request: TrainRequest, silent: bool, *, is_main: bool) -> Progress:
    """Return the report of a run."""
    from charlm.reports.progress import choose_progress
    progress = choose_progress(quiet=silent)
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
