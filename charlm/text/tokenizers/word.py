"""A tokenizer with one id for each word, for targets with few different words: phones, labels, spelled-out numbers.

A word is what lies between two spaces. It is not for running text: a word that is not in the training text is read as
`<unk>` and can never be written.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

import numpy as np

from charlm.contract import IntArray, Tensors
from charlm.errors import ModelFileError, UsageError
from charlm.text.tokenizers.base import OneByOne
from charlm.text.tokenizers.char import CODE_POINTS

UNKNOWN = 0
MAX_UNSEEN = 5e-3                       # estimated share of words in further texts that are new
MAX_WORDS = 1 << 16
_SPACE = " "


def _counts(texts: Iterable[str]) -> Counter[str]:
    return Counter(word for text in texts for word in text.split(_SPACE))


def is_word_vocabulary(texts: Iterable[str]) -> bool:
    """Return True if further texts of this kind will hardly contain new words.

    Their share is estimated by the share of words that occur once (Good 1953).

    >>> is_word_vocabulary(["rain", "dry", "dry", "rain"]), is_word_vocabulary(["rain", "dry", "sleet"])
    (True, False)
    """
    counts = _counts(texts)
    once = sum(count == 1 for count in counts.values())
    return len(counts) <= MAX_WORDS and once <= MAX_UNSEEN * counts.total()


def new_words(known: WordTokenizer, texts: Iterable[str]) -> tuple[int, float]:
    """Return how many different words a tokenizer does not know, and their share of all words."""
    counts = _counts(texts)
    new = [count for word, count in counts.items() if (known.encode(word) == known.unknown_id).any()]
    return len(new), sum(new) / max(counts.total(), 1)


class _WordDecoder:
    """A decoder that writes a space between words."""

    def __init__(self, words: list[str]):
        self._words = words
        self._separator = ""            # before the first word

    def push(self, ids: Iterable[int]) -> str:
        words = [self._words[index] for index in ids]
        text = self._separator + _SPACE.join(words) if words else ""
        self._separator = _SPACE if words else self._separator
        return text

    def flush(self) -> str:
        return ""


class WordTokenizer(OneByOne):
    """A tokenizer in which ids 1, 2, 3 … are the known words in code point order, and 0 is `<unk>`.

    An unknown word costs `<unk>` plus one unknown character, because nothing models its spelling.
    """

    kind = "word"
    tensor_shapes = {"tokenizer.words": ("U8", 1)}
    unknown_id: int | None = UNKNOWN
    unknown_surprisal = math.log(CODE_POINTS)
    unsampleable_ids: tuple[int, ...] = (UNKNOWN,)
    start_id = UNKNOWN

    def __init__(self, words: list[str]):
        self._words = ["\ufffd", *words]
        self._ids = {word: index for index, word in enumerate(words, 1)}
        self.size = len(self._words)

    @classmethod
    def train(cls, chunks: Iterable[str], *, vocabulary_size: int | None) -> WordTokenizer:
        """Learn at most MAX_WORDS words, or the `vocabulary_size - 1` most frequent ones. Each chunk is a text."""
        if vocabulary_size is not None and vocabulary_size < 2:
            raise UsageError("--vocab-size of a word model must be at least 2")
        counts = _counts(chunks)
        limit = min(MAX_WORDS, (vocabulary_size or MAX_WORDS + 1) - 1)
        return cls(sorted(sorted(counts, key=lambda word: (-counts[word], word))[:limit]))

    @classmethod
    def from_tensors(cls, tensors: Tensors) -> WordTokenizer:
        """Rebuild a tokenizer. Raises ModelFileError unless its words are in code point order."""
        try:
            words = tensors["tokenizer.words"].tobytes().decode("utf-8").split(_SPACE)
        except UnicodeDecodeError:
            raise ModelFileError("its table of words is not UTF-8") from None
        if len(words) > MAX_WORDS or words != sorted(set(words)):
            raise ModelFileError("its table of words is not a list of words in order")
        return cls(words)

    def tensors(self) -> Tensors:
        """Return the words separated by spaces, as UTF-8."""
        return {"tokenizer.words": np.frombuffer(self.known_text().encode("utf-8"), np.uint8)}

    def extended(self, chunks: Iterable[str]) -> WordTokenizer:
        """Return a tokenizer that also knows the words of these texts."""
        return WordTokenizer(sorted({*self._ids, *self.train(chunks, vocabulary_size=None)._ids}))

    def id_mapping(self, extended: WordTokenizer) -> IntArray:
        """Return the id (size,) that each id of this tokenizer has in an extended one."""
        return np.array([UNKNOWN, *map(extended._ids.__getitem__, self._ids)])

    def known_text(self) -> str:
        """Return all known words in the order of their ids, separated by spaces."""
        return _SPACE.join(self._words[1:])

    def encode(self, text: str) -> IntArray:
        """Return one id for each word, int32."""
        return np.array([self._ids.get(word, UNKNOWN) for word in text.split(_SPACE)], np.int32)

    def stable_prefix(self, text: str) -> int:
        """Return 0: the last word may be incomplete, and a space belongs to no word."""
        return 0

    def display(self, index: int) -> str:
        """Return an id's word, or <unk>."""
        return "<unk>" if index == UNKNOWN else self._words[index]

    def decoder(self) -> _WordDecoder:
        """Return a decoder before the first word."""
        return _WordDecoder(self._words)
