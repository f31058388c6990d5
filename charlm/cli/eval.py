"""`charlm eval`: how well a model predicts held-out data."""

from __future__ import annotations

import click

from charlm.cli import options
from charlm.cli.exit_codes import message
from charlm.cli.output import write_table

EXAMPLES = """\b
Examples:
  charlm eval held-out.txt
  charlm eval --window 256 held-out.txt
  charlm eval --adapt held-out.txt
  charlm eval -m lexicon.charlm lexicon.test.tsv
  zcat held-out.txt.gz | charlm eval -m big.charlm --jsonl -
"""


@click.command("eval", epilog=EXAMPLES, cls=options.AdaptCommand)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@options.model
@options.option("--window", type=click.IntRange(1), metavar="N",
              help="Score windows of N tokens independently instead of carrying the state through the text.")
@options.adapt("Also measure the model as it learns from the text while it reads; uses one core.")
@options.beam
@options.jsonl
@options.errors
@options.cores
def command(files: tuple[str, ...], model: str | None, window: int | None, adapt: str, beam: int, jsonl: bool,
            errors: str, threads: int | None) -> None:
    """Measure how well a model predicts a text: nats per token, bits per character, perplexity.

    By default the text is read from beginning to end with the state carried along, which is how
    recurrent networks are used. --window N starts from an empty state every N tokens and gives each window
    only the token before it, which is how transformers with a context of N tokens are measured. Bits per
    character refer to the characters of the text, so that models with different tokenizers can be compared.

    A pair model is measured on pairs: word error rate, character error rate and loss. A line model is
    measured on lines, each independently and with its end; if it has labels, with the share of lines that
    `classify` labels wrongly. A fill model is measured on random gaps in the text: the share that greedy
    search fills exactly, and the loss.

    With --adapt the model learns from the text while it reads it, each token only after it has been scored:
    its head, and counts of what followed what. The adapted loss is printed after the others, which stay
    those of the model as it is.

    Batches are measured on all cores, except for running text with its state carried, and for --adapt.
    """
    workers = options.set_up_cores(threads, carry=bool(adapt))
    from charlm.cli.models import load_model
    from charlm.evaluators import EvaluationRequest
    from charlm.registry import EVALUATORS, implementation
    from charlm.text.reading import Text
    loaded = load_model(model)
    if window is not None and loaded.task_row.ends_with_eos:
        raise click.UsageError(f"--window is for models of running text, not for {loaded.task_row.model_phrase}")
    if adapt and "score" not in loaded.task_row.verbs:
        raise click.UsageError(f"--adapt is for models of running text and of lines, not for "
                               f"{loaded.task_row.model_phrase}")
    if adapt and window is not None:
        raise click.UsageError("--adapt carries what it learns through the text; leave --window out")
    texts = [Text(file, errors, message) for file in files]
    request = EvaluationRequest(texts, message, window, beam, workers, adapt=bool(adapt))
    metrics = implementation(EVALUATORS, loaded.task)(loaded, request)
    write_table(metrics, jsonl=jsonl)
