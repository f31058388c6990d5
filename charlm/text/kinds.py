"""Which tokenizers there are: fitting one to a text, rebuilding one from a model file."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from charlm.errors import ModelFileError
from charlm.text.bytewise import ByteTokenizer
from charlm.text.characters import CharacterTokenizer
from charlm.text.decomposed import DecomposedTokenizer
from charlm.text.growing import Growing
from charlm.text.subwords import SubwordTokenizer
from charlm.text.tokenizer import Tokenizer
from charlm.text.words import WordTokenizer


def fit(kind: str | Tokenizer | Growing, chunks: Iterable[str], *, vocabulary_size: int | None) -> Tokenizer:
    """A tokenizer of this kind for the text of these chunks; one that is there already stays as it is, or
    grows.

    Raises UsageError when `vocabulary_size` does not suit the kind or the text.
    """
    if isinstance(kind, Growing):
        return kind.fitted(chunks)
    if not isinstance(kind, str):
        return kind
    if kind == "char":
        return CharacterTokenizer.fit(chunks, vocabulary_size=vocabulary_size)
    if kind == "nfd":
        return DecomposedTokenizer.fit(chunks, vocabulary_size=vocabulary_size)
    if kind == "word":
        return WordTokenizer.fit(chunks, vocabulary_size=vocabulary_size)
    if kind == "byte":
        return ByteTokenizer.fit(vocabulary_size=vocabulary_size)
    return SubwordTokenizer.fit(kind, chunks, vocabulary_size=vocabulary_size)


def rebuild(kind: str, tensors: dict[str, np.ndarray]) -> Tokenizer:
    """The tokenizer of a model file; ModelFileError when it is not one."""
    if kind == "char":
        return CharacterTokenizer.rebuild(tensors)
    if kind == "nfd":
        return DecomposedTokenizer.rebuild(tensors)
    if kind == "word":
        return WordTokenizer.rebuild(tensors)
    if kind == "byte":
        return ByteTokenizer()
    if kind in ("bpe", "unigram"):
        return SubwordTokenizer.rebuild(kind, tensors)
    raise ModelFileError(f"unknown tokenizer {kind!r}")


def tensor_shapes(kind: str) -> dict[str, tuple[str, int]]:
    """Names of a tokenizer's tensors: (dtype, number of dimensions); lengths are free."""
    return {"char": {"tokenizer.characters": ("U32", 1)}, "byte": {},
            "nfd": {"tokenizer.characters": ("U32", 1)}, "word": {"tokenizer.words": ("U8", 1)},
            "bpe": {"tokenizer.sentencepiece": ("U8", 1)},
            "unigram": {"tokenizer.sentencepiece": ("U8", 1)}}.get(kind, {})
