"""The table of tokenizers: learning one from a text, and rebuilding one from a model file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from charlm.contract import Tensors, TensorShapes, Tokenizer
from charlm.errors import ModelFileError
from charlm.text.tokenizers.byte import ByteTokenizer
from charlm.text.tokenizers.char import CharTokenizer, NFDTokenizer
from charlm.text.tokenizers.subword import BPETokenizer, UnigramTokenizer
from charlm.text.tokenizers.word import WordTokenizer

TOKENIZERS: dict[str, type[Tokenizer]] = {tokenizer.kind: tokenizer for tokenizer in (
    CharTokenizer, NFDTokenizer, WordTokenizer, ByteTokenizer, BPETokenizer, UnigramTokenizer)}


@dataclass(frozen=True)
class Extendable:
    """An existing tokenizer that is to learn the symbols of a further text."""

    known: Tokenizer


def train(kind: str | Tokenizer | Extendable, chunks: Iterable[str], *, vocabulary_size: int | None) -> Tokenizer:
    """Train a tokenizer of this kind. An existing one is returned unchanged, or extended with new symbols.

    Raises UsageError if the kind or the text does not allow this `vocabulary_size`.
    """
    if isinstance(kind, str):
        return TOKENIZERS[kind].train(chunks, vocabulary_size=vocabulary_size)
    return kind.known.extended(chunks) if isinstance(kind, Extendable) else kind


def from_tensors(kind: str, tensors: Tensors) -> Tokenizer:
    """Rebuild the tokenizer of a model file. Raises ModelFileError if its kind or its tensors are wrong."""
    if kind not in TOKENIZERS:
        raise ModelFileError(f"unknown tokenizer {kind!r}")
    return TOKENIZERS[kind].from_tensors(tensors)


def tensor_shapes(kind: str) -> TensorShapes:
    """Return the (dtype, number of dimensions) of a tokenizer's tensors by name. Their lengths are free."""
    return TOKENIZERS[kind].tensor_shapes if kind in TOKENIZERS else {}
