"""`charlm eval`: how well a model predicts held-out data."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from charlm.cli import options
from charlm.cli.exit_codes import message
from charlm.cli.metering import start_meter, watch_measuring
from charlm.cli.output import write_rows, write_table
from charlm.text.record_format import RecordFormat

if TYPE_CHECKING:
    from charlm.evaluators import EvaluationRequest, Metrics
    from charlm.model import LanguageModel

EXAMPLES = """\b
Examples:
  charlm eval held-out.txt
  charlm eval --window 256 held-out.txt
  charlm eval --adapt held-out.txt
  charlm eval --breakdown --training-text corpus.txt held-out.txt | column -t -s "$(printf '\\t')"
  charlm eval --adapt full held-out.txt
  charlm eval -m lexicon.charlm lexicon.test.tsv
  zcat held-out.txt.gz | charlm eval -m big.charlm --jsonl -
"""


@click.command("eval", epilog=EXAMPLES, cls=options.AdaptCommand)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@options.files_help(options.RECORDS)
@options.model
@options.option("--window", type=click.IntRange(1), metavar="N",
              help="Score windows of N tokens independently instead of carrying the state through the text.")
@options.adapt("Also measure the model as it learns from the text while it reads; uses one core. "
               "full: all its weights learn, with torch.", full=True)
@options.option("--breakdown", is_flag=True,
              help="Write where the model goes wrong instead of how often.")
@options.option("--training-text", metavar="FILE",
              help="With --breakdown: also what n-gram models of this text lose, and which words are not in it.")
@options.beam
@options.record_options
@options.jsonl
@options.errors
@options.cores
def command(files: tuple[str, ...], model: str | None, window: int | None, breakdown: bool, training_text: str | None,
            adapt: str, beam: int, jsonl: bool, errors: str, threads: int | None,
            format: RecordFormat | None) -> None:
    """Measure how well a model predicts a text: nats per token, bits per character, perplexity.

    By default the text is read from beginning to end with the state carried along, which is how
    recurrent networks are used. --window N starts from an empty state every N tokens and gives each window
    only the token before it, which is how transformers with a context of N tokens are measured. Bits per
    character refer to the characters of the text, so that models with different tokenizers can be compared.

    A pair model is measured on pairs: word error rate, character error rate and loss. A line model is
    measured on lines, each independently and with its end; if it has labels, with the share of lines that
    `classify` labels wrongly. A fill model is measured on random gaps in the text: the share that greedy
    search fills exactly, and the loss.

    --breakdown writes a table. Of text and lines: where the loss goes, that is for word starts, the inside of
    words, spaces and so on, the characters, bits per character and share of the loss, and with
    --training-text the bits per character of n-gram models of orders 2 to 6 (interpolated Kneser-Ney) beside
    it. Of pairs: the edits from what was written to what was wanted, the most frequent first. Of labelled lines:
    how many lines of each label, a row, were given which label, a column.

    With --adapt the model learns from the text while it reads it, each token only after it has been scored:
    its head, and counts of what followed what. With --adapt full all its weights learn instead of the head
    alone, which takes longer. The adapted loss is printed after the others, which stay those of the model as
    it is.

    Batches are measured on all cores, except for running text with its state carried, and for --adapt.
    """
    workers = options.set_up_cores(threads, carry=bool(adapt))
    from charlm.cli.models import load_model
    from charlm.evaluators import EvaluationRequest
    from charlm.registry import BREAKDOWNS, implementation
    from charlm.text.reading import open_text, open_texts
    loaded = load_model(model)
    _check(loaded, window=window, adapt=adapt, breakdown=breakdown, training_text=training_text)
    if breakdown:
        request = EvaluationRequest(open_texts(files, errors, message, format), message)
        training = None if training_text is None else open_text(training_text, errors, message, format)
        write_rows(implementation(BREAKDOWNS, loaded.task)(loaded, request, training), jsonl=jsonl)
        return
    request = EvaluationRequest((), message, window, beam, workers, adapt)
    write_table(_measure(loaded, files, request, errors, format), jsonl=jsonl)


def _measure(loaded: LanguageModel, files: tuple[str, ...], request: EvaluationRequest, errors: str,
             format: RecordFormat | None) -> Metrics:
    """Return the metrics of files, with a progress line while they are measured."""
    from charlm.registry import EVALUATORS, implementation
    from charlm.text.reading import open_texts
    from charlm.text.sources import expand
    with start_meter(expand(files).size, what="measuring") as meter:
        read, measured = watch_measuring(meter)
        request = replace(request, texts=open_texts(files, errors, message, format, read), watch=measured)
        metrics: Metrics = implementation(EVALUATORS, loaded.task)(loaded, request)
    return metrics


def _check(loaded: LanguageModel, *, window: int | None, adapt: str, breakdown: bool,
           training_text: str | None) -> None:
    """Raise UsageError for options that do not fit the model or each other."""
    if window is not None and loaded.task_row.ends_with_eos:
        raise click.UsageError(f"--window is for models of running text, not for {loaded.task_row.model_phrase}")
    if adapt and loaded.task_row.reads_source:
        raise click.UsageError(f"--adapt is for models of running text and of lines, not for "
                               f"{loaded.task_row.model_phrase}")
    if adapt and window is not None:
        raise click.UsageError("--adapt carries what it learns through the text; leave --window out")
    if training_text is not None and not breakdown:
        raise click.UsageError("--training-text is for --breakdown")
    if breakdown and (window is not None or adapt):
        raise click.UsageError("--breakdown takes neither --window nor --adapt; it carries the state through the text")
