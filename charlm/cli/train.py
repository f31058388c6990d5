"""`charlm train`: a text in, a model file out, with progress on stderr."""

from __future__ import annotations

import os
import time

import click

from charlm.cli import options
from charlm.config import (
    ENCODERS, GATES, NONLINEARITIES, OPTIMIZERS, SOURCE_TOKENIZERS, TARGET_TOKENIZERS, TrainingConfig)

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
_TASK = [
    click.option("--text", "task", flag_value="stream", help="Running text, tabs and all."),
    click.option("--pairs", "task", flag_value="pairs",
                 help="Lines of source<TAB>target, for `translate`. Default for .tsv, and where "
                      "a file begins with such lines."),
    click.option("--lines", "task", flag_value="lines",
                 help="Lines, each by itself: names, records, verses."),
    click.option("--labels", "task", flag_value="labels",
                 help="Lines of label<TAB>text, each conditioned on its label, for `sample --label` "
                      "and `classify`."),
    click.option("--fill", "task", flag_value="fill",
                 help="Running text, of which random gaps are learned, for `fill`."),
]
_NETWORK = [
    click.option("--cell", type=click.Choice(list(GATES)), default="lstm", show_default=True,
                 help="Recurrent cell."),
    click.option("--nonlinearity", type=click.Choice(NONLINEARITIES), default="tanh",
                 show_default=True, help="Of the rnn cell."),
    click.option("--layers", type=int, default=2, show_default=True, help="Stacked layers."),
    click.option("--hidden", type=int, help="Width of a layer. Default: by the corpus."),
    click.option("--embedding", type=int, help="Width of the embedding. Default: 64."),
    click.option("--tied", is_flag=True, help="Head and embedding share a matrix of --hidden width."),
    click.option("--encoder", type=click.Choice(ENCODERS),
                 help="Who reads the source, or a stream's window before this one; shared: the decoder "
                      "itself. Default: bidirectional for pairs and gaps, else shared."),
    click.option("--bidirectional", is_flag=True, help="Short for --encoder bidirectional."),
    click.option("--attention/--no-attention", default=None,
                 help="Attend to all of what the encoder read, or know its last states only. "
                      "Default: attention, wherever there is a source."),
    click.option("--dropout", type=float, help="On non-recurrent connections. Default: by the corpus."),
]
_RUN = [
    click.option("--optimizer", type=click.Choice(OPTIMIZERS), default="muon", show_default=True,
                 help="Muon moves the recurrent layers' matrices, AdamW the rest or all."),
    click.option("--lr", type=float, default=TrainingConfig.learning_rate, show_default=True,
                 help="AdamW's learning rate; Muon's is 10/3 of it."),
    click.option("--label-smoothing", type=float,
                 help="Share of each target given to all tokens alike. Default: 0.1 for pairs, else 0."),
    click.option("--weight-decay", type=float, help="Decoupled decay. Default: by the corpus."),
    click.option("--warmup", type=int, default=TrainingConfig.warmup, show_default=True,
                 help="Steps until the full rate, at most a tenth of all; it falls to 0 at the end."),
    click.option("--batch-size", type=int,
                 help="Lanes, lines or pairs read side by side. Default: by the corpus."),
    click.option("--bptt", type=int, default=64, show_default=True, help="Tokens of a window."),
    click.option("--clip", type=float, default=TrainingConfig.clip, show_default=True,
                 help="Clip the gradient's global norm; 0 is off."),
    click.option("--clip-value", type=float, default=0.0, show_default=True,
                 help="Clip each entry of the gradient; 0 is off."),
    click.option("--minutes", type=float, help="Train for this long, planned from measured speed."),
    click.option("--epochs", type=float, help="Train for this many passes."),
    click.option("--steps", type=int, help="Train for this many updates."),
    click.option("--patience", type=int,
                 help="Stop after so many validations without a better one; 0 is off. "
                      f"Default: {TrainingConfig.patience}, but 0 with --minutes."),
    click.option("--seed", type=int, default=0, show_default=True,
                 help="Repeat a run to the bit, or vary it."),
]
_TEXT = [
    click.option("--tokenizer", type=click.Choice(TARGET_TOKENIZERS),
                 help="What a token of the text, or of a target, is. Default: char; word for targets of "
                      "few different words."),
    click.option("--source-tokenizer", type=click.Choice(SOURCE_TOKENIZERS),
                 help="What a token of a source is. Default: nfd, characters taken apart into letters "
                      "and marks."),
    click.option("--vocab-size", type=click.IntRange(2), help="Tokens in the vocabulary."),
    click.option("--validation", metavar="FRACTION|FILE",
                 help="Held-out part: a share, or another file. Default: the last tenth, at most a "
                      "million characters; of lines a twentieth, of pairs a tenth, drawn at random, at most 20,000 "
                      "or 2,000."),
]


