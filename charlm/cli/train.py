"""`charlm train`: a text in, a model file out, with progress on stderr."""

from __future__ import annotations

import os
import sys
import time

import click

from charlm.cli import options
from charlm.cli.training_options import training_options
from charlm.cli.training_texts import held_out_part, named_change, read_corpus, task_flag, task_of
from charlm.errors import CharlmError

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

# Flags about the texts; a resumed run has those that it began with.
_OF_TEXTS = ("task", "tokenizer", "source_tokenizer", "vocab_size", "validation", "errors")
_OF_SESSION = ("corpus", "output", "force", "resume", "new_corpus", "init_from", "checkpoint_every", "device",
               "threads", "quiet", "bidirectional")


@click.command("train", epilog=EXAMPLES, short_help="Train a model on a text.")
@click.argument("corpus", nargs=-1, required=True, metavar="CORPUS...")
@click.option("-o", "--output", metavar="FILE", help="Model to write. Default: <corpus>.charlm here.")
@click.option("--force", is_flag=True, help="Replace an existing output.")
@training_options
@click.pass_context
def command(context: click.Context, **flags) -> None:
    """Train a model on a text: files, `-` for stdin, .gz .bz2 .xz.

    Without any flag the size of the network and the length of the run follow the size of the text:
    about five minutes for 1 MB on two cores. After each validation the best model so far is on disk,
    and from time to time a checkpoint: Ctrl-C ends a run early, --resume goes on with it.
    """
    began = time.monotonic()
    options.yield_when_waiting()
    given = {name for name in flags if context.get_parameter_source(name) not in _NOT_GIVEN}
    flags["task"] = task_flag(flags)
    given |= {"task"} if flags["task"] else set()
    _check(flags)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        _run_together(flags, given, began)
    else:
        _run_alone(flags, given, began)


def _run_alone(flags: dict, given: set[str], began: float, **process_group) -> None:
    """Train as the one who may write the output."""
    output = _output(flags)
    from charlm.checkpoint import Checkpoints
    from charlm.lock import locked
    from charlm.storage import remove_leftovers, require_writable
    checkpoints = Checkpoints(output)
    require_writable(output)
    checkpoints.require_writable()
    with locked(output):
        remove_leftovers(output)
        checkpoints.remove_leftovers()
        _run(flags, given, output, began, **process_group)


def _run_together(flags: dict, given: set[str], began: float) -> None:
    """Train as one of the processes of torchrun, of which the first one writes and talks."""
    if "-" in flags["corpus"]:
        raise click.UsageError("standard input reaches one process only; name a file")
    from charlm.training.distributed import init_process_group
    from charlm.training.environment import choose_device
    with init_process_group(choose_device(flags["device"])) as process_group:
        if process_group.is_main:
            _run_alone(flags, given, began, process_group=process_group)
            return
        try:
            _run({**flags, "quiet": True}, given, _output_name(flags), began, process_group=process_group)
        except (CharlmError, click.ClickException) as error:
            sys.exit(error.exit_code)   # the first process tells what it sees of it


_NOT_GIVEN = (None, click.core.ParameterSource.DEFAULT, click.core.ParameterSource.DEFAULT_MAP)


def _check(flags: dict) -> None:
    """Refuse now what would be refused after a long corpus was read; so a GPU that is not there."""
    flags["validation"] = held_out_part(flags["validation"])
    encoder = flags["encoder"]
    if flags["bidirectional"] and encoder not in (None, "bidirectional"):
        raise click.UsageError(f"--bidirectional and --encoder {encoder} name two encoders; give one")
    if flags["bidirectional"]:
        flags["encoder"] = "bidirectional"
    if flags["new_corpus"] and not flags["resume"]:
        raise click.UsageError("--new-corpus is said with --resume; to start anew name another file with -o")
    if flags["init_from"] and flags["resume"]:
        raise click.UsageError("--init-from begins a run, and --resume goes on with one; give one of them")
    if not 0 <= flags["checkpoint_every"] < 1e9:
        raise click.UsageError(f"--checkpoint-every must be a number of seconds, not {flags['checkpoint_every']}")
    from charlm.training.options import TrainingOptions
    TrainingOptions(task=task_of(flags["task"]) or "pairs", **_wishes(flags))
    if flags["device"] == "cuda":
        from charlm.training.environment import choose_device
        choose_device("cuda")


def _wishes(flags: dict) -> dict:
    """The flags about the network and the run."""
    return {name: value for name, value in flags.items() if name not in (*_OF_TEXTS, *_OF_SESSION)}


def _run(flags: dict, given: set[str], output: str, began: float, process_group=None) -> None:
    """Read, plan and train, from the beginning or from where a run stood."""
    from charlm.checkpoint import Checkpoints
    from charlm.cli import exit_codes
    from charlm.cli.previews import preview
    from charlm.training.distributed import ProcessGroup
    from charlm.training.session import Session
    checkpoints, process_group = Checkpoints(output), process_group or ProcessGroup()
    report = exit_codes.message if process_group.is_main else lambda message: None
    resumed = _resumed(checkpoints, flags, output, report) if process_group.is_main or flags["resume"] else None
    process_group.barrier()                        # before the first process writes another checkpoint
    if resumed is None and flags["resume"] and os.path.exists(output):
        report(f"{output} has no checkpoint: its run is finished, or never began; --init-from {output} begins another "
            "from its weights, --force from the beginning")
        return
    past = _past(flags, given, resumed)
    if resumed is not None:
        flags = {**flags, **{name: past.flags[name] for name in _OF_TEXTS if name in past.flags and name not in given}}
    corpus, task = read_corpus(flags, past)
    wishes = _wishes_of(flags, given, task, past)
    if resumed is not None:
        _check_corpus(corpus, resumed, new_corpus=flags["new_corpus"])
    _train(corpus, wishes, quiet=flags["quiet"], session=lambda interrupted: Session(
        output, flags["device"], flags["threads"], began, interrupted, None if flags["quiet"] else preview,
        checkpoints, flags["checkpoint_every"], resumed, {name: flags[name] for name in _OF_TEXTS},
        _resume_command(flags, output), past and past.model, process_group))


