"""Surprisal under a model that learns from what it has read: each token is scored before it is learned from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from charlm.adaptation.adapter import Adapter
from charlm.adaptation.exact import Floats
from charlm.adaptation.head import quantise_states
from charlm.contract import BoolArray, FloatArray, IntArray, Tokenizer
from charlm.errors import CorpusError
from charlm.inference.line_scoring import Scorer, TextScore
from charlm.inference.network import Network
from charlm.inference.scoring import LOGITS, ROWS, WINDOW, add_unknown, token_nats
from charlm.text.examples import batch_by_length, padded
from charlm.text.labels import Labels
from charlm.text.special_tokens import with_bos_eos
from charlm.text.tokenizers.base import NEWLINE
from charlm.text.tsv import TAB

STATES = 4_000_000                      # hidden states in memory at once, as numbers
Rows = Sequence[IntArray]


class AdaptiveReader:
    """Reads one text piece by piece, carries the network's state, and learns."""

    def __init__(self, network: Network, tokenizer: Tokenizer, adapter: Adapter):
        self._network, self._tokenizer, self._adapter = network, tokenizer, adapter
        self._window = min(WINDOW, max(LOGITS // tokenizer.size, 1))
        self.restart(tokenizer.start_id)

    def restart(self, start: int) -> None:
        """Begin a new text after this id."""
        self._state, self._before = self._network.start(1), start
        self._adapter.restart()

    def nats(self, ids: IntArray) -> FloatArray:
        """Read the next piece (T,); return the nats of every token, (T,)."""
        pieces = [adapted for _, adapted in self._read(ids)]
        return np.concatenate(pieces) if pieces else np.zeros(0)

    def both(self, ids: IntArray) -> tuple[FloatArray, FloatArray]:
        """Read the next piece (T,); return the nats of every token without and with adaptation."""
        pieces = [(token_nats(self._network.logits(hidden)[0], ids[at], self._tokenizer), adapted)
                  for (hidden, adapted), at in zip(self._read(ids), self._windows(len(ids)), strict=True)]
        static, adapted = zip(*pieces, strict=True) if pieces else ([np.zeros(0)],) * 2
        return np.concatenate(static), np.concatenate(adapted)

    def _windows(self, length: int) -> Iterator[slice]:
        return (slice(start, min(start + self._window, length)) for start in range(0, length, self._window))

    def _read(self, ids: IntArray) -> Iterator[tuple[FloatArray, FloatArray]]:
        """Yield the hidden states (1, t, H) and adapted nats (t,) of each window."""
        for at in self._windows(len(ids)):
            targets = ids[at]
            inputs = np.concatenate([[self._before], targets[:-1]]).astype(np.int64)
            hidden, self._state = self._network.hidden(inputs[None], self._state)
            self._before = targets[-1]
            yield hidden, add_unknown(self._adapter.nats(quantise_states(hidden[0]), targets), targets, self._tokenizer)


class AdaptiveCarriedScorer(Scorer):
    """Scores consecutive texts, which end where tokens do, as one text."""

    def __init__(self, network: Network, tokenizer: Tokenizer, adapter: Adapter):
        self._reader, self._tokenizer = AdaptiveReader(network, tokenizer, adapter), tokenizer

    def score(self, texts: Sequence[str]) -> list[TextScore]:
        """Return the score of each text, given all texts before it."""
        rows = [self._tokenizer.encode(text).astype(np.int64) for text in texts]
        return [TextScore(text, row, self._reader.nats(row)) for text, row in zip(texts, rows, strict=True)]


class AdaptiveRowScorer(Scorer):
    """Scores each text from an empty state, with what was learned from all texts before it."""

    def __init__(self, network: Network, tokenizer: Tokenizer, adapter: Adapter):
        self._network, self._tokenizer, self._adapter = network, tokenizer, adapter
        self._reader = AdaptiveReader(network, tokenizer, adapter)

    def score(self, texts: Sequence[str]) -> list[TextScore]:
        """Return the score of each text."""
        start = [self._tokenizer.start_id]
        rows = [np.concatenate([start, self._tokenizer.encode(text)]).astype(np.int64) for text in texts]
        return [TextScore(text, row[1:], nats) for text, row, nats in zip(texts, rows, self.nats(rows), strict=True)]

    def nats(self, rows: Rows) -> Iterator[FloatArray]:
        """Yield the nats of every id of each row except the first, which is only read."""
        width = self._network.config.hidden_size
        for group in _groups(rows, max(STATES // width, WINDOW)):
            if len(group) == 1:
                self._reader.restart(int(group[0][0]))
                yield self._reader.nats(group[0][1:])
                continue
            targets = np.concatenate([row[1:] for row in group])
            states = np.concatenate(row_states(self._network, group))
            nats = add_unknown(self._adapter.nats(states, targets, start_mask(group)), targets, self._tokenizer)
            yield from np.split(nats, np.cumsum([len(row) - 1 for row in group[:-1]]))


class AdaptiveLineScorer(AdaptiveRowScorer):
    """Scores lines, given without line breaks, with a model of lines; labelled ones given their labels."""

    includes_line_end = False

    def __init__(self, network: Network, tokenizer: Tokenizer, adapter: Adapter, labels: Labels | None):
        super().__init__(network, tokenizer, adapter)
        self._labels = labels

    def score(self, texts: Sequence[str]) -> list[TextScore]:
        """Return the score of each line. Raises CorpusError for a line that has a `problem`."""
        if problem := next(filter(None, map(self.problem, texts)), ""):
            raise CorpusError(problem)
        split = [text.partition(TAB) if self._labels else ("", "", text) for text in texts]
        rows = [with_bos_eos(self._tokenizer, self._tokenizer.encode(text),
                             self._labels.index(label) if self._labels else None) for label, _, text in split]
        return [TextScore(text + NEWLINE, row[1:], nats)
                for (_, _, text), row, nats in zip(split, rows, self.nats(rows), strict=True)]

    def problem(self, text: str) -> str:
        """Return an error message if the line has no label that the model knows, else an empty string."""
        if self._labels is None:
            return ""
        label, tab, _ = text.partition(TAB)
        if not tab:
            return "with --adapt a line needs its label: label<TAB>text"
        return "" if label in self._labels.names else f"label {label!r} is not one of the model's"


def row_states(network: Network, rows: Rows) -> list[Floats]:
    """Return the scaled hidden states (T, H) after every id but the last of each row (T + 1,)."""
    lengths = np.array([len(row) - 1 for row in rows])
    order = np.argsort(lengths, kind="stable")
    states: list[Floats] = [np.zeros((0, network.config.hidden_size))] * len(rows)
    for batch in batch_by_length(lengths[order], ROWS):
        indices = order[batch]
        ids = padded([rows[index] for index in indices], 0)[:, :-1]
        state, pieces = network.start(len(ids)), []
        for start in range(0, ids.shape[1], WINDOW):
            hidden, state = network.hidden(ids[:, start:start + WINDOW], state)
            pieces.append(quantise_states(hidden))
        for at, index in enumerate(indices):
            if lengths[index]:
                states[index] = np.concatenate([piece[at] for piece in pieces])[:lengths[index]]
    return states


def start_mask(rows: Rows) -> BoolArray:
    """Return a mask of the ids of all rows but their first: True for the first one that is left of each row."""
    lengths = np.array([len(row) - 1 for row in rows])
    mask = np.zeros(int(lengths.sum()) + 1, bool)
    mask[np.cumsum(lengths) - lengths] = True
    return mask[:-1]


def _groups(rows: Rows, tokens: int) -> Iterator[list[IntArray]]:
    """Yield consecutive rows with at most this many tokens in all; a row of more than WINDOW is alone."""
    group: list[IntArray] = []
    for row in rows:
        if group and (len(row) > WINDOW or sum(map(len, group)) + len(row) > tokens):
            yield group
            group = []
        group.append(row)
        if len(row) > WINDOW:
            yield group
            group = []
    if group:
        yield group


def make_adaptive_scorer(network: Network, tokenizer: Tokenizer, adapter: Adapter, labels: Labels | None = None, *,
                         lines: bool = False, carry: bool = False) -> Scorer:
    """Return the adaptive counterpart of `charlm.inference.line_scoring.make_scorer`."""
    if lines:
        return AdaptiveLineScorer(network, tokenizer, adapter, labels)
    scorer: Callable[..., Scorer] = AdaptiveCarriedScorer if carry else AdaptiveRowScorer
    return scorer(network, tokenizer, adapter)
