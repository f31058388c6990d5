"""Which tokenizers there are: fitting one to a text, rebuilding one from a model file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from charlm.errors import ModelFileError
from charlm.text.tokenizers.base import Tokenizer
from charlm.text.tokenizers.byte import ByteTokenizer
from charlm.text.tokenizers.char import CharTokenizer, NFDTokenizer
from charlm.text.tokenizers.subword import SubwordTokenizer
from charlm.text.tokenizers.word import WordTokenizer


def train(kind: str | Tokenizer | Extendable, chunks: Iterable[str], *, vocabulary_size: int | None) -> Tokenizer:
    """A tokenizer of this kind for the text of these chunks; one that is there already stays as it is, or
    grows.

    Raises UsageError when `vocabulary_size` does not suit the kind or the text.
    """
    if isinstance(kind, Extendable):
        return kind.fitted(chunks)
    if not isinstance(kind, str):
        return kind
    if kind == "char":
        return CharTokenizer.train(chunks, vocabulary_size=vocabulary_size)
    if kind == "nfd":
        return NFDTokenizer.train(chunks, vocabulary_size=vocabulary_size)
    if kind == "word":
        return WordTokenizer.train(chunks, vocabulary_size=vocabulary_size)
    if kind == "byte":
        return ByteTokenizer.train(vocabulary_size=vocabulary_size)
    return SubwordTokenizer.train(kind, chunks, vocabulary_size=vocabulary_size)


def from_tensors(kind: str, tensors: dict[str, np.ndarray]) -> Tokenizer:
    """The tokenizer of a model file; ModelFileError when it is not one."""
    if kind == "char":
        return CharTokenizer.from_tensors(tensors)
    if kind == "nfd":
        return NFDTokenizer.from_tensors(tensors)
    if kind == "word":
        return WordTokenizer.from_tensors(tensors)
    if kind == "byte":
        return ByteTokenizer()
    if kind in ("bpe", "unigram"):
        return SubwordTokenizer.from_tensors(kind, tensors)
    raise ModelFileError(f"unknown tokenizer {kind!r}")


def tensor_shapes(kind: str) -> dict[str, tuple[str, int]]:
    """Names of a tokenizer's tensors: (dtype, number of dimensions); lengths are free."""
    return {"char": {"tokenizer.characters": ("U32", 1)}, "byte": {},
            "nfd": {"tokenizer.characters": ("U32", 1)}, "word": {"tokenizer.words": ("U8", 1)},
            "bpe": {"tokenizer.sentencepiece": ("U8", 1)},
            "unigram": {"tokenizer.sentencepiece": ("U8", 1)}}.get(kind, {})


@dataclass(frozen=True)
class Extendable:
    """A tokenizer that is to know all of a text, too. Bytes and subwords do already."""

    known: Tokenizer

    def fitted(self, chunks: Iterable[str]) -> Tokenizer:
        known = self.known
        if isinstance(known, (CharTokenizer, WordTokenizer)):
            return known.union(type(known).train(chunks, vocabulary_size=None))
        return known


def id_mapping(old: Tokenizer, new: Tokenizer) -> np.ndarray:
    """The new id of every old one, where `new` has grown from `old`.

    >>> old, more = (CharTokenizer.train([text], vocabulary_size=None) for text in ("bd", "bcd"))
    >>> id_mapping(old, more).tolist()
    [0, 1, 3]
    """
    if isinstance(old, CharTokenizer):
        # Character by character: a tokenizer that decomposes its text would put marks in another order.
        ids = CharTokenizer.encode(new, old.known_text())
    elif isinstance(old, WordTokenizer):
        ids = new.encode(old.known_text())
    else:
        return np.arange(old.size)
    return np.concatenate([[old.unknown_id], ids]).astype(np.int64)
