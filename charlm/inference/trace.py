"""Everything a model expects along a text: surprisal, entropy, rank and likeliest tokens, and the activations of units.

    tracer = Tracer(network, tokenizer, top=5)
    for trace in tracer.score(["one line\\n", "another\\n"]): trace.rank
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from charlm.contract import FloatArray, IntArray, Network, State, Tokenizer
from charlm.errors import CorpusError
from charlm.inference.beam import log_softmax
from charlm.inference.carried import CarriedReader
from charlm.inference.classification import LabelScorer
from charlm.inference.line_scoring import Scorer, TextScore, spans
from charlm.inference.network import Network as NumpyNetwork
from charlm.inference.pair_scoring import PairReader, problem_of, split_pairs
from charlm.inference.scoring import LOGITS, WINDOW, Measure, nats_to_bits, score_rows
from charlm.text.labels import Labels
from charlm.text.special_tokens import label_id, with_bos_eos
from charlm.text.tokenizers.base import NEWLINE
from charlm.text.tsv import TAB

_FIXED = 3                              # columns of a measure before the top tokens: nats, entropy, rank


@dataclass(frozen=True, eq=False, repr=False)
class Trace(TextScore):
    """A text, token by token: T tokens, the K likeliest at each place, and U units.

    `ids` and `nats` are (T,), as in every `TextScore`; a token's `nats` are -log p given all tokens before it.
    """

    entropy: FloatArray                 # (T,) the nats that were expected before the token was known
    rank: IntArray                      # (T,) 1 if the token was the likeliest
    top_ids: IntArray                   # (T, K) the likeliest tokens in place of this one, likeliest first
    top_probabilities: FloatArray       # (T, K)
    units: FloatArray                   # (T, U) float32, activations after the token; NaN after the end of a line
    unit_names: tuple[str, ...]         # (U,) LAYER:INDEX, layers from 1, units of a layer from 0


class Span(NamedTuple):
    """A part of a text that whole tokens spell, usually one character."""

    text: str
    bits: float                         # the sum over its tokens
    entropy: float                      # bits, the sum over its tokens
    rank: int                           # the largest of its tokens
    probability: float                  # the product over its tokens
    last: int                           # index of its last token


def trace_spans(trace: Trace, tokenizer: Tokenizer) -> list[Span]:
    """Return the smallest spans of a trace that correspond to whole tokens, as `bits_by_span` does."""
    found = list(spans(trace, tokenizer))
    if not found:
        return []
    starts = np.array([first for _, first, _ in found])
    nats, entropy = np.add.reduceat(trace.nats, starts), np.add.reduceat(trace.entropy, starts)
    bit = nats_to_bits(1)
    columns = (bit * nats, bit * entropy, np.maximum.reduceat(trace.rank, starts), np.exp(-nats))
    numbers = zip(*(column.tolist() for column in columns), strict=True)
    return [Span(text, bits, expected, rank, probability, stop - 1)
            for (text, _, stop), (bits, expected, rank, probability) in zip(found, numbers, strict=True)]


def unit_name(unit: int, hidden_size: int) -> str:
    """Return a unit's name, LAYER:INDEX.

    >>> unit_name(0, 128), unit_name(265, 128)
    ('1:0', '3:9')
    """
    return f"{unit // hidden_size + 1}:{unit % hidden_size}"


class _UnitNetwork:
    """A network whose logits (B, T, V) are followed by the activations of some units, (B, T, V + U).

    So units travel through whatever reads texts and measures logits.
    """

    def __init__(self, network: NumpyNetwork, units: Sequence[int]):
        self._network, self._units = network, np.array(units, np.int64)
        self.config, self.start, self.encode = network.config, network.start, network.encode

    def step(self, tokens: IntArray, state: Any) -> tuple[FloatArray, State]:
        """Read tokens (B, T); return logits and activations (B, T, V + U), and the new state."""
        logits, state, recording = self._network.step_recorded(tokens, state)
        units = np.concatenate(recording.units, axis=1)                     # (B, T, L, H)
        return np.concatenate([logits, units.reshape(*logits.shape[:2], -1)[..., self._units]], axis=2), state


def _likeliest(values: FloatArray, count: int) -> IntArray:
    """Return the indices (..., count) of the largest values (..., V), in descending order."""
    kept = np.argpartition(-values, max(count - 1, 0), axis=-1)[..., :count]
    order = np.argsort(-np.take_along_axis(values, kept, axis=-1), axis=-1, kind="stable")
    best: IntArray = np.take_along_axis(kept, order, axis=-1)
    return best


def _details(vocabulary: int, top: int) -> Measure:
    """Return a measure (..., 3 + 2K + U): nats, entropy, rank, K ids, their probabilities, and any activations."""
    def measure(logits: FloatArray, targets: IntArray, tokenizer: Tokenizer) -> FloatArray:
        logs = log_softmax(logits[..., :vocabulary])
        odds = np.exp(logs)
        found = np.take_along_axis(logs, targets[..., None], axis=-1)
        nats = -found[..., 0]
        if tokenizer.unknown_id is not None:    # as in `token_nats`
            nats[targets == tokenizer.unknown_id] += tokenizer.unknown_surprisal
        entropy = -np.multiply(odds, logs, out=np.zeros_like(odds), where=odds > 0).sum(axis=-1)
        rank = 1 + (logs > found).sum(axis=-1)
        best = _likeliest(logs, top)
        return np.concatenate([nats[..., None], entropy[..., None], rank[..., None], best,
                               np.take_along_axis(odds, best, axis=-1), logits[..., vocabulary:]], axis=-1)
    return measure


class Tracer(Scorer):
    """A scorer that traces: each text on its own, all as one text (`carry`), or lines with a model of lines.

    What it says of surprisal is what the scorers of `line_scoring` say.
    """

    def __init__(self, network: Network, tokenizer: Tokenizer, labels: Labels | None = None, *, lines: bool = False,
                 carry: bool = False, top: int = 0, units: Sequence[int] = (), workers: int = 1):
        config = network.config
        self._tokenizer, self._labels, self._vocabulary = tokenizer, labels, config.vocabulary_size
        self._label_scorer = labels and LabelScorer(network, tokenizer, labels)
        self._top, self._unit_names = min(top, self._vocabulary), tuple(unit_name(u, config.hidden_size) for u in units)
        if units and isinstance(network, NumpyNetwork):
            network = _UnitNetwork(network, units)
        self._network, self._measure = network, _details(self._vocabulary, self._top)
        self._reader = CarriedReader(network, tokenizer, self._measure, workers=workers) if carry else None
        self.includes_line_end = not lines

    def score(self, texts: Sequence[str]) -> list[Trace]:
        """Return the trace of each text; with labels, an empty line costs nothing. Raises CorpusError."""
        if self._reader is not None:
            return [self._trace(text, ids, columns) for text, ids, columns in self._carried(texts)]
        if self.includes_line_end:
            start = [self._tokenizer.start_id]
            # The id at the end is only there so that the last token is read, too.
            rows = [np.concatenate([start, self._tokenizer.encode(text), [0]]).astype(np.int64) for text in texts]
            return [self._trace(text, row[1:-1], columns)
                    for text, row, columns in zip(texts, rows, self._rows(rows), strict=True)]
        if problem := next(filter(None, map(self.problem, texts)), ""):
            raise CorpusError(problem)
        traces = iter(self._lines([text for text in texts if text or not self._labels]))
        return [next(traces) if text or not self._labels else self._trace("", np.zeros(0, np.int64), np.zeros(0))
                for text in texts]

    def with_next_place(self, text: str) -> Trace:
        """Return a trace of a text, or of the beginning of a line, whose last place is the one after it."""
        return self.score([text + NEWLINE])[0] if self.includes_line_end else self._lines([text])[0]

    def problem(self, text: str) -> str:
        """Return an error message if the line's label is unknown, else an empty string."""
        return self._label_scorer.problem(text) if self._label_scorer else ""

    def _rows(self, rows: Sequence[IntArray]) -> list[FloatArray]:
        return score_rows(self._network, self._tokenizer, rows, measure=self._measure)

    def _carried(self, texts: Sequence[str]) -> Iterator[tuple[str, IntArray, FloatArray]]:
        rows = [self._tokenizer.encode(text).astype(np.int64) for text in texts]
        if self._reader is not None and rows:
            columns = self._reader.read(np.concatenate(rows))
            at = 0
            for text, row in zip(texts, rows, strict=True):
                yield text, row, columns[at:at + len(row) + 1]      # one more, for the units after the last token
                at += len(row)

    def _lines(self, texts: Sequence[str]) -> list[Trace]:
        split = [text.partition(TAB) if self._labels and TAB in text else ("", "", text) for text in texts]
        rows = [with_bos_eos(self._tokenizer, self._tokenizer.encode(text),
                             self._labels.index(label) if self._labels and label else None) for label, _, text in split]
        mixed = [bool(self._labels) and not tab for _, tab, _ in split]
        given = iter(self._rows([row for row, free in zip(rows, mixed, strict=True) if not free]))
        return [self._trace(text + NEWLINE, row[1:], self._mixture(row) if free else next(given))
                for (_, _, text), row, free in zip(split, rows, mixed, strict=True)]

    def _mixture(self, row: IntArray) -> FloatArray:
        """Return the measure of one line under the mixture of all labels, weighted by their posterior so far."""
        labels = self._labels.log_prior() if self._labels else np.zeros(1)
        state, joint, measured = self._network.start(len(labels)), labels, []
        window = min(max(LOGITS // self._vocabulary // len(labels), 1), WINDOW)
        for at in range(0, len(row) - 1, window):
            targets = row[at + 1:at + 1 + window]
            read = np.tile(row[at:at + len(targets)], (len(labels), 1))
            if not at:
                read[:, 0] = label_id(self._tokenizer, 0) + np.arange(len(labels))
            logits, state = self._network.step(read, state)
            logs = log_softmax(logits[..., :self._vocabulary])                          # (L, T, V)
            steps = np.take_along_axis(logs, np.tile(targets, (len(labels), 1))[..., None], axis=2)[..., 0]
            joints = joint[:, None] + np.concatenate([np.zeros((len(labels), 1)), steps.cumsum(axis=1)], axis=1)
            weights = np.exp(joints - joints.max(axis=0))
            weights /= weights.sum(axis=0)
            joint = joints[:, -1]
            with np.errstate(divide="ignore"):
                mixed = np.log(np.einsum("lt,ltv->tv", weights[:, :-1], np.exp(logs)))
            units = np.einsum("lt,ltu->tu", weights[:, :-1], logits[..., self._vocabulary:])
            measured.append(self._measure(np.concatenate([mixed, units], axis=1)[None], targets[None],
                                          self._tokenizer)[0])
        return np.concatenate(measured)

    def _trace(self, text: str, ids: IntArray, columns: FloatArray) -> Trace:
        """Return a trace from the measure (T, C) of its tokens, or (T + 1, C) with activations after the last one."""
        count, top, width = len(ids), self._top, _FIXED + 2 * self._top + len(self._unit_names)
        columns = columns.reshape(-1, width)
        units = np.full((count, len(self._unit_names)), np.nan, np.float32)
        after = columns[1:count + 1, _FIXED + 2 * top:]
        units[:len(after)] = after
        columns = columns[:count]
        return Trace(text, ids, columns[:, 0], columns[:, 1], columns[:, 2].astype(np.int64),
                     columns[:, _FIXED:_FIXED + top].astype(np.int64), columns[:, _FIXED + top:_FIXED + 2 * top],
                     units, self._unit_names)


class PairTracer(Tracer):
    """A tracer of the targets in lines of `source<TAB>target`, with the same surprisal as `PairScorer`."""

    def __init__(self, network: Network, tokenizer: Tokenizer, source_tokenizer: Tokenizer, *, top: int = 0,
                 units: Sequence[int] = ()):
        super().__init__(network, tokenizer, lines=True, top=top, units=units)
        self._pairs = PairReader(self._network, tokenizer, source_tokenizer)

    def score(self, texts: Sequence[str]) -> list[Trace]:
        """Return the trace of each line's target; a blank line costs nothing. Raises CorpusError."""
        sources, targets = split_pairs([text for text in texts if text])
        rows = self._pairs.rows(targets)
        traces = iter([self._trace(target + NEWLINE, row[1:], columns) for target, row, columns in zip(
            targets, rows, self._pairs.read(sources, rows, measure=self._measure), strict=True)])
        return [next(traces) if text else self._trace("", np.zeros(0, np.int64), np.zeros(0)) for text in texts]

    def problem(self, text: str) -> str:
        """Return the reason why a line is not a pair, or an empty string."""
        return problem_of(text)
