"""How surprising lines are: cold, each by itself; carried, as one text; or as a model of lines has them.

    scorer = make_scorer(model, network, carry=False)
    for score in scorer.score(["one line\\n", "another\\n"]): score.bits_per_character

Not here: how the network is run (scoring.py, text_scoring.py), files and their records (cli/).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from charlm.inference.classification import LabelScorer
from charlm.inference.network import Network
from charlm.inference.scoring import score_rows
from charlm.inference.text_scoring import StatefulReader
from charlm.modelfile import Model
from charlm.text.labels import Labels
from charlm.text.special_tokens import with_bos_eos
from charlm.text.tokenizers.base import NEWLINE, Tokenizer, token_spans

_BITS = 1 / math.log(2)


@dataclass(frozen=True, eq=False)
class TextScore:
    """How surprising a text is, token by token."""

    text: str                           # its end included, if that was scored
    ids: np.ndarray                     # (T,)
    nats: np.ndarray                    # (T,)

    @property
    def characters(self) -> int:
        return len(self.text)

    @property
    def bits(self) -> float:
        return float(self.nats.sum()) * _BITS

    @property
    def bits_per_character(self) -> float:
        """Zero for no text at all."""
        return self.bits / max(self.characters, 1)


def bits_by_span(score: TextScore, tokenizer: Tokenizer) -> Iterator[tuple[str, float]]:
    """The text in the smallest parts that its tokens stand for, and the bits of each."""
    bits, at = score.nats * _BITS, 0
    ids = score.ids[score.ids < tokenizer.size].tolist()
    for text, count in token_spans(tokenizer, score.text, ids):
        yield text, float(bits[at:at + count].sum())
        at += count
    if at < len(bits):
        yield NEWLINE, float(bits[at:].sum())               # the end of a line, which is no token


class Scorer(Protocol):
    """Scores texts in the order in which they stand."""

    includes_line_end: bool                    # whether the end of a line belongs to its text

    def score(self, texts: Sequence[str]) -> list[TextScore]: ...

    def problem(self, text: str) -> str:
        """What keeps a text from being scored; nothing when nothing does."""


class _Any:
    """What scores whatever text there is."""

    includes_line_end = True

    def problem(self, text: str) -> str:
        return ""


class IndependentScorer(_Any):
    """Texts one apart from the other, each as if it stood at the beginning: after the start token."""

    def __init__(self, network: Network, tokenizer: Tokenizer):
        self._network, self._tokenizer = network, tokenizer

    def score(self, texts: Sequence[str]) -> list[TextScore]:
        start = [self._tokenizer.start_id]
        rows = [np.concatenate([start, self._tokenizer.encode(text)]).astype(np.int64) for text in texts]
        nats = score_rows(self._network, self._tokenizer, rows)
        return [TextScore(text, row[1:], own) for text, row, own in zip(texts, rows, nats)]


class CarriedScorer(_Any):
    """Texts that follow each other, as if they were one; each call goes on from the one before.

    A text must end where tokens do, as at the end of a line.
    """

    def __init__(self, network: Network, tokenizer: Tokenizer):
        self._reading, self._tokenizer = StatefulReader(network, tokenizer), tokenizer

    def score(self, texts: Sequence[str]) -> list[TextScore]:
        rows = [self._tokenizer.encode(text).astype(np.int64) for text in texts]
        if not rows:
            return []
        nats = self._reading.nats(np.concatenate(rows))
        ends = np.cumsum([len(row) for row in rows])
        return [TextScore(text, row, own) for text, row, own in zip(texts, rows, np.split(nats, ends))]


_NOTHING = TextScore("", np.zeros(0, np.int64), np.zeros(0))


def _scores(texts: Sequence[str], rows: Sequence[np.ndarray], nats: Sequence[np.ndarray]) -> list[TextScore]:
    """Of whole lines, from their with_bos_eos rows."""
    return [TextScore(text + NEWLINE, row[1:], own) for text, row, own in zip(texts, rows, nats)]


class LineScorer:
    """Lines by a model of lines, without their ends: the end always counts, as one character.

    Where lines have labels, `label<TAB>text` is scored given its label, and a text without a tab as
    what all labels together expect, as frequent as they were in training. Blank lines do not count there,
    as in training.
    """

    includes_line_end = False

    def __init__(self, network: Network, tokenizer: Tokenizer, labels: Labels | None):
        self._network, self._tokenizer = network, tokenizer
        self._labelled = labels and LabelScorer(network, tokenizer, labels)

    def score(self, texts: Sequence[str]) -> list[TextScore]:
        if self._labelled:
            written = iter(_scores(*self._labelled.score([text for text in texts if text])))
            return [next(written) if text else _NOTHING for text in texts]
        rows = [with_bos_eos(self._tokenizer, self._tokenizer.encode(text)) for text in texts]
        return _scores(texts, rows, score_rows(self._network, self._tokenizer, rows))

    def problem(self, text: str) -> str:
        return self._labelled.problem(text) if self._labelled else ""


def make_scorer(model: Model, network: Network, *, carry: bool = False) -> Scorer:
    """What scores lines with a model of running text or of lines."""
    if model.task == "lines":
        return LineScorer(network, model.tokenizer, model.labels)
    return (CarriedScorer if carry else IndependentScorer)(network, model.tokenizer)
