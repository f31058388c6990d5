"""Scoring of given targets: their surprisal after a source, and the probability of each of several; no search.

    reader = PairReader(network, tokenizer, source_tokenizer)
    for score in PairScorer(reader).score(["hat\\tkalap"]): score.bits_per_character
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence

import numpy as np

from charlm.contract import FloatArray, IntArray, Network, State, Tokenizer
from charlm.errors import CorpusError, UsageError
from charlm.inference.line_scoring import NOTHING, Scorer, TextScore
from charlm.inference.scoring import Measure, encode_sources, score_rows, token_nats
from charlm.text import tsv
from charlm.text.examples import batch_by_length
from charlm.text.special_tokens import with_bos_eos
from charlm.text.tokenizers.base import NEWLINE
from charlm.text.tokenizers.word import WordTokenizer

SOURCES_AT_ONCE = 64
ROWS_AT_ONCE = 4096                     # sources times candidates


class PairReader:
    """A network for pairs with its two tokenizers, which reads targets after their sources."""

    def __init__(self, network: Network, tokenizer: Tokenizer, source_tokenizer: Tokenizer):
        self.network, self.tokenizer, self.source_tokenizer = network, tokenizer, source_tokenizer

    def encoded(self, sources: Sequence[str], batch_size: int) -> Iterator[tuple[list[int], IntArray, State]]:
        """Yield the indices, lengths and state of sources in batches of similar length, shortest first."""
        ids = [self.source_tokenizer.encode(source).astype(np.int64) for source in sources]
        lengths = np.array([len(row) for row in ids], np.int64)
        order = np.argsort(lengths, kind="stable")
        for batch in batch_by_length(lengths[order], batch_size):
            indices = order[batch]
            yield indices.tolist(), lengths[indices], encode_sources(self.network, [ids[index] for index in indices])

    def rows(self, targets: Sequence[str]) -> list[IntArray]:
        """Return the ids of targets, each framed by the tokens for its beginning and end."""
        return [with_bos_eos(self.tokenizer, self.tokenizer.encode(target)) for target in targets]

    def read(self, sources: Sequence[str], targets: Sequence[IntArray], *,
             measure: Measure = token_nats) -> list[FloatArray]:
        """Return the nats, or another measure, of each token of targets, given as `rows`, after their sources.

        No source may be empty.
        """
        found: list[FloatArray] = [np.zeros(0)] * len(targets)
        for indices, _, state in self.encoded(sources, SOURCES_AT_ONCE):
            values = score_rows(self.network, self.tokenizer, [targets[index] for index in indices], state.select,
                                measure=measure)
            for index, row in zip(indices, values, strict=True):
                found[index] = row
        return found

    def log_probabilities(self, sources: Sequence[str], targets: Sequence[IntArray]) -> FloatArray:
        """Return log p (N, C) of C targets, given as `rows`, after each of N sources. No source may be empty."""
        found, count = np.zeros((len(sources), len(targets))), len(targets)
        for indices, _, state in self.encoded(sources, min(max(ROWS_AT_ONCE // count, 1), SOURCES_AT_ONCE)):
            begin = functools.partial(_of_row, state, count)
            nats = score_rows(self.network, self.tokenizer, [*targets] * len(indices), begin)
            found[indices] = -np.array([row.sum() for row in nats]).reshape(-1, count)
        return found


def _of_row(state: State, count: int, rows: IntArray) -> State:
    """Return the state of `rows`, where each row of `state` serves `count` consecutive rows."""
    return state.select(rows // count)


def problem_of(line: str) -> str:
    """Return the reason why a line is not a pair, or an empty string if it is a pair or blank."""
    reason = tsv.problem(line) if line else ""
    return reason and f"{reason}; a line is source<TAB>target"


def split_pairs(lines: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the sources and the targets of lines that are not blank. Raises CorpusError for one that is not a pair."""
    if problem := next(filter(None, map(problem_of, lines)), ""):
        raise CorpusError(problem)
    split = [line.split(tsv.TAB) for line in lines]
    return [source for source, _ in split], [target for _, target in split]


class PairScorer(Scorer):
    """Scores lines of `source<TAB>target`: the target given the source, with its end counted as a character.

    Blank lines cost nothing, because training ignores them, too.
    """

    includes_line_end = False

    def __init__(self, reader: PairReader):
        self._reader = reader

    def score(self, texts: Sequence[str]) -> list[TextScore]:
        """Return the score of each line's target. Raises CorpusError for a line that is not a pair."""
        sources, targets = split_pairs([text for text in texts if text])
        rows = self._reader.rows(targets)
        nats = self._reader.read(sources, rows)
        scores = iter([TextScore(target + NEWLINE, row[1:], costs)
                       for target, row, costs in zip(targets, rows, nats, strict=True)])
        return [next(scores) if text else NOTHING for text in texts]

    def problem(self, text: str) -> str:
        """Return the reason why a line is not a pair, or an empty string."""
        return problem_of(text)


class TargetClassifier:
    """Computes p(target | source), normalised over the given targets."""

    def __init__(self, reader: PairReader, names: Sequence[str]):
        self.names = tuple(names)
        self._reader = reader
        self._rows = reader.rows(names)

    def posteriors(self, texts: Sequence[str]) -> FloatArray:
        """Return the probabilities (N, C) of the C targets for each of N sources."""
        logs = self._reader.log_probabilities(texts, self._rows)
        odds = np.exp(logs - logs.max(axis=1, keepdims=True))
        posteriors: FloatArray = odds / odds.sum(axis=1, keepdims=True)
        return posteriors

    def problem(self, text: str) -> str:
        """Return the reason why a text is not a source, or an empty string."""
        return "a tab; give the source alone (cut -f1)" if tsv.TAB in text else "" if text else "an empty source"


def target_words(tokenizer: Tokenizer) -> list[str]:
    """Return the words that a model can write. Raises UsageError for a model that spells its targets."""
    if not isinstance(tokenizer, WordTokenizer):
        raise UsageError("a model that spells its targets has no list of them; give one with --among FILE")
    return [word for word in tokenizer.known_text().split(" ") if word]
