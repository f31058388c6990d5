"""`charlm eval`: how well a model predicts a text."""

from __future__ import annotations

import math

import click

from charlm.cli import options

EXAMPLES = """\b
Examples:
  charlm eval held-out.txt
  charlm eval --window 256 held-out.txt
  zcat held-out.txt.gz | charlm eval -m big.charlm --jsonl -
"""


@click.command("eval", epilog=EXAMPLES, short_help="Measure how well a model predicts a text.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@options.model
@click.option("--window", type=click.IntRange(1), metavar="N",
              help="Score cold windows of N tokens instead of carrying the state through the text.")
@options.jsonl
@options.errors
@options.threads
def command(files: tuple[str, ...], model: str | None, window: int | None, jsonl: bool, errors: str,
            threads: int | None) -> None:
    """Measure how well a model predicts a text: nats per token, bits per character, perplexity.

    By default the text is read from its first to its last character with the state carried, the way
    a recurrent network is used. `--window N` starts from an empty state every N tokens, each window
    knowing only the one token before it: the way transformers with a context of N are measured.
    Bits per character are per character of the text, so that models with different tokenizers compare.
    """
    options.limit_threads(threads)
    from charlm.cli.boundary import say
    from charlm.cli.models import open_model
    from charlm.cli.streams import write_pairs
    from charlm.errors import CorpusError
    from charlm.inference.scoring import score_carried, score_windows
    from charlm.text.corpus import describe, read_text
    from charlm.text.tokenizer import encode_chunks

    loaded, network = open_model(model)
    characters = unknown = 0

    def counted():
        nonlocal characters
        for text in read_text(files, errors):
            characters += len(text)
            yield text

    def encoded():
        nonlocal unknown
        for ids in encode_chunks(loaded.tokenizer, counted()):
            unknown += int((ids == loaded.tokenizer.unknown_id).sum())
            yield ids

    pieces = encoded()
    scores = (score_windows(network, loaded.tokenizer, pieces, window=window) if window
              else score_carried(network, loaded.tokenizer, pieces))
    nats, tokens = 0.0, 0
    for some in scores:
        nats += float(some.sum())
        tokens += len(some)
    if not tokens:
        raise CorpusError(f"{', '.join(map(describe, files))}: empty; there is nothing to measure")
    if unknown:
        say(f"warning: {unknown} of {characters} characters are unknown to the model")
    loss = nats / tokens
    write_pairs({"nats_per_token": loss, "bits_per_character": nats / math.log(2) / characters,
                 "perplexity": math.exp(min(loss, 700)), "tokens": tokens,
                 "characters": characters}, jsonl=jsonl)
