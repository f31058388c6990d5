"""Characters of a text that is only read, never written: each taken apart first.

Unicode's canonical decomposition (NFD) turns a letter with marks into the letter and its marks, and a
Hangul syllable into its letters, so that what was never seen whole is still known by its parts.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

import numpy as np

from charlm.text.characters import CharacterTokenizer


class DecomposedTokenizer(CharacterTokenizer):
    """One id a character of the decomposed text; decoding gives that text, not the original."""

    kind = "nfd"

    @classmethod
    def fit(cls, chunks: Iterable[str], *, vocabulary_size: int | None) -> CharacterTokenizer:
        return super().fit((unicodedata.normalize("NFD", text) for text in chunks),
                           vocabulary_size=vocabulary_size)

    def encode(self, text: str) -> np.ndarray:
        return super().encode(unicodedata.normalize("NFD", text))

    def settled(self, text: str) -> int:
        """Up to the last letter: marks that follow it would be put in order with its own."""
        end = len(text)
        while end and unicodedata.combining(text[end - 1]):
            end -= 1
        return max(end - 1, 0)
