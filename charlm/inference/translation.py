"""Translation of sources to targets by beam search, in batches of similar length, returned in input order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from charlm.contract import IntArray, Network, Tokenizer
from charlm.errors import ModelFileError
from charlm.inference.beam import beam_search
from charlm.inference.pair_scoring import SOURCES_AT_ONCE, PairReader
from charlm.inference.scoring import LOGITS
from charlm.text.pair_corpus import RATIO_OFFSET
from charlm.text.special_tokens import eos_id
from charlm.text.tokenizers.base import NEWLINE, decode, tokens_containing
from charlm.text.tsv import TAB


@dataclass(frozen=True)
class LengthLimit:
    """The maximum length of a target, which bounds the search."""

    ratio: float                        # as measured on the training pairs by text/pair_corpus.py

    @classmethod
    def from_metadata(cls, training: dict[str, Any]) -> LengthLimit:
        """Return the limit in a model file's training metadata. Raises ModelFileError if it has no valid one."""
        ratio = training.get("target_ratio")
        if not isinstance(ratio, float) or not 0 <= ratio < 1 << 20:
            raise ModelFileError("it does not say how long its targets are")
        return cls(ratio)

    def tokens(self, source: IntArray) -> IntArray:
        """Return the most tokens to write for sources of these lengths: 1.5 times as many as in training."""
        return (2 + 1.5 * self.ratio * (source + RATIO_OFFSET)).astype(np.int64)


@dataclass(frozen=True)
class Translation:
    """One target of a source."""

    text: str
    log_probability: float              # nats, the end included
    score: float                        # the ranking: log probability over length ** length_penalty
    finished: bool                      # False: cut off at the length limit


class Translator:
    """A network for pairs with its two tokenizers and the length limit of its targets."""

    def __init__(self, network: Network, tokenizer: Tokenizer, source_tokenizer: Tokenizer, limit: LengthLimit):
        self._network, self._limit = network, limit
        self._reader = PairReader(network, tokenizer, source_tokenizer)
        self.tokenizer, self.source_tokenizer = tokenizer, source_tokenizer
        # A target is one field of one line.
        self._banned = [*tokenizer.unsampleable_ids, *tokens_containing(tokenizer, NEWLINE + TAB)]

    def translate(self, sources: Sequence[str], *, beam: int, length_penalty: float = 1.0) -> list[list[Translation]]:
        """Return at most `beam` targets for each source, best first; no source may be empty."""
        results: list[list[Translation]] = [[]] * len(sources)
        batch_size = min(max(LOGITS // (beam * self.tokenizer.size), 1), SOURCES_AT_ONCE)
        for indices, lengths, state in self._reader.encoded(sources, batch_size):
            found = beam_search(self._network, state, eos_id=eos_id(self.tokenizer),
                                banned=self._banned, width=beam, limits=self._limit.tokens(lengths),
                                length_penalty=length_penalty)
            for index, hypotheses in zip(indices, found, strict=True):
                results[index] = [Translation(decode(self.tokenizer, hypothesis.tokens), hypothesis.log_probability,
                                              hypothesis.score(length_penalty), hypothesis.finished)
                                  for hypothesis in hypotheses]
        return results

    def nats(self, sources: Sequence[str], targets: Sequence[str]) -> tuple[float, int]:
        """Return the summed -log p of targets and their ends given their sources, and the number of tokens."""
        nats = self._reader.read(sources, self._reader.rows(targets))
        return float(sum(row.sum() for row in nats)), sum(map(len, nats))
