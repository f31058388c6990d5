"""Tokenizers with one id for each character of the corpus, and `<unk>` for all others."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from charlm.contract import IntArray, Tensors
from charlm.errors import ModelFileError, UsageError
from charlm.text.tokenizers.base import NEWLINE

CODE_POINTS = 0x110000
SURROGATES = 0x800                      # code points that no text contains
UNKNOWN = 0
BYTES = 0x100
LONG = 4096                             # number of characters from which counting is faster than sorting
_VISIBLE_UNKNOWN = "\ufffd"


def _codes(text: str) -> NDArray[np.unsignedinteger]:
    """Return the code points of a text, as bytes if all are ASCII, because these are several times as fast."""
    if text.isascii():
        return np.frombuffer(text.encode("ascii"), np.uint8)
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def _count(text: str) -> tuple[IntArray, IntArray]:
    """Return the distinct code points of a text and their counts."""
    codes = _codes(text)
    if len(codes) < LONG:
        return np.unique(codes, return_counts=True)
    times = np.bincount(codes)          # has an entry for every smaller code, too, and needs no sorting
    found = np.flatnonzero(times)
    return found, times[found]


class CharTokenizer:
    """A tokenizer in which ids 1, 2, 3 … are the known characters in code point order, and 0 is `<unk>`.

    The probability of `<unk>` is spread evenly over all code points that are not in the table.
    """

    kind = "char"
    tensor_shapes = {"tokenizer.characters": ("U32", 1)}
    unknown_id: int | None = UNKNOWN
    unsampleable_ids: tuple[int, ...] = (UNKNOWN,)

    def __init__(self, codes: IntArray):
        self._known = codes.astype(np.uint32)
        self.size = len(codes) + 1
        # Zero is <unk>, so a fresh table maps every code point to "unknown".
        self._table = np.zeros(CODE_POINTS, np.int32)
        self._table[codes] = np.arange(1, self.size, dtype=np.int32)
        self._ascii_ids = self._table[:BYTES].astype(np.uint8).tobytes()    # ids are in code point order: at most 128
        self._characters = [_VISIBLE_UNKNOWN, *map(chr, codes.tolist())]
        self.start_id = int(self._table[ord(NEWLINE)])
        self.unknown_surprisal = math.log(CODE_POINTS - SURROGATES - len(codes) or 1)

    @classmethod
    def train(cls, chunks: Iterable[str], *, vocabulary_size: int | None) -> CharTokenizer:
        """Learn all characters of the text, or the `vocabulary_size - 1` most frequent ones."""
        counts = np.zeros(CODE_POINTS, np.int64)
        for text in chunks:
            codes, times = _count(text)
            counts[codes] += times
        known = np.flatnonzero(counts)
        if vocabulary_size is not None:
            if vocabulary_size < 2:
                raise UsageError("--vocab-size of a char model must be at least 2")
            known = known[np.argsort(-counts[known], kind="stable")][:vocabulary_size - 1]
        return cls(np.sort(known))

    @classmethod
    def from_tensors(cls, tensors: Tensors) -> CharTokenizer:
        """Rebuild a tokenizer. Raises ModelFileError unless its characters are in code point order."""
        codes = tensors["tokenizer.characters"].astype(np.int64)
        surrogate = (codes >= 0xD800) & (codes < 0xD800 + SURROGATES)
        if surrogate.any() or (codes >= CODE_POINTS).any() or (np.diff(codes) <= 0).any():
            raise ModelFileError("its character table is not a list of characters in order")
        return cls(codes)

    def tensors(self) -> Tensors:
        """Return the table of characters, uint32."""
        return {"tokenizer.characters": self._known}

    def extended(self, chunks: Iterable[str]) -> CharTokenizer:
        """Return a tokenizer that also knows the characters of these chunks."""
        return type(self)(np.union1d(self._known, type(self).train(chunks, vocabulary_size=None)._known))

    def id_mapping(self, extended: CharTokenizer) -> IntArray:
        """Return the id (size,) that each id of this tokenizer has in an extended one.

        >>> old = CharTokenizer.train(["bd"], vocabulary_size=None)
        >>> old.id_mapping(old.extended(["c"])).tolist()
        [0, 1, 3]
        """
        return np.concatenate([[UNKNOWN], extended._table[self._known]])

    def known_text(self) -> str:
        """Return all known characters in the order of their ids."""
        return "".join(self._characters[1:])

    def encode(self, text: str) -> IntArray:
        """Return one id for each character, int32."""
        return self._ids_of(text)

    def _ids_of(self, text: str) -> NDArray[np.int32]:
        if text.isascii():
            return np.frombuffer(text.encode("ascii").translate(self._ascii_ids), np.uint8).astype(np.int32)
        ids: NDArray[np.int32] = np.take(self._table, _codes(text))
        return ids

    def encode_each(self, texts: Sequence[str]) -> tuple[IntArray, IntArray]:
        """Return the concatenated ids of several texts, int32, and the number of ids of each."""
        return self._ids_of("".join(texts)), np.array([*map(len, texts)], np.int64)

    def stable_prefix(self, text: str) -> int:
        """Return the length of the text: no id depends on the next character."""
        return len(text)

    def display(self, index: int) -> str:
        """Return an id's character, or <unk>."""
        return "<unk>" if index == UNKNOWN else self._characters[index]

    def decoder(self) -> CharTokenizer:
        """Return this tokenizer: every id is one character, so decoding has no state."""
        return self

    def push(self, ids: Iterable[int]) -> str:
        """Return the characters of these ids, U+FFFD for an unknown one."""
        return "".join([self._characters[index] for index in ids])

    def flush(self) -> str:
        """Return an empty string: nothing is ever held back."""
        return ""


class NFDTokenizer(CharTokenizer):
    """A tokenizer of the canonically decomposed text (NFD). Decoding returns that text, not the original one."""

    kind = "nfd"

    @classmethod
    def train(cls, chunks: Iterable[str], *, vocabulary_size: int | None) -> CharTokenizer:
        """Learn the characters of the decomposed text."""
        return super().train((unicodedata.normalize("NFD", text) for text in chunks), vocabulary_size=vocabulary_size)

    def encode(self, text: str) -> IntArray:
        """Return one id for each character of the decomposed text, int32."""
        return super().encode(unicodedata.normalize("NFD", text))

    def encode_each(self, texts: Sequence[str]) -> tuple[IntArray, IntArray]:
        """Return the concatenated ids of several texts, each decomposed first, and the number of ids of each."""
        return super().encode_each([unicodedata.normalize("NFD", text) for text in texts])

    def stable_prefix(self, text: str) -> int:
        """Return the length up to the last letter, because marks that follow it would be reordered with its own."""
        end = len(text)
        while end and unicodedata.combining(text[end - 1]):
            end -= 1
        return max(end - 1, 0)
