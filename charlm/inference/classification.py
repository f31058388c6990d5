"""Classification of lines by Bayes' rule: p(label | line) is proportional to p(label) p(line | label)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from charlm.contract import FloatArray, IntArray, Network, Tokenizer
from charlm.errors import CorpusError, UsageError
from charlm.inference.scoring import LOGITS, WINDOW, score_rows, token_nats
from charlm.text.labels import Labels
from charlm.text.special_tokens import eos_id, label_id, with_bos_eos
from charlm.text.tsv import TAB

ROWS_AT_ONCE = 4096                     # lines times labels
LONG = 2048                             # tokens from which on a line is read separately


def _log_sum(values: FloatArray) -> FloatArray:
    """Return log(sum(exp(values))) over the first axis."""
    largest = values.max(axis=0)
    log_sum: FloatArray = largest + np.log(np.exp(values - largest).sum(axis=0))
    return log_sum


class _PerLabel:
    """Scores texts under every label."""

    def __init__(self, network: Network, tokenizer: Tokenizer, labels: int):
        self._network, self._tokenizer, self._labels = network, tokenizer, labels

    def nats(self, texts: Sequence[str]) -> Iterator[Iterable[FloatArray]]:
        """Yield for each text the nats of every token and the end, in blocks (L, T): one, or several if it is long."""
        ids = [self._tokenizer.encode(text) for text in texts]
        batch_size = max(ROWS_AT_ONCE // self._labels, 1)
        for start in range(0, len(ids), batch_size):
            batch = ids[start:start + batch_size]
            short = iter(self._side_by_side([row for row in batch if len(row) < LONG]))
            for row in batch:
                yield [next(short)] if len(row) < LONG else self._window_by_window(row)

    def _side_by_side(self, ids: Sequence[IntArray]) -> list[FloatArray]:
        rows = [with_bos_eos(self._tokenizer, row, label) for row in ids for label in range(self._labels)]
        nats = score_rows(self._network, self._tokenizer, rows)
        return [np.stack(nats[start:start + self._labels]) for start in range(0, len(rows), self._labels)]

    def _window_by_window(self, ids: IntArray) -> Iterator[FloatArray]:
        """Read a text under all labels side by side, one window at a time; yield the nats (L, T) of each window."""
        inputs = np.concatenate([[0], ids]).astype(np.int64)
        targets = np.concatenate([ids, [eos_id(self._tokenizer)]]).astype(np.int64)
        state = self._network.start(self._labels)
        window = min(max(LOGITS // self._tokenizer.size // self._labels, 1), WINDOW)
        for start in range(0, len(inputs), window):
            read, predicted = (np.tile(row[start:start + window], (self._labels, 1)) for row in (inputs, targets))
            if not start:
                read[:, 0] = label_id(self._tokenizer, 0) + np.arange(self._labels)
            logits, state = self._network.step(read, state)
            yield token_nats(logits, predicted, self._tokenizer)


class Classifier:
    """Computes the posterior probabilities of the labels, p(label) p(line | label) normalised over the labels."""

    def __init__(self, network: Network, tokenizer: Tokenizer, labels: Labels, *, uniform_prior: bool = False):
        self.labels = labels
        self._log_prior = labels.log_prior(uniform=uniform_prior)
        self._per_label = _PerLabel(network, tokenizer, len(labels))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the labels."""
        return self.labels.names

    def problem(self, text: str) -> str:
        """Return an empty string: every text has labels."""
        return ""

    def posteriors(self, texts: Sequence[str]) -> FloatArray:
        """Return the probabilities (N, L) of the labels of N lines."""
        joint = np.array([self._log_prior - sum(nats.sum(axis=1) for nats in blocks)
                          for blocks in self._per_label.nats(texts)])
        joint = joint.reshape(len(texts), len(self.labels))
        return np.exp(joint - _log_sum(joint.T)[:, None])


class LabelScorer:
    """Scores lines given their label, and lines without one under the mixture of all labels."""

    def __init__(self, network: Network, tokenizer: Tokenizer, labels: Labels):
        self._network, self._tokenizer, self._labels = network, tokenizer, labels
        self._per_label = _PerLabel(network, tokenizer, len(labels))

    def score(self, lines: Sequence[str]) -> tuple[list[str], list[IntArray], list[FloatArray]]:
        """Return lines' texts, `with_bos_eos` rows, and the nats of all ids but the first. Raises CorpusError."""
        if problem := next(filter(None, map(self.problem, lines)), ""):
            raise CorpusError(problem)
        split = [line.partition(TAB) if TAB in line else ("", "", line) for line in lines]
        texts = [text for _, _, text in split]
        rows = [with_bos_eos(self._tokenizer, self._tokenizer.encode(text), self._labels.index(label) if tab else None)
                for label, tab, text in split]
        given = [at for at, (_, tab, _) in enumerate(split) if tab]
        free = [at for at, (_, tab, _) in enumerate(split) if not tab]
        nats = dict(zip(given, score_rows(self._network, self._tokenizer, [rows[at] for at in given]), strict=True))
        nats |= zip(free, map(self._mixed, self._per_label.nats([texts[at] for at in free])), strict=True)
        return texts, rows, [nats[at] for at in range(len(lines))]

    def problem(self, line: str) -> str:
        """Return an error message if the line's label is unknown, else an empty string."""
        label, tab, _ = line.partition(TAB)
        try:
            if tab:
                self._labels.index(label)
        except UsageError as error:
            return str(error)
        return ""

    def _mixed(self, blocks: Iterable[FloatArray]) -> FloatArray:
        """Return -log p of each token (T,) under the mixture of labels, from the nats under each, in blocks (L, T).

        p(x_t | x_<t) = p(x_<=t) / p(x_<t), where p(x) is the sum over labels of p(label) p(x | label).
        """
        mixed, joint = [], self._labels.log_prior()[:, None]
        for nats in blocks:
            prefixes = np.concatenate([joint, joint - nats.cumsum(axis=1)], axis=1)
            mixed.append(-np.diff(_log_sum(prefixes)))
            joint = prefixes[:, -1:]
        return np.concatenate(mixed)
