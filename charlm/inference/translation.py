"""Sources to targets: batches of like length, searched, in the order that they came.

Not here: the search (beam.py), lines and their printing (cli/translate.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from charlm.errors import ModelFileError
from charlm.inference.beam import beam_search
from charlm.inference.network import Network
from charlm.inference.scoring import LOGITS, teacher_forced_nats
from charlm.text.examples import batch_by_length, padded
from charlm.text.pair_corpus import RATIO_OFFSET
from charlm.text.special_tokens import eos_id
from charlm.text.tokenizers.base import NEWLINE, Tokenizer, decode, tokens_containing
from charlm.text.tsv import TAB

SOURCES_AT_ONCE = 64                            # sources searched side by side, fewer with wide beams


@dataclass(frozen=True)
class LengthLimit:
    """How long a target may get, which bounds a search."""

    ratio: float                        # as text/pair_corpus.py measured it on the training pairs

    @classmethod
    def from_metadata(cls, training: dict) -> LengthLimit:
        """From what a model file says of its training. Raises ModelFileError where it does not."""
        ratio = training.get("target_ratio")
        if not isinstance(ratio, float) or not 0 <= ratio < 1 << 20:
            raise ModelFileError("it does not say how long its targets are")
        return cls(ratio)

    def tokens(self, source: np.ndarray) -> np.ndarray:
        """Most tokens to write for sources of these lengths: half as many again as ever seen."""
        return (2 + 1.5 * self.ratio * (source + RATIO_OFFSET)).astype(np.int64)


@dataclass(frozen=True)
class Translation:
    """One target for a source."""

    text: str
    log_probability: float              # nats, the end included
    score: float                        # what it is ranked by: log probability over length ** penalty
    finished: bool                      # False: cut off at the length limit


class Translator:
    """A pairs model at work: its network, its two tokenizers, and how long targets get."""

    def __init__(self, network: Network, tokenizer: Tokenizer, source_tokenizer: Tokenizer,
                 limit: LengthLimit):
        self._network, self._limit = network, limit
        self.tokenizer, self.source_tokenizer = tokenizer, source_tokenizer
        # A target is one field of one line.
        self._banned = [*tokenizer.unsampleable_ids, *tokens_containing(tokenizer, NEWLINE + TAB)]

    def translate(self, sources: Sequence[str], *, beam: int,
                  length_penalty: float = 1.0) -> list[list[Translation]]:
        """For each source, none of them empty, at most `beam` targets, best first."""
        results: list[list[Translation]] = [[]] * len(sources)
        at_once = min(max(LOGITS // (beam * self.tokenizer.size), 1), SOURCES_AT_ONCE)
        for numbers, ids in self._batches(sources, at_once):
            lengths = np.array([len(row) for row in ids])
            found = beam_search(self._network, self._network.encode(padded(ids, 0), lengths),
                                eos_id=eos_id(self.tokenizer), banned=self._banned,
                                width=beam, limits=self._limit.tokens(lengths),
                                length_penalty=length_penalty)
            for number, hypotheses in zip(numbers, found):
                results[number] = [
                    Translation(decode(self.tokenizer, hypothesis.tokens), hypothesis.log_probability,
                                hypothesis.score(length_penalty), hypothesis.finished)
                    for hypothesis in hypotheses]
        return results

    def nats(self, sources: Sequence[str], targets: Sequence[str]) -> tuple[float, int]:
        """Summed -log p of targets given their sources, each end included; and how many tokens."""
        nats, tokens = 0.0, 0
        for numbers, ids in self._batches(sources, SOURCES_AT_ONCE):
            state = self._network.encode(padded(ids, 0), np.array([len(row) for row in ids]))
            some = teacher_forced_nats(self._network, self.tokenizer,
                               [self.tokenizer.encode(targets[number]) for number in numbers], state)
            nats, tokens = nats + some[0], tokens + some[1]
        return nats, tokens

    def _batches(self, sources: Sequence[str], at_once: int) -> Iterator[tuple[list[int], list[np.ndarray]]]:
        """Numbers and ids of sources, the short ones first."""
        ids = [self.source_tokenizer.encode(source).astype(np.int64) for source in sources]
        lengths = np.array([len(row) for row in ids], np.int64)
        order = np.argsort(lengths, kind="stable")
        for rows in batch_by_length(lengths[order], at_once):
            yield order[rows].tolist(), [ids[number] for number in order[rows]]
