"""Labels of lines by Bayes: what each label expects of a line, and what the line says of its label."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from charlm.errors import CorpusError, UsageError
from charlm.inference.network import Network
from charlm.inference.scoring import LOGITS, WINDOW, score_rows, token_nats
from charlm.text.labels import Labels
from charlm.text.special_tokens import eos_id, label_id, with_bos_eos
from charlm.text.tokenizers.base import Tokenizer
from charlm.text.tsv import TAB

ROWS_AT_ONCE = 4096                     # lines times labels
LONG = 2048                             # tokens of a line from which on it is read by itself


def _log_sum(values: np.ndarray) -> np.ndarray:
    """log(sum(exp(values))) over the first axis."""
    largest = values.max(axis=0)
    return largest + np.log(np.exp(values - largest).sum(axis=0))


class _PerLabel:
    """Nats of texts under every label."""

    def __init__(self, network: Network, tokenizer: Tokenizer, labels: int):
        self._network, self._tokenizer, self._labels = network, tokenizer, labels

    def nats(self, texts: Sequence[str]) -> Iterator[Iterable[np.ndarray]]:
        """Of every token of each text and its end, in blocks (L, T): one block, or several of a long text."""
        ids = [self._tokenizer.encode(text) for text in texts]
        at_once = max(ROWS_AT_ONCE // self._labels, 1)
        for start in range(0, len(ids), at_once):
            some = ids[start:start + at_once]
            short = [own for own in some if len(own) < LONG]
            nats = iter(self._side_by_side(short))
            for own in some:
                yield [next(nats)] if len(own) < LONG else self._window_by_window(own)

    def _side_by_side(self, ids: Sequence[np.ndarray]) -> list[np.ndarray]:
        rows = [with_bos_eos(self._tokenizer, own, label) for own in ids for label in range(self._labels)]
        nats = score_rows(self._network, self._tokenizer, rows)
        return [np.stack(nats[number:number + self._labels]) for number in range(0, len(rows), self._labels)]

    def _window_by_window(self, ids: np.ndarray) -> Iterator[np.ndarray]:
        """All labels read the text together, a window at a time, their states carried."""
        inputs = np.concatenate([[0], ids]).astype(np.int64)
        targets = np.concatenate([ids, [eos_id(self._tokenizer)]]).astype(np.int64)
        begins = label_id(self._tokenizer, np.arange(self._labels))
        state = self._network.start(self._labels)
        window = min(max(LOGITS // self._tokenizer.size // self._labels, 1), WINDOW)
        for start in range(0, len(inputs), window):
            stop = start + window
            read = np.tile(inputs[start:stop], (self._labels, 1))
            if not start:
                read[:, 0] = begins
            written = np.tile(targets[start:stop], (self._labels, 1))
            logits, state = self._network.step(read, state)
            yield token_nats(logits, written, self._tokenizer)


class Classifier:
    """How likely each label is, given a line: p(label) p(line | label), normalised."""

    def __init__(self, network: Network, tokenizer: Tokenizer, labels: Labels, *, uniform_prior: bool = False):
        self.labels = labels
        self._prior = labels.log_prior(uniform=uniform_prior)
        self._per_label = _PerLabel(network, tokenizer, len(labels))

    def posteriors(self, texts: Sequence[str]) -> np.ndarray:
        """Probabilities (N, L) of the labels of N lines."""
        joint = np.array([self._prior - sum(nats.sum(axis=1) for nats in blocks)
                          for blocks in self._per_label.nats(texts)])
        joint = joint.reshape(len(texts), len(self.labels))
        return np.exp(joint - _log_sum(joint.T)[:, None])


class LabelScorer:
    """Scores lines given their label, and lines without one as all labels together expect them."""

    def __init__(self, network: Network, tokenizer: Tokenizer, labels: Labels):
        self._network, self._tokenizer, self._labels = network, tokenizer, labels
        self._per_label = _PerLabel(network, tokenizer, len(labels))

    def score(self, lines: Sequence[str]) -> tuple[list[str], list[np.ndarray], list[np.ndarray]]:
        """The texts of lines, their with_bos_eos rows, and the nats of every id of each but the first.

        Raises CorpusError for a label that the model does not know.
        """
        split = [line.partition(TAB) if TAB in line else ("", "", line) for line in lines]
        texts = [text for _, _, text in split]
        rows = [with_bos_eos(self._tokenizer, self._tokenizer.encode(text), self._number(label) if tab else None)
                for label, tab, text in split]
        given = [number for number, (_, tab, _) in enumerate(split) if tab]
        free = [number for number, (_, tab, _) in enumerate(split) if not tab]
        nats = dict(zip(given, score_rows(self._network, self._tokenizer, [rows[number] for number in given])))
        nats |= zip(free, map(self._mixed, self._per_label.nats([texts[number] for number in free])))
        return texts, rows, [nats[number] for number in range(len(lines))]

    def problem(self, line: str) -> str:
        """That a line has a label which the model does not know; nothing when it has none or another."""
        label, tab, _ = line.partition(TAB)
        try:
            if tab:
                self._labels.index(label)
        except UsageError as error:
            return str(error)
        return ""

    def _number(self, label: str) -> int:
        try:
            return self._labels.index(label)
        except UsageError as error:
            raise CorpusError(str(error)) from None

    def _mixed(self, blocks: Iterable[np.ndarray]) -> np.ndarray:
        """-log p of each token (T,) under all labels, from those under each, in blocks (L, T).

        What was read so far tells which labels are likely: p(x_t | x_<t) = p(x_<=t) / p(x_<t).
        """
        mixed, joint = [], self._labels.log_prior()[:, None]
        for nats in blocks:
            reached = np.concatenate([joint, joint - nats.cumsum(axis=1)], axis=1)
            mixed.append(-np.diff(_log_sum(reached)))
            joint = reached[:, -1:]
        return np.concatenate(mixed)
