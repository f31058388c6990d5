"""`charlm eval`: how well a model predicts held-out data."""

from __future__ import annotations

import math

import click

from charlm.cli import options

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
              help="Score cold windows of N tokens instead of carrying the state through the text.")
@options.beam
@options.jsonl
@options.errors
@options.threads
def command(files: tuple[str, ...], model: str | None, window: int | None, beam: int, jsonl: bool,
            errors: str, threads: int | None) -> None:
    """Measure how well a model predicts a text: nats per token, bits per character, perplexity.

    By default the text is read from its first to its last character with the state carried, the way
    a recurrent network is used. `--window N` starts from an empty state every N tokens, each window
    knowing only the one token before it: the way transformers with a context of N are measured.
    Bits per character are per character of the text, so that models with different tokenizers compare.

    A model of pairs is measured on pairs: the share of sources whose target it does not write exactly,
    the edits that its targets need, and its loss. A model of lines is measured on lines, each by itself
    with its end; where they have labels, the share of lines whose label `classify` misses, too. A fill
    model is measured on gaps drawn in the text: the share that greedy search fills exactly, and its loss.
    """
    options.limit_threads(threads)
    from charlm.cli.models import load_model
    from charlm.cli.output import write_table
    loaded = load_model(model)
    if window is not None and loaded.task != "stream":
        raise click.UsageError(f"--window is for running text, not for a {loaded.task} model")
    if loaded.task == "pairs":
        facts = _judged(loaded, files, errors, beam)
    elif loaded.task == "lines":
        facts = _lined(loaded, files, errors)
    elif loaded.task == "fill":
        facts = _filled(loaded, files, errors)
    else:
        facts = _scored(loaded, files, errors, window)
    write_table(facts, jsonl=jsonl)


def _scored(model, files: tuple[str, ...], errors: str, window: int | None) -> dict:
    """A text's loss."""
    from charlm.cli.exit_codes import message
    from charlm.inference.network import Network
    from charlm.inference.text_scoring import score_carried, score_windows
    from charlm.text.reading import read_text
    from charlm.text.tokenizers.base import encode_chunks
    network = Network(model.config, model.weights)
    characters = unknown = 0

    def counted():
        nonlocal characters
        for text in read_text(files, errors):
            characters += len(text)
            yield text

    def encoded():
        nonlocal unknown
        for ids in encode_chunks(model.tokenizer, counted()):
            unknown += int((ids == model.tokenizer.unknown_id).sum())
            yield ids

    pieces = encoded()
    scores = (score_windows(network, model.tokenizer, pieces, window=window) if window
              else score_carried(network, model.tokenizer, pieces))
    nats, tokens = 0.0, 0
    for some in scores:
        nats += float(some.sum())
        tokens += len(some)
    if not tokens:
        raise _nothing(files)
    if unknown:
        message(f"warning: {unknown} of {characters} characters are unknown to the model")
    return _loss(nats / tokens, nats / math.log(2) / characters, tokens, characters)


def _lined(model, files: tuple[str, ...], errors: str) -> dict:
    """The loss of lines, each end counted as a character; where they have labels, given these, and how
    often `classify` misses them."""
    import itertools

    from charlm.cli.models import classifier_of, scorer_of
    from charlm.text.line_corpus import read_lines
    from charlm.text.reading import Text
    from charlm.text.tsv import TAB
    labelled = bool(model.labels)
    lines = itertools.chain.from_iterable(read_lines(Text(file, errors), labelled=labelled) for file in files)
    scorer = scorer_of(model)
    classifier = classifier_of(model, uniform_prior=False) if labelled else None
    count = missed = tokens = characters = 0
    bits = 0.0
    while some := list(itertools.islice(lines, LINES_AT_ONCE)):
        scores = scorer.score([f"{label}{TAB}{text}" if labelled else text for label, text in some])
        count += len(scores)
        bits += sum(score.bits for score in scores)
        tokens += sum(len(score.ids) for score in scores)
        characters += sum(score.characters for score in scores)
        if classifier:
            best = classifier.posteriors([text for _, text in some]).argmax(axis=1)
            missed += sum(model.labels.names[number] != label for number, (label, _) in zip(best, some))
    if not count:
        raise _nothing(files)
    rates = {"label_error_rate": missed / count} if labelled else {}
    return {**rates, "lines": count, **_loss(bits * math.log(2) / tokens, bits / characters, tokens, characters)}


def _judged(model, files: tuple[str, ...], errors: str, beam: int) -> dict:
    """The errors in targets, and their loss."""
    from charlm.cli.models import translator_of
    from charlm.inference.evaluation import evaluate_pairs
    from charlm.text.reading import Text
    from charlm.text.tsv import read_pairs
    pairs = [pair for file in files for pair in read_pairs(Text(file, errors))]
    if not pairs:
        raise _nothing(files)
    metrics = evaluate_pairs(translator_of(model), pairs, beam=beam)
    return {"word_error_rate": metrics.word_error_rate,
            "character_error_rate": metrics.character_error_rate, "sources": metrics.sources,
            "pairs": len(pairs), **_loss(metrics.nats_per_token, metrics.bits_per_character,
                                         metrics.tokens, metrics.characters)}


def _filled(model, files: tuple[str, ...], errors: str) -> dict:
    """How often greedy search fills gaps exactly, and their loss."""
    from charlm.inference.evaluation import evaluate_gaps
    from charlm.inference.network import Network
    from charlm.text.reading import read_text
    from charlm.text.token_cache import TokenCache
    from charlm.text.tokenizers.base import encode_chunks
    tokens = TokenCache(encode_chunks(model.tokenizer, read_text(files, errors)),
                        vocabulary_size=model.tokenizer.size)
    if not len(tokens):
        raise _nothing(files)
    score = evaluate_gaps(Network(model.config, model.weights), model.tokenizer, tokens)
    return {"exact_fills": score.exact / score.gaps, "gaps": score.gaps,
            **_loss(score.nats / score.tokens, score.nats / math.log(2) / score.characters,
                    score.tokens, score.characters)}


def _loss(nats_per_token: float, bits_per_character: float, tokens: int, characters: int) -> dict:
    return {"nats_per_token": nats_per_token, "bits_per_character": bits_per_character,
            "perplexity": math.exp(min(nats_per_token, 700)), "tokens": tokens, "characters": characters}


def _nothing(files: tuple[str, ...]):
    from charlm.errors import CorpusError
    from charlm.text.reading import source_name
    return CorpusError(f"{', '.join(map(source_name, files))}: empty; there is nothing to measure")