def _all(decorators):
    def decorate(function):
        for decorator in reversed(decorators):
            function = decorator(function)
        return function
    return decorate


@click.command("train", epilog=EXAMPLES, short_help="Train a model on a text.")
@click.argument("corpus", nargs=-1, required=True, metavar="CORPUS...")
@click.option("-o", "--output", metavar="FILE", help="Model to write. Default: <corpus>.charlm here.")
@click.option("--force", is_flag=True, help="Replace an existing output.")
@_all(_TASK)
@_all(_TEXT)
@options.errors
@_all(_NETWORK)
@_all(_RUN)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto",
              show_default=True, help="auto takes a GPU when there is one.")
@options.threads
@click.option("--quiet", is_flag=True, help="Show errors only.")
def command(corpus, output, force, task, tokenizer, source_tokenizer, vocab_size, validation, errors,
            encoder, bidirectional, device, threads, quiet, **wishes) -> None:
    """Train a model on a text: files, `-` for stdin, .gz .bz2 .xz.

    Without any flag the size of the network and the length of the run follow the size of the text:
    about five minutes for 1 MB on two cores. After each validation the best model so far is on disk;
    Ctrl-C ends a run early and keeps it.
    """
    began = time.monotonic()
    options.yield_when_waiting()
    held_out = _validation(validation)
    output = _output(output, [*corpus, *([held_out] if isinstance(held_out, str) else [])], force)
    if bidirectional and encoder not in (None, "bidirectional"):
        raise click.UsageError(f"--bidirectional and --encoder {encoder} name two encoders; give one")
    wishes["encoder"] = "bidirectional" if bidirectional else encoder
    from charlm.cli.boundary import say
    from charlm.storage import require_writable
    from charlm.text.corpus import Text
    from charlm.text.pairs import recognise
    from charlm.training.choices import Wishes
    labelled, task = task == "labels", "lines" if task == "labels" else task
    # Refused now rather than after a long corpus was read; so is a GPU that is not there.
    Wishes(task=task or "pairs", **wishes)
    require_writable(output)
    if device == "cuda":
        from charlm.training.device import choose_device
        choose_device(device)
    texts = [Text(source, errors) for source in corpus]
    recognised = task is None and recognise(texts)
    task = task or ("pairs" if recognised else "stream")
    wishes = Wishes(task=task, **wishes)
    held_out = Text(held_out, errors) if isinstance(held_out, str) else held_out
    prepared = _prepare(task, texts, tokenizer, source_tokenizer, recognised=recognised, labelled=labelled,
                        vocabulary_size=vocab_size, validation=held_out)
    if recognised and not quiet:
        say("these are pairs of source<TAB>target; --text would read them as running text")
    if task == "pairs" and prepared.repeated and not quiet:
        say(f"pairs whose source stood before: {prepared.repeated}; each of its targets is learned")
    from charlm.cli.previews import preview
    from charlm.training.session import Session
    _train(prepared, wishes, quiet=quiet, session=lambda interrupted: Session(
        output, device, threads, began, interrupted, None if quiet else preview))


def _prepare(task: str, texts, tokenizer: str | None, source_tokenizer: str | None, *,
             recognised: bool, labelled: bool, **how):
    """The corpus of a task: its texts read, its vocabularies fitted, its tokens made."""
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
        return prepare_lines(texts, labelled=labelled, tokenizer=tokenizer or "char", **how)
    from charlm.text.prepare import prepare
    return prepare(texts, tokenizer=tokenizer or "char", **how)


def _output(given: str | None, texts: list[str], force: bool) -> str:
    """Where the model goes; an existing file is replaced only with --force, a text of the run never."""
    path = given or _default_output(texts[0])
    files = [text for text in texts if text != "-" and os.path.exists(text)]
    if os.path.exists(path) and any(os.path.samefile(text, path) for text in files):
        raise click.UsageError(f"{path} is itself a text of this run; name another file with -o")
    if os.path.exists(path) and not force:
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
