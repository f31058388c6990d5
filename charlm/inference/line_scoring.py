"""Surprisal of lines: each independently, all as one text with carried state, or by a model of lines.

    scorer = make_scorer(network, tokenizer)
    for score in scorer.score(["one line\\n", "another\\n"]): score.bits_per_character
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from charlm.contract import FloatArray, IntArray, Network, Tokenizer
from charlm.inference.classification import LabelScorer
from charlm.inference.scoring import nats_to_bits, score_rows
from charlm.inference.text_scoring import StatefulReader
from charlm.text.labels import Labels
from charlm.text.special_tokens import with_bos_eos
from charlm.text.tokenizers.base import NEWLINE, token_spans


@dataclass(frozen=True, eq=False, repr=False)
class TextScore:
    """The surprisal of a text, token by token."""

    text: str                           # with its line break, if that was scored
    ids: IntArray                       # (T,)
    nats: FloatArray                    # (T,)

    def __repr__(self) -> str:
        """Return the kind, the text and the figures, so that an interpreter does not print pages of arrays."""
        return (f"<{type(self).__name__} of {reprlib.repr(self.text)}: {self.bits:.2f} bits, "
                f"{self.bits_per_character:.4f} per character>")

    @property
    def characters(self) -> int:
        """The number of characters of the text."""
        return len(self.text)

    @property
    def bits(self) -> float:
        """The surprisal of the whole text."""
        return nats_to_bits(float(self.nats.sum()))

    @property
    def bits_per_character(self) -> float:
        """The bits over the number of characters; 0 for an empty text."""
        return self.bits / max(self.characters, 1)


def bits_by_span(score: TextScore, tokenizer: Tokenizer) -> Iterator[tuple[str, float]]:
    """Yield the smallest spans of the text that correspond to whole tokens, with the bits of each."""
    for text, first, stop in spans(score, tokenizer):
        yield text, nats_to_bits(float(score.nats[first:stop].sum()))


def spans(score: TextScore, tokenizer: Tokenizer) -> Iterator[tuple[str, int, int]]:
    """Yield the smallest spans of the text that correspond to whole tokens, each with its first token and its stop."""
    at = 0
    ids = score.ids[score.ids < tokenizer.size].tolist()
    for text, count in token_spans(tokenizer, score.text, ids):
        yield text, at, at + count
        at += count
    if at < len(score.nats):
        yield NEWLINE, at, len(score.nats)      # the end of the line, an id of no tokenizer


class Scorer(Protocol):
    """Scores texts in order."""

    includes_line_end: bool = True      # a line break belongs to the text of its line

    def score(self, texts: Sequence[str]) -> Sequence[TextScore]:
        """Return the score of each text. Raises CorpusError for a text that has a `problem`."""

    def problem(self, text: str) -> str:
        """Return the reason why a text cannot be scored, or an empty string."""
        return ""


class IndependentScorer(Scorer):
    """Scores each text independently, as if it were the beginning of a text: after the start token."""

    def __init__(self, network: Network, tokenizer: Tokenizer):
        self._network, self._tokenizer = network, tokenizer

    def score(self, texts: Sequence[str]) -> list[TextScore]:
        """Return the score of each text."""
        start = [self._tokenizer.start_id]
        rows = [np.concatenate([start, self._tokenizer.encode(text)]).astype(np.int64) for text in texts]
        nats = score_rows(self._network, self._tokenizer, rows)
        return [TextScore(text, row[1:], costs) for text, row, costs in zip(texts, rows, nats, strict=True)]


class CarriedScorer(Scorer):
    """Scores consecutive texts, which end where tokens do, as one text; each call continues from the one before."""

    def __init__(self, network: Network, tokenizer: Tokenizer):
        self._reader, self._tokenizer = StatefulReader(network, tokenizer), tokenizer

    def score(self, texts: Sequence[str]) -> list[TextScore]:
        """Return the score of each text, given all texts before it."""
        rows = [self._tokenizer.encode(text).astype(np.int64) for text in texts]
        if not rows:
            return []
        nats = self._reader.nats(np.concatenate(rows))
        ends = np.cumsum([len(row) for row in rows])
        return [TextScore(*score) for score in zip(texts, rows, np.split(nats, ends[:-1]), strict=True)]


NOTHING = TextScore("", np.zeros(0, np.int64), np.zeros(0))         # for blank lines, which training ignores


def _line_scores(texts: Sequence[str], rows: Sequence[IntArray], nats: Sequence[FloatArray]) -> list[TextScore]:
    """Return the scores of whole lines from their `with_bos_eos` rows."""
    return [TextScore(text + NEWLINE, row[1:], costs) for text, row, costs in zip(texts, rows, nats, strict=True)]


class LineScorer(Scorer):
    """Scores lines, given without line breaks, with a model of lines; the end of a line counts as one character.

    If the model has labels, `label<TAB>text` is scored given its label, and a text without a tab is scored under the
    mixture of all labels, weighted by their frequency in training. Blank lines then cost nothing: training ignored
    them, too.
    """

    includes_line_end = False

    def __init__(self, network: Network, tokenizer: Tokenizer, labels: Labels | None):
        self._network, self._tokenizer = network, tokenizer
        self._label_scorer = labels and LabelScorer(network, tokenizer, labels)

    def score(self, texts: Sequence[str]) -> list[TextScore]:
        """Return the score of each line. Raises CorpusError for an unknown label."""
        if self._label_scorer:
            scores = iter(_line_scores(*self._label_scorer.score([text for text in texts if text])))
            return [next(scores) if text else NOTHING for text in texts]
        rows = [with_bos_eos(self._tokenizer, self._tokenizer.encode(text)) for text in texts]
        return _line_scores(texts, rows, score_rows(self._network, self._tokenizer, rows))

    def problem(self, text: str) -> str:
        """Return an error message if the line's label is unknown, else an empty string."""
        return self._label_scorer.problem(text) if self._label_scorer else ""


def make_scorer(network: Network, tokenizer: Tokenizer, labels: Labels | None = None, *, lines: bool = False,
                carry: bool = False) -> Scorer:
    """Return the scorer of a model of lines (`lines`) or of running text, which can carry its state across texts."""
    if lines:
        return LineScorer(network, tokenizer, labels)
    return CarriedScorer(network, tokenizer) if carry else IndependentScorer(network, tokenizer)
