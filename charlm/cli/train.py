"""`charlm train`: a text in, a model file out, with progress on stderr."""

from __future__ import annotations

import os
import time

import click

from charlm.cli import options
from charlm.cli.training_options import all_of_them

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
@all_of_them
@click.pass_context
def command(context: click.Context, **flags) -> None:
    """Train a model on a text: files, `-` for stdin, .gz .bz2 .xz.

    Without any flag the size of the network and the length of the run follow the size of the text:
    about five minutes for 1 MB on two cores. After each validation the best model so far is on disk,
    and from time to time a checkpoint: Ctrl-C ends a run early, --resume goes on with it.
    """
    began = time.monotonic()
    options.yield_when_waiting()
    _check(flags)
    output = _output(flags)
    from charlm.lock import locked
    from charlm.storage import remove_leftovers, require_writable
    require_writable(output)
    given = {name for name in flags if context.get_parameter_source(name) not in _NOT_GIVEN}
    with locked(output):
        remove_leftovers(output)
        _run(flags, given, output, began)


_NOT_GIVEN = (None, click.core.ParameterSource.DEFAULT, click.core.ParameterSource.DEFAULT_MAP)


def _check(flags: dict) -> None:
    """Refuse now what would be refused after a long corpus was read; so a GPU that is not there."""
    flags["validation"] = _validation(flags["validation"])
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
    from charlm.training.choices import Wishes
    Wishes(task=_task(flags["task"]) or "pairs", **_wishes(flags))
    if flags["device"] == "cuda":
        from charlm.training.device import choose_device
        choose_device("cuda")


def _wishes(flags: dict) -> dict:
    """The flags about the network and the run."""
    return {name: value for name, value in flags.items() if name not in (*_OF_TEXTS, *_OF_SESSION)}


def _task(flag: str | None) -> str | None:
    return "lines" if flag == "labels" else flag


def _run(flags: dict, given: set[str], output: str, began: float) -> None:
    """Read, plan and train, from the beginning or from where a run stood."""
    from charlm.checkpoint import Checkpoints
    from charlm.cli.boundary import say
    from charlm.cli.previews import preview
    from charlm.training.session import Session
    checkpoints, resumed = Checkpoints(output), None
    if flags["resume"]:
        resumed = checkpoints.newest(say)
        if resumed is None and os.path.exists(output):
            say(f"{output} is finished; there is nothing to resume")
            return
        if resumed is None:
            say("no checkpoint yet; starting from the beginning")
    elif flags["force"]:
        checkpoints.remove()
    elif checkpoints.exist():
        raise click.UsageError(f"{output} has an unfinished run; go on with it with --resume, or start anew "
                               "with --force")
    past = _past(flags, given, resumed)
    if resumed is not None:
        flags = {**flags, **{name: value for name, value in past.flags.items() if name not in given}}
    corpus, task = _corpus(flags, past)
    wishes = _wishes_of(flags, given, task, past)
    if resumed is not None:
        _check_corpus(corpus, resumed, new_corpus=flags["new_corpus"])
    _train(corpus, wishes, quiet=flags["quiet"], session=lambda interrupted: Session(
        output, flags["device"], flags["threads"], began, interrupted, None if flags["quiet"] else preview,
        checkpoints, flags["checkpoint_every"], resumed, {name: flags[name] for name in _OF_TEXTS},
        _resume_command(flags, output), past and past.model))


def _past(flags: dict, given: set[str], checkpoint):
    """What the run goes on from, a checkpoint or a model; None when it begins from nothing.

    Raises UsageError where flags say otherwise.
    """
    from charlm.training.past import of_checkpoint, of_model
    if checkpoint is None and flags["init_from"] is None:
        return None
    past = of_checkpoint(checkpoint) if checkpoint is not None else of_model(flags["init_from"])
    changed = [name for name in _OF_TEXTS if name in given and name in past.flags
               and flags[name] != past.flags[name] and not (name == "validation" and flags["new_corpus"])]
    if changed:
        listed = ", ".join(f"--{name.replace('_', '-')} {past.flags[name]} → {flags[name]}" for name in changed)
        raise click.UsageError(f"{past.says}; changed: {listed}")
    return past


