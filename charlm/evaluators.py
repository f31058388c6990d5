"""Measuring a model on held-out texts, one function a task; each returns metrics by name, the main one first."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import numpy as np

from charlm.contract import FloatArray, IntArray
from charlm.errors import CorpusError
from charlm.inference.evaluation import PairMetrics, Watch, evaluate_gaps, evaluate_pairs, ignore_share
from charlm.inference.parallel import map_in_order
from charlm.inference.scoring import WINDOW, nats_to_bits, perplexity
from charlm.inference.text_scoring import regroup, score_carried, score_windows
from charlm.model import LanguageModel
from charlm.text.line_corpus import read_lines
from charlm.text.reading import Text, names_of
from charlm.text.token_cache import TokenCache
from charlm.text.tokenizers.base import encode_chunks
from charlm.text.tsv import TAB, read_pairs

Item = TypeVar("Item")

LINES_AT_ONCE = 256

Metrics = dict[str, Any]

@dataclass(frozen=True)
class EvaluationRequest:
    """The texts to measure a model on, and how."""

    texts: Sequence[Text]
    warn: Callable[[str], None]
    window: int | None = None           # tokens of independent windows of running text; None carries the state
    beam: int = 5
    workers: int = 1                    # processes that measure batches side by side
    adapt: str = ""                     # also measure the model as it learns: `head`, or `full` for all weights
    watch: Watch = ignore_share         # receives the share of the text read so far that has been measured

    def refuse_empty(self, count: int) -> None:
        """Raise CorpusError if nothing was read."""
        if not count:
            raise CorpusError(f"{names_of(self.texts)}: empty; there is nothing to measure")


def _loss(nats_per_token: float, bits_per_character: float, tokens: int, characters: int) -> Metrics:
    return {"nats_per_token": nats_per_token, "bits_per_character": bits_per_character,
            "perplexity": perplexity(nats_per_token), "tokens": tokens, "characters": characters}


def _adapted(nats: float, tokens: int, characters: int) -> Metrics:
    return {"adapted_nats_per_token": nats / tokens, "adapted_bits_per_character": nats_to_bits(nats) / characters}


def evaluate_text(model: LanguageModel, request: EvaluationRequest) -> Metrics:
    """Measure the loss of running text, with the state carried or in independent windows."""
    characters = unknown = encoded_tokens = 0

    def counted() -> Iterator[str]:
        nonlocal characters
        for chunk in itertools.chain.from_iterable(request.texts):
            characters += len(chunk)
            yield chunk

    def encoded() -> Iterator[IntArray]:
        nonlocal unknown, encoded_tokens
        for ids in encode_chunks(model.tokenizer, counted()):
            encoded_tokens += len(ids)
            unknown += int((ids == model.tokenizer.unknown_id).sum())
            yield ids

    totals, tokens = np.zeros(2), 0                         # nats without and with adaptation
    for static, adapted in _scores(model, request, encoded()):
        totals += static.sum(), adapted.sum()
        tokens += len(static)
        request.watch(tokens / encoded_tokens)
    request.refuse_empty(tokens)
    if unknown:
        request.warn(f"warning: {unknown} of {characters} characters are unknown to the model")
    nats, adapted_nats = totals.tolist()
    return {**_loss(nats / tokens, nats_to_bits(nats) / characters, tokens, characters),
            **(_adapted(adapted_nats, tokens, characters) if request.adapt else {})}


def _scores(model: LanguageModel, request: EvaluationRequest,
            pieces: Iterator[IntArray]) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Yield the nats of the tokens of a text without and with adaptation; the same twice if it is not asked for."""
    network = model.reproducible_network
    if request.adapt:
        return map(model.adaptive_reader(request.adapt).both, regroup(pieces, WINDOW))
    scores = (score_windows(network, model.tokenizer, pieces, window=request.window, workers=request.workers)
              if request.window else score_carried(network, model.tokenizer, pieces))
    return ((nats, nats) for nats in scores)


def evaluate_lines(model: LanguageModel, request: EvaluationRequest) -> Metrics:
    """Measure the loss of lines, each end counted as a character; of labelled ones also the labels missed."""
    labelled = model.task_row.has_labels
    keeps_blank = "blank_lines_left_out" not in model.stored.training
    lines = (line for text in request.texts for line in read_lines(text, labelled=labelled)
             if keeps_blank or line[1].strip())
    batches = _Counted(iter(lambda: list(itertools.islice(lines, LINES_AT_ONCE)), []))
    scorer, classifier = model.scorer(), model.classifier() if labelled else None

    adaptive = model.scorer(adapt=request.adapt) if request.adapt else None

    def measure(batch: list[tuple[str, str]]) -> tuple[int, float, float, int, int, int]:
        texts = [f"{label}{TAB}{text}" if labelled else text for label, text in batch]
        scores, adapted = scorer.score(texts), adaptive.score(texts) if adaptive else ()
        best = classifier.posteriors([text for _, text in batch]).argmax(axis=1) if classifier else ()
        return (len(scores), sum(score.bits for score in scores), sum(score.bits for score in adapted),
                sum(len(score.ids) for score in scores),
                sum(score.characters for score in scores),
                sum(model.labels[index] != batch[row][0] for row, index in enumerate(best)))

    measured = []
    for _, found in map_in_order(measure, batches, workers=request.workers):
        measured.append(found)
        request.watch(len(measured) / batches.count)
    count, bits, adapted_bits, tokens, characters, missed = (
        map(sum, zip(*measured, strict=True)) if measured else (0,) * 6)
    request.refuse_empty(count)
    rates = {"label_error_rate": missed / count} if labelled else {}
    return {**rates, "lines": count, **_loss(bits * math.log(2) / tokens, bits / characters, tokens, characters),
            **(_adapted(adapted_bits * math.log(2), tokens, characters) if request.adapt else {})}


class _Counted(Iterator[Item]):
    """An iterator that counts what it has yielded."""

    def __init__(self, items: Iterator[Item]):
        self._items, self.count = items, 0

    def __next__(self) -> Item:
        item = next(self._items)
        self.count += 1
        return item


def evaluate_translations(model: LanguageModel, request: EvaluationRequest) -> Metrics:
    """Measure the errors in the targets of pairs, and their loss."""
    pairs = [pair for text in request.texts for pair in read_pairs(text)]
    request.refuse_empty(len(pairs))
    # None would mean interrupted, which nothing here can do.
    metrics = cast(PairMetrics, evaluate_pairs(model.translator(), pairs, beam=request.beam,
                                               workers=request.workers, watch=request.watch))
    return {"word_error_rate": metrics.word_error_rate, "character_error_rate": metrics.character_error_rate,
            "sources": metrics.sources, "pairs": len(pairs),
            **_loss(metrics.nats_per_token, metrics.bits_per_character, metrics.tokens, metrics.characters)}


def evaluate_fills(model: LanguageModel, request: EvaluationRequest) -> Metrics:
    """Measure the share of gaps that greedy search fills exactly, and their loss."""
    tokens = TokenCache(encode_chunks(model.tokenizer, itertools.chain.from_iterable(request.texts)),
                        vocabulary_size=model.tokenizer.size)
    request.refuse_empty(len(tokens))
    metrics = evaluate_gaps(model.reproducible_network, model.tokenizer, tokens, workers=request.workers,
                            watch=request.watch)
    return {"exact_fills": metrics.exact / metrics.gaps, "gaps": metrics.gaps,
            **_loss(metrics.nats_per_token, metrics.bits_per_character, metrics.tokens, metrics.characters)}
