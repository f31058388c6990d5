"""`charlm eval`: how well a model predicts held-out data."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

import click

from charlm.cli import options
from charlm.cli.exit_codes import message
from charlm.cli.output import write_table
from charlm.errors import CorpusError

if TYPE_CHECKING:
    import numpy as np

    from charlm.inference.evaluation import PairMetrics
    from charlm.modelfile import Model

EXAMPLES = """\b
Examples:
  charlm eval held-out.txt
  charlm eval --window 256 held-out.txt
  charlm eval -m lexicon.charlm lexicon.test.tsv
  zcat held-out.txt.gz | charlm eval -m big.charlm --jsonl -
"""

LINES_AT_ONCE = 1024


@click.command("eval", epilog=EXAMPLES, short_help="Measure how well a model predicts held-out data.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@options.model
@click.option("--window", type=click.IntRange(1), metavar="N",
              help="Score windows of N tokens independently instead of carrying the state through the text.")
@options.beam
@options.jsonl
@options.errors
@options.threads
def command(files: tuple[str, ...], model: str | None, window: int | None, beam: int, jsonl: bool,
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
    """
    options.limit_threads(threads)
    from charlm.cli.models import load_model
    loaded = load_model(model)
    if window is not None and loaded.task != "stream":
        raise click.UsageError(f"--window is for models of running text, not for a {loaded.task} model")
    if loaded.task == "pairs":
        metrics = _evaluate_pairs(loaded, files, errors, beam)
    elif loaded.task == "lines":
        metrics = _evaluate_lines(loaded, files, errors)
    elif loaded.task == "fill":
        metrics = _evaluate_gaps(loaded, files, errors)
    else:
        metrics = _evaluate_text(loaded, files, errors, window)
    write_table(metrics, jsonl=jsonl)


def _evaluate_text(model: Model, files: tuple[str, ...], errors: str, window: int | None) -> dict[str, float]:
    """Return the loss of a text."""
    from charlm.inference.network import Network
    from charlm.inference.text_scoring import score_carried, score_windows
    from charlm.text.reading import read_text
    from charlm.text.tokenizers.base import encode_chunks
    network = Network(model.config, model.weights)
    characters = unknown = 0

    def chunks() -> Iterator[str]:
        nonlocal characters
        for text in read_text(files, errors):
            characters += len(text)
            yield text

    def encoded() -> Iterator[np.ndarray]:
        nonlocal unknown
        for ids in encode_chunks(model.tokenizer, chunks()):
            unknown += int((ids == model.tokenizer.unknown_id).sum())
            yield ids

    scores = (score_windows(network, model.tokenizer, encoded(), window=window) if window
              else score_carried(network, model.tokenizer, encoded()))
    nats, tokens = 0.0, 0
    for batch in scores:
        nats += float(batch.sum())
        tokens += len(batch)
    if not tokens:
        raise _empty(files)
    if unknown:
        message(f"warning: {unknown} of {characters} characters are unknown to the model")
    return _loss(nats / tokens, nats / math.log(2) / characters, tokens, characters)


def _evaluate_lines(model: Model, files: tuple[str, ...], errors: str) -> dict[str, float]:
    """Return the loss of lines, each end counted as a character, given their labels if there are any.

    With labels the result includes the share of lines that `classify` labels wrongly.
    """
    from charlm.cli.models import classifier_of, scorer_of
    from charlm.text.line_corpus import read_lines
    from charlm.text.reading import Text
    from charlm.text.tsv import TAB
    labelled = bool(model.labels)
    lines = itertools.chain.from_iterable(read_lines(Text(file, errors), labelled=labelled) for file in files)
    scorer = scorer_of(model)
    classifier = classifier_of(model, uniform_prior=False) if labelled else None
    count = wrong = tokens = characters = 0
    bits = 0.0
    while batch := list(itertools.islice(lines, LINES_AT_ONCE)):
        scores = scorer.score([f"{label}{TAB}{text}" if labelled else text for label, text in batch])
        count += len(scores)
        bits += sum(score.bits for score in scores)
        tokens += sum(len(score.ids) for score in scores)
        characters += sum(score.characters for score in scores)
        if classifier:
            best = classifier.posteriors([text for _, text in batch]).argmax(axis=1)
            wrong += sum(classifier.labels.names[index] != label for index, (label, _) in zip(best, batch, strict=True))
    if not count:
        raise _empty(files)
    rates = {"label_error_rate": wrong / count} if labelled else {}
    return {**rates, "lines": count, **_loss(bits * math.log(2) / tokens, bits / characters, tokens, characters)}


def _evaluate_pairs(model: Model, files: tuple[str, ...], errors: str, beam: int) -> dict[str, float]:
    """Return the error rates of the targets that beam search finds, and the loss of the right ones."""
    from charlm.cli.models import translator_of
    from charlm.inference.evaluation import evaluate_pairs
    from charlm.text.reading import Text
    from charlm.text.tsv import read_pairs
    pairs = [pair for file in files for pair in read_pairs(Text(file, errors))]
    if not pairs:
        raise _empty(files)
    # None would mean interrupted, which nothing here can do.
    metrics = cast("PairMetrics", evaluate_pairs(translator_of(model), pairs, beam=beam))
    return {"word_error_rate": metrics.word_error_rate, "character_error_rate": metrics.character_error_rate,
            "sources": metrics.sources, "pairs": len(pairs),
            **_loss(metrics.nats_per_token, metrics.bits_per_character, metrics.tokens, metrics.characters)}


def _evaluate_gaps(model: Model, files: tuple[str, ...], errors: str) -> dict[str, float]:
    """Return the share of random gaps that greedy search fills exactly, and their loss."""
    from charlm.inference.evaluation import evaluate_gaps
    from charlm.inference.network import Network
    from charlm.text.reading import read_text
    from charlm.text.token_cache import TokenCache
    from charlm.text.tokenizers.base import encode_chunks
    tokens = TokenCache(encode_chunks(model.tokenizer, read_text(files, errors)),
                        vocabulary_size=model.tokenizer.size)
    if not len(tokens):
        raise _empty(files)
    score = evaluate_gaps(Network(model.config, model.weights), model.tokenizer, tokens)
    return {"exact_fills": score.exact / score.gaps, "gaps": score.gaps,
            **_loss(score.nats / score.tokens, score.nats / math.log(2) / score.characters,
                    score.tokens, score.characters)}


def _loss(nats_per_token: float, bits_per_character: float, tokens: int, characters: int) -> dict[str, float]:
    return {"nats_per_token": nats_per_token, "bits_per_character": bits_per_character,
            "perplexity": math.exp(min(nats_per_token, 700)), "tokens": tokens, "characters": characters}


def _empty(files: tuple[str, ...]) -> CorpusError:
    from charlm.text.reading import source_name
    return CorpusError(f"{', '.join(map(source_name, files))}: empty; there is nothing to measure")