def _wishes_of(flags: dict, given: set[str], task: str, past):
    """What is wished of network and run: of one that goes on what it is, but for what is given now."""
    from charlm.training.choices import Wishes
    wishes = _wishes(flags)
    if past is None:
        return Wishes(task=task, **wishes)
    now = {name: value for name, value in wishes.items() if name in given or name == "encoder" and value}
    before = dict(past.wishes)
    if not {"steps", "epochs", "minutes"}.isdisjoint(now):
        before.pop("steps", None)
    return Wishes(**{**wishes, **before, **now, "task": task})


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
    return shlex.join(["charlm", "train", *flags["corpus"], *where, "--resume"])


def _corpus(flags: dict, past=None):
    """The texts read, their vocabularies fitted, their tokens made; and the task, recognised if need be.

    A run that goes on reads them as it did before.
    """
    from charlm.cli.boundary import say
    from charlm.text.corpus import Text
    from charlm.text.pairs import recognise
    texts = [Text(source, flags["errors"]) for source in flags["corpus"]]
    held_out = flags["validation"]
    held_out = Text(held_out, flags["errors"]) if isinstance(held_out, str) else held_out
    recognised = past is None and flags["task"] is None and recognise(texts)
    task = past.task if past else _task(flags["task"]) or ("pairs" if recognised else "stream")
    prepared = _prepare(task, texts, flags, recognised=recognised, validation=held_out, past=past)
    if recognised and not flags["quiet"]:
        say("these are pairs of source<TAB>target; --text would read them as running text")
    if task == "pairs" and prepared.repeated and not flags["quiet"]:
        say(f"pairs whose source stood before: {prepared.repeated}; each of its targets is learned")
    return prepared, task


def _prepare(task: str, texts, flags: dict, *, recognised: bool, validation, past=None):
    """The corpus of a task, read with what is known of it already. Raises CorpusError, UsageError."""
    tokenizer = past.tokenizer if past else flags["tokenizer"]
    source_tokenizer = past.source_tokenizer if past else flags["source_tokenizer"]
    how = {"vocabulary_size": flags["vocab_size"], "validation": validation}
    if task == "pairs":
        from charlm.text.pair_corpus import prepare_pairs
        return prepare_pairs(texts, tokenizer=tokenizer, source_tokenizer=source_tokenizer or "nfd",
                             otherwise="; --text reads it as running text" if recognised else "", **how)
    if source_tokenizer is not None:
        raise click.UsageError("--source-tokenizer is for pairs; a text has one tokenizer, --tokenizer")
    if tokenizer == "word":
        raise click.UsageError("--tokenizer word is for the targets of pairs; a text may hold any word")
    if task == "lines":
        from charlm.text.line_corpus import prepare_lines
        return prepare_lines(texts, labelled=past.labels is not None if past else flags["task"] == "labels",
                             tokenizer=tokenizer or "char", labels=past and past.labels, **how)
    from charlm.text.prepare import prepare
    return prepare(texts, tokenizer=tokenizer or "char", **how)


def _output(flags: dict) -> str:
    """Where the model goes; an existing file is replaced only with --force, a text of the run never."""
    path = flags["output"] or _default_output(flags["corpus"][0])
    held_out = flags["validation"]
    texts = [*flags["corpus"], *([held_out] if isinstance(held_out, str) else [])]
    files = [text for text in texts if text != "-" and os.path.exists(text)]
    if os.path.exists(path) and any(os.path.samefile(text, path) for text in files):
        raise click.UsageError(f"{path} is itself a text of this run; name another file with -o")
    if os.path.exists(path) and not flags["force"] and not flags["resume"]:
        raise click.UsageError(f"{path} exists; name another file with -o, or replace it with --force")
    return path


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


def _validation(given: str | None) -> float | str | None:
    """A fraction when it is a number, else the name of a text."""
    if given is None:
        return None
    try:
        fraction = float(given)
    except ValueError:
        return given
    if not 0 < fraction < 1:
        raise click.UsageError(f"--validation {given}: a fraction lies between 0 and 1")
    return fraction


def _train(corpus, wishes, *, quiet: bool, session) -> None:
    """Show the run's records; after an interruption die by the signal that asked for it."""
    from charlm.cli.boundary import Killed
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
        raise Killed(flag.signum)
