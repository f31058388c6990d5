"""The mistakes of a model on held-out texts: the tables of `charlm eval --breakdown`, one function a task."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from charlm.contract import FloatArray, IntArray
from charlm.errors import CorpusError, UsageError
from charlm.evaluators import LINES_AT_ONCE, EvaluationRequest
from charlm.inference.breakdown import KINDS, character_kinds, edits, nats_by_character, words_of
from charlm.inference.evaluation import edit_distance
from charlm.inference.line_scoring import TextScore
from charlm.inference.ngrams import ngram_nats
from charlm.inference.pair_scoring import SOURCES_AT_ONCE
from charlm.inference.parallel import map_in_order
from charlm.inference.scoring import nats_to_bits
from charlm.model import LanguageModel
from charlm.text.line_corpus import read_lines
from charlm.text.reading import Text
from charlm.text.special_tokens import eos_id
from charlm.text.tsv import TAB, read_pairs

ORDERS = range(2, 7)                    # of the n-gram models beside the loss
ALL = "all"


@dataclass(frozen=True)
class Table:
    """Rows of values under the names of their columns."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


def loss_of_text(model: LanguageModel, request: EvaluationRequest, training: Text | None) -> Table:
    """Return where the loss of running text goes, read with its state carried."""
    text = "".join(itertools.chain.from_iterable(request.texts))
    request.refuse_empty(len(text))
    known = None if training is None else "".join(training)
    return _loss_table(model, model.scorer(carry=True).score([text]), known,
                       lambda seen: model.tokenizer.encode(seen))


def loss_of_lines(model: LanguageModel, request: EvaluationRequest, training: Text | None) -> Table:
    """Return where the loss of lines goes, the end of a line being one character."""
    lines = [line for text in request.texts for _, line in read_lines(text, labelled=False)]
    request.refuse_empty(len(lines))
    batches = [lines[at:at + LINES_AT_ONCE] for at in range(0, len(lines), LINES_AT_ONCE)]
    scorer, end = model.scorer(), np.array([eos_id(model.tokenizer)])
    scores = [score for _, found in map_in_order(scorer.score, batches, workers=request.workers) for score in found]

    def encode(seen: str) -> IntArray:
        return np.concatenate([part for line in seen.split("\n")[:-1] for part in (model.tokenizer.encode(line), end)])

    known = None if training is None else "".join(f"{line}\n" for _, line in read_lines(training, labelled=False))
    return _loss_table(model, scores, known, encode)


def _loss_table(model: LanguageModel, scores: Sequence[TextScore], training: str | None,
                encode: Callable[[str], IntArray]) -> Table:
    """Return the characters, bits per character and share of the loss of each kind, and of n-gram models the bits."""
    tokenizer, size = model.tokenizer, model.stored.config.vocabulary_size
    ids = np.concatenate([score.ids for score in scores])
    losses = {"": np.concatenate([score.nats for score in scores])}
    if training:
        seen = encode(training)
        for order in ORDERS:
            nats = ngram_nats(seen, ids, size, order=order)
            if tokenizer.unknown_id is not None:
                nats[ids == tokenizer.unknown_id] += tokenizer.unknown_surprisal
            losses[f"{order}-gram"] = nats
    by_character = {}
    for name, nats in losses.items():
        text, by_character[name] = nats_by_character(scores, nats, tokenizer)
    kinds = character_kinds(text, None if training is None else words_of(training))
    rows = [_loss_row(name, kinds == number, by_character) for number, name in enumerate(KINDS) if number in kinds]
    return Table(("kind", "characters", "bits_per_character", "share", *filter(None, losses)),
                 [_loss_row(ALL, np.ones(len(kinds), bool), by_character), *rows])


def _loss_row(name: str, mask: np.ndarray, by_character: dict[str, FloatArray]) -> list[Any]:
    own, *others = (nats_to_bits(float(nats[mask].mean())) for nats in by_character.values())
    share = float(by_character[""][mask].sum() / by_character[""].sum())
    return [name, int(mask.sum()), own, share, *others]


def substitutions(model: LanguageModel, request: EvaluationRequest, training: Text | None) -> Table:
    """Return the edits that turn each best target into the nearest correct one, the most frequent first."""
    _refuse(training)
    targets: dict[str, list[str]] = {}
    for source, target in itertools.chain.from_iterable(map(read_pairs, request.texts)):
        targets.setdefault(source, []).append(target)
    request.refuse_empty(len(targets))
    translator, sources = model.translator(), sorted(targets, key=len)

    def measure(batch: list[str]) -> Counter[tuple[str, str]]:
        found: Counter[tuple[str, str]] = Counter()
        for source, (best, *_) in zip(batch, translator.translate(batch, beam=request.beam), strict=True):
            nearest = min(targets[source], key=lambda target: edit_distance(best.text, target))
            found.update(edits(*(split(text) for text in (best.text, nearest))))
        return found

    split: Callable[[str], Sequence[str]] = str.split if model.tokenizer.kind == "word" else list
    batches = [sources[at:at + SOURCES_AT_ONCE] for at in range(0, len(sources), SOURCES_AT_ONCE)]
    total: Counter[tuple[str, str]] = Counter()
    for _, found in map_in_order(measure, batches, workers=request.workers):
        total.update(found)
    return Table(("wanted", "written", "count"), [[*pair, count] for pair, count
                                                  in sorted(total.items(), key=lambda item: (-item[1], item[0]))])


def confusions(model: LanguageModel, request: EvaluationRequest, training: Text | None) -> Table:
    """Return how many lines of each label, one a row, were taken for each label, one a column."""
    _refuse(training)
    lines = [line for text in request.texts for line in read_lines(text, labelled=True)]
    request.refuse_empty(len(lines))
    classifier, names = model.classifier(), model.labels
    counts = np.zeros((len(names), len(names)), np.int64)
    rows = [names.index(label) for label in _known(model, [label for label, _ in lines])]
    batches = [lines[at:at + LINES_AT_ONCE] for at in range(0, len(lines), LINES_AT_ONCE)]
    found = map_in_order(lambda batch: classifier.posteriors([text for _, text in batch]).argmax(axis=1), batches,
                         workers=request.workers)
    np.add.at(counts, (np.array(rows), np.concatenate([best for _, best in found])), 1)
    return Table(("label", *names), [[name, *row] for name, row in zip(names, counts.tolist(), strict=True)])


def _known(model: LanguageModel, labels: Sequence[str]) -> Sequence[str]:
    """Return the labels. Raises CorpusError for one that the model does not know."""
    scorer = model.scorer()
    if problem := next(filter(None, (scorer.problem(label + TAB) for label in dict.fromkeys(labels))), ""):
        raise CorpusError(problem)
    return labels


def no_breakdown(model: LanguageModel, request: EvaluationRequest, training: Text | None) -> Table:
    """Raise UsageError."""
    raise UsageError(f"--breakdown is not for {model.task_row.model_phrase}")


def _refuse(training: Text | None) -> None:
    if training is not None:
        raise UsageError("--training-text is for models of running text and of lines")
