"""One id a character: a table of the code points of the corpus, and `<unk>` for all others."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable

import numpy as np

from charlm.errors import ModelFileError, UsageError
from charlm.text.tokenizers.base import NEWLINE

CODE_POINTS = 0x110000
SURROGATES = 0x800                      # code points that no text contains
UNKNOWN = 0
_VISIBLE_UNKNOWN = "\ufffd"


def _codes(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


class CharTokenizer:
    """Ids 1, 2, 3 … are the known characters in code point order; 0 is `<unk>`.

    An unknown character is scored as p(unk) spread evenly over all code points not in the table.
    """

    kind = "char"
    unknown_id = UNKNOWN
    unsampleable_ids = (UNKNOWN,)

    def __init__(self, codes: np.ndarray):
        self._known = codes.astype(np.uint32)
        self.size = len(codes) + 1
        ids = np.arange(1, self.size, dtype=np.int32)
        # Zero is <unk>, so a fresh table already says "unknown" for every code point.
        self._table = np.zeros(CODE_POINTS, np.int32)
        self._table[codes] = ids
        self._characters = [_VISIBLE_UNKNOWN, *map(chr, codes.tolist())]
        self.start_id = int(self._table[ord(NEWLINE)])
        self.unknown_surprisal = math.log(CODE_POINTS - SURROGATES - len(codes) or 1)

    @classmethod
    def train(cls, chunks: Iterable[str], *, vocabulary_size: int | None) -> CharTokenizer:
        """All characters of the text, or with a `vocabulary_size` the most frequent ones."""
        counts = np.zeros(CODE_POINTS, np.int64)
        for text in chunks:
            codes, times = np.unique(_codes(text), return_counts=True)
            counts[codes] += times
        known = np.flatnonzero(counts)
        if vocabulary_size is not None:
            if vocabulary_size < 2:
                raise UsageError("--vocab-size of a char model must be at least 2")
            known = known[np.argsort(-counts[known], kind="stable")][:vocabulary_size - 1]
        return cls(np.sort(known))

    @classmethod
    def from_tensors(cls, tensors: dict[str, np.ndarray]) -> CharTokenizer:
        codes = tensors["tokenizer.characters"].astype(np.int64)
        surrogate = (codes >= 0xD800) & (codes < 0xD800 + SURROGATES)
        if surrogate.any() or (codes >= CODE_POINTS).any() or (np.diff(codes) <= 0).any():
            raise ModelFileError("its character table is not one of characters in order")
        return cls(codes)

    def union(self, other: CharTokenizer) -> CharTokenizer:
        """One that knows all that both know."""
        return type(self)(np.union1d(self._known, other._known))

    def known_text(self) -> str:
        """Its characters, in the order of their ids."""
        return "".join(self._characters[1:])

    def tensors(self) -> dict[str, np.ndarray]:
        return {"tokenizer.characters": self._known}

    def encode(self, text: str) -> np.ndarray:
        return self._table[_codes(text)]

    def stable_prefix(self, text: str) -> int:
        return len(text)

    def decoder(self) -> CharTokenizer:
        return self

    def display(self, index: int) -> str:
        return "<unk>" if index == UNKNOWN else self._characters[index]

    def push(self, ids: Iterable[int]) -> str:
        return "".join([self._characters[index] for index in ids])

    def flush(self) -> str:
        return ""


class NFDTokenizer(CharTokenizer):
    """One id a character of the decomposed text; decoding gives that text, not the original."""

    kind = "nfd"

    @classmethod
    def train(cls, chunks: Iterable[str], *, vocabulary_size: int | None) -> CharTokenizer:
        return super().train((unicodedata.normalize("NFD", text) for text in chunks),
                           vocabulary_size=vocabulary_size)

    def encode(self, text: str) -> np.ndarray:
        return super().encode(unicodedata.normalize("NFD", text))

    def stable_prefix(self, text: str) -> int:
        """Up to the last letter: marks that follow it would be put in order with its own."""
        end = len(text)
        while end and unicodedata.combining(text[end - 1]):
            end -= 1
        return max(end - 1, 0)
