"""A vocabulary that grows with another text: what it knew keeps its meaning, what is new is added."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from charlm.text.characters import CharacterTokenizer
from charlm.text.tokenizer import Tokenizer
from charlm.text.words import WordTokenizer


@dataclass(frozen=True)
class Growing:
    """A tokenizer that is to know all of a text, too. Bytes and subwords do already."""

    known: Tokenizer

    def fitted(self, chunks: Iterable[str]) -> Tokenizer:
        known = self.known
        if isinstance(known, (CharacterTokenizer, WordTokenizer)):
            return known.joined(type(known).fit(chunks, vocabulary_size=None))
        return known


def moved_ids(old: Tokenizer, new: Tokenizer) -> np.ndarray:
    """The new id of every old one, where `new` has grown from `old`.

    >>> old, more = (CharacterTokenizer.fit([text], vocabulary_size=None) for text in ("bd", "bcd"))
    >>> moved_ids(old, more).tolist()
    [0, 1, 3]
    """
    if isinstance(old, CharacterTokenizer):
        # Character by character: a tokenizer that decomposes its text would put marks in another order.
        ids = CharacterTokenizer.encode(new, old.all_known())
    elif isinstance(old, WordTokenizer):
        ids = new.encode(old.all_known())
    else:
        return np.arange(old.size)
    return np.concatenate([[old.unknown_id], ids]).astype(np.int64)
