"""One id a word, for targets made of few words: phones, labels, numbers token_spans out.

A word is what stands between two spaces. Not for running text: a word that the training text did not
hold can be read, as `<unk>`, but never written.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

import numpy as np

from charlm.errors import ModelFileError, UsageError
from charlm.text.tokenizers.char import CODE_POINTS

UNKNOWN = 0
MAX_UNSEEN = 5e-3                      # share of words yet to come that no text has held so far
MAX_WORDS = 1 << 16
_SPACE = " "


def is_word_vocabulary(texts: Iterable[str]) -> bool:
    """Whether these texts hold nearly all the words that others like them will.

    The share of unseen words to come is estimated by that of words seen once (Good 1953).

    >>> is_word_vocabulary(["rain", "dry", "dry", "rain"]), is_word_vocabulary(["rain", "dry", "sleet"])
    (True, False)
    """
    counts = Counter(word for text in texts for word in text.split(_SPACE))
    once = sum(count == 1 for count in counts.values())
    return len(counts) <= MAX_WORDS and once <= MAX_UNSEEN * counts.total()


class _Joiner:
    """Puts a space between words."""

    def __init__(self, words: list[str]):
        self._words = words
        self._begun = False

    def push(self, ids: Iterable[int]) -> str:
        ids = list(ids)
        text = _SPACE.join([self._words[index] for index in ids])
        between = _SPACE if self._begun and ids else ""
        self._begun = self._begun or bool(ids)
        return between + text

    def flush(self) -> str:
        return ""


class WordTokenizer:
    """Ids 1, 2, 3 … are the known words in code point order; 0 is `<unk>`.

    An unknown word costs p(unk) and, as there is no model of its spelling, one unknown character.
    """

    kind = "word"
    unknown_id = UNKNOWN
    unknown_surprisal = math.log(CODE_POINTS)
    unsampleable_ids = (UNKNOWN,)
    start_id = UNKNOWN

    def __init__(self, words: list[str]):
        self._words = ["\ufffd", *words]
        self._ids = {word: index for index, word in enumerate(words, 1)}
        self.size = len(self._words)

    @classmethod
    def train(cls, texts: Iterable[str], *, vocabulary_size: int | None) -> WordTokenizer:
        """All words of the texts, MAX_WORDS at most, or with a `vocabulary_size` the most frequent."""
        counts = Counter(word for text in texts for word in text.split(_SPACE))
        if vocabulary_size is not None and vocabulary_size < 2:
            raise UsageError("--vocab-size of a word model must be at least 2")
        most = min(MAX_WORDS, (vocabulary_size or MAX_WORDS + 1) - 1)
        ordered = sorted(counts, key=lambda word: (-counts[word], word))
        return cls(sorted(ordered[:most]))

    @classmethod
    def from_tensors(cls, tensors: dict[str, np.ndarray]) -> WordTokenizer:
        try:
            words = tensors["tokenizer.words"].tobytes().decode("utf-8").split(_SPACE)
        except UnicodeDecodeError:
            raise ModelFileError("its table of words is not UTF-8") from None
        if len(words) > MAX_WORDS or words != sorted(set(words)):
            raise ModelFileError("its table of words is not one of words in order")
        return cls(words)

    def union(self, other: WordTokenizer) -> WordTokenizer:
        """One that knows all that both know."""
        return WordTokenizer(sorted({*self._words[1:], *other._words[1:]}))

    def known_text(self) -> str:
        """Its words, in the order of their ids."""
        return _SPACE.join(self._words[1:])

    def tensors(self) -> dict[str, np.ndarray]:
        return {"tokenizer.words": np.frombuffer(_SPACE.join(self._words[1:]).encode("utf-8"), np.uint8)}

    def encode(self, text: str) -> np.ndarray:
        return np.array([self._ids.get(word, UNKNOWN) for word in text.split(_SPACE)], np.int32)

    def stable_prefix(self, text: str) -> int:
        return 0                        # a word may go on, and a space belongs to no word

    def display(self, index: int) -> str:
        return "<unk>" if index == UNKNOWN else self._words[index]

    def decoder(self) -> _Joiner:
        return _Joiner(self._words)
