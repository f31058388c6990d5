"""Labels of lines by Bayes: what each label expects of a line, and what the line says of its label."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from charlm.errors import CorpusError, UsageError
from charlm.inference.network import Network
from charlm.inference.scoring import score_rows
from charlm.text.labels import Labels
from charlm.text.pairs import TAB
from charlm.text.special import framed
from charlm.text.tokenizer import Tokenizer

ROWS_AT_ONCE = 4096                     # lines times labels


def _log_sum(values: np.ndarray) -> np.ndarray:
    """log(sum(exp(values))) over the first axis."""
    largest = values.max(axis=0)
    return largest + np.log(np.exp(values - largest).sum(axis=0))


class _PerLabel:
    """Nats of texts under every label."""

    def __init__(self, network: Network, tokenizer: Tokenizer, labels: int):
        self._network, self._tokenizer, self._labels = network, tokenizer, labels

    def nats(self, texts: Sequence[str]) -> Iterator[np.ndarray]:
        """Of every token of each text and its end, (L, T)."""
        at_once = max(ROWS_AT_ONCE // self._labels, 1)
        for start in range(0, len(texts), at_once):
            some = [self._tokenizer.encode(text) for text in texts[start:start + at_once]]
            rows = [framed(self._tokenizer, ids, label) for ids in some for label in range(self._labels)]
            nats = score_rows(self._network, self._tokenizer, rows)
            for number in range(len(some)):
                yield np.stack(nats[number * self._labels:(number + 1) * self._labels])


class Classifier:
    """How likely each label is, given a line: p(label) p(line | label), normalised."""

    def __init__(self, network: Network, tokenizer: Tokenizer, labels: Labels, *, uniform_prior: bool = False):
        self.labels = labels
        self._prior = labels.log_prior(uniform=uniform_prior)
        self._per_label = _PerLabel(network, tokenizer, len(labels))

    def posteriors(self, texts: Sequence[str]) -> np.ndarray:
        """Probabilities (N, L) of the labels of N lines."""
        joint = np.array([self._prior - nats.sum(axis=1) for nats in self._per_label.nats(texts)])
        joint = joint.reshape(len(texts), len(self.labels))
        return np.exp(joint - _log_sum(joint.T)[:, None])


class LabelScorer:
    """Scores lines given their label, and lines without one as all labels together expect them."""

    def __init__(self, network: Network, tokenizer: Tokenizer, labels: Labels):
        self._network, self._tokenizer, self._labels = network, tokenizer, labels
        self._per_label = _PerLabel(network, tokenizer, len(labels))

    def score(self, lines: Sequence[str]) -> tuple[list[str], list[np.ndarray], list[np.ndarray]]:
        """The texts of lines, their framed rows, and the nats of every id of each but the first.

        Raises CorpusError for a label that the model does not know.
        """
        split = [line.partition(TAB) if TAB in line else ("", "", line) for line in lines]
        texts = [text for _, _, text in split]
        rows = [framed(self._tokenizer, self._tokenizer.encode(text), self._number(label) if tab else None)
                for label, tab, text in split]
        given = [number for number, (_, tab, _) in enumerate(split) if tab]
        free = [number for number, (_, tab, _) in enumerate(split) if not tab]
        nats = dict(zip(given, score_rows(self._network, self._tokenizer, [rows[number] for number in given])))
        nats |= zip(free, map(self._mixed, self._per_label.nats([texts[number] for number in free])))
        return texts, rows, [nats[number] for number in range(len(lines))]

    def _number(self, label: str) -> int:
        try:
            return self._labels.number(label)
        except UsageError as error:
            raise CorpusError(str(error)) from None

    def _mixed(self, nats: np.ndarray) -> np.ndarray:
        """-log p of each token (T,) under all labels, from those under each (L, T).

        What was read so far tells which labels are likely: p(x_t | x_<t) = p(x_<=t) / p(x_<t).
        """
        prior = self._labels.log_prior()
        joint = np.concatenate([prior[:, None], prior[:, None] - nats.cumsum(axis=1)], axis=1)
        return -np.diff(_log_sum(joint))