def _resumed(checkpoints, flags: dict, output: str, report):
    """The checkpoint to go on from, if that is wished and there is one."""
    if flags["resume"]:
        resumed = checkpoints.newest(report)
        if resumed is None and not os.path.exists(output):
            report("no checkpoint yet; starting from the beginning, with the flags given now")
        return resumed
    if flags["force"]:
        checkpoints.give_up()
    elif checkpoints.exist():
        raise click.UsageError(f"{output} has an unfinished run; go on with it with --resume, or start anew "
                               "with --force")
    return None


def _past(flags: dict, given: set[str], checkpoint):
    """What the run goes on from, a checkpoint or a model; None when it begins from nothing.

    Raises UsageError where flags say otherwise.
    """
    from charlm.training.starting_point import of_checkpoint, of_model
    if checkpoint is None and flags["init_from"] is None:
        return None
    past = of_checkpoint(checkpoint) if checkpoint is not None else of_model(flags["init_from"])
    changed = [name for name in _OF_TEXTS if name in given and name in past.flags
               and not _same(name, past.flags[name], flags[name], new_corpus=flags["new_corpus"])]
    if changed:
        listed = ", ".join(named_change(name, past.flags[name], flags[name]) for name in changed)
        raise click.UsageError(f"{past.says}; changed: {listed}")
    return past


def _same(name: str, old, new, *, new_corpus: bool) -> bool:
    """Whether a flag says what it said; a held-out text may have another name, for its digest is compared."""
    return old == new or name == "validation" and (new_corpus or isinstance(old, str) and isinstance(new, str))


def _wishes_of(flags: dict, given: set[str], task: str, past):
    """What is wished of network and run: of one that goes on what it is, but for what is given now."""
    from charlm.training.options import TrainingOptions
    wishes = _wishes(flags)
    if past is None:
        return TrainingOptions(task=task, **wishes)
    now = {name: value for name, value in wishes.items() if name in given or name == "encoder" and value}
    before = dict(past.wishes)
    if not {"steps", "epochs", "minutes"}.isdisjoint(now):
        before = {name: value for name, value in before.items() if name not in ("steps", "minutes")}
    return TrainingOptions(**{**wishes, **before, **now, "task": task})


def _check_corpus(corpus, checkpoint, *, new_corpus: bool) -> None:
    """Raises CorpusError when the text is not the one that the run began with."""
    from charlm.errors import CorpusError
    before = checkpoint.run["corpus"].get("corpus_digest")
    if before != corpus.digest and not new_corpus:
        raise CorpusError("the text has changed since the run began; go on with the other one by --new-corpus, "
                          "or start anew with --force")


def _resume_command(flags: dict, output: str) -> str:
    import shlex
    where = [] if flags["output"] is None else ["-o", output]
    processes = os.environ.get("WORLD_SIZE", "1")
    together = ["torchrun", "--nproc-per-node", processes, "-m"] if processes != "1" else []
    return shlex.join([*together, "charlm", "train", *flags["corpus"], *where, "--resume"])


def _output(flags: dict) -> str:
    """Where the model goes; an existing file is replaced only with --force, a text of the run never."""
    path = _output_name(flags)
    held_out = flags["validation"]
    texts = [*flags["corpus"], *([held_out] if isinstance(held_out, str) else [])]
    files = [text for text in texts if text != "-" and os.path.exists(text)]
    if os.path.exists(path) and any(os.path.samefile(text, path) for text in files):
        raise click.UsageError(f"{path} is itself a text of this run; name another file with -o")
    if os.path.exists(path) and not flags["force"] and not flags["resume"]:
        raise click.UsageError(f"{path} exists; name another file with -o, or replace it with --force")
    return path


def _output_name(flags: dict) -> str:
    return flags["output"] or _default_output(flags["corpus"][0])


def _default_output(corpus: str) -> str:
    """`<corpus>.charlm` in the working directory.

    >>> _default_output("books/novel.txt.gz")
    'novel.charlm'
    """
    if corpus == "-":
        return "stdin.charlm"
    name = os.path.basename(corpus)
    stem, ending = os.path.splitext(name)
    if ending.lower() in (".gz", ".bz2", ".xz"):
        stem = os.path.splitext(stem)[0]
    return f"{stem or name}.charlm"


def _train(corpus, wishes, *, quiet: bool, session) -> None:
    """Show the run's records; after an interruption die by the signal that asked for it."""
    from charlm.cli.exit_codes import TerminatedBySignal
    from charlm.cli.signals import interruption
    from charlm.reports.progress import choose_progress
    from charlm.training.session import run
    progress = choose_progress(quiet=quiet)
    with interruption() as flag:
        try:
            for record in run(corpus, wishes, session(flag.requested)):
                progress.show(record)
        finally:
            progress.close()
    if flag.requested():
        raise TerminatedBySignal(flag.signum)
