"""The protocols that rooms share, and the array types in their signatures. Shapes: B batch, T time, V vocabulary."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating[Any]]
IntArray = NDArray[np.integer[Any]]
BoolArray = NDArray[np.bool_]
Tensors = dict[str, NDArray[Any]]
TensorShapes = dict[str, tuple[str, int]]   # name: (dtype as in safetensors, number of dimensions); lengths are free

# Tokenizers

_Self = TypeVar("_Self", bound="Tokenizer")


class Decoder(Protocol):
    """A decoder of ids that arrive one after the other. It holds back a character until all its bytes are there."""

    def push(self, ids: Iterable[int]) -> str:
        """Return the text that these ids add."""

    def flush(self) -> str:
        """Return the text that is still held back when no more ids follow."""


class Tokenizer(Protocol):
    """A mapping from text to ids and back: `decode(encode(text)) == text` for every text of known characters."""

    kind: str                           # its name in the registry and in model files
    tensor_shapes: TensorShapes         # of `tensors`
    size: int                           # ids run from 0 to size - 1
    start_id: int                       # read before the first token of a text
    unsampleable_ids: tuple[int, ...]   # ids that no text contains
    unknown_id: int | None              # None where every text is known
    unknown_surprisal: float            # nats that an unknown token costs in addition to its id's

    @classmethod
    def train(cls, chunks: Iterable[str], *, vocabulary_size: int | None) -> Tokenizer:
        """Learn a vocabulary. Raises UsageError if `vocabulary_size` suits neither the kind nor the text."""

    @classmethod
    def from_tensors(cls, tensors: Tensors) -> Tokenizer:
        """Rebuild a tokenizer from its `tensors`. Raises ModelFileError if they are damaged."""

    def tensors(self) -> Tensors:
        """Return what a model file must hold to rebuild this tokenizer."""

    def extended(self, chunks: Iterable[str]) -> Tokenizer:
        """Return a tokenizer that knows these chunks too, or this one if it knows every text."""

    def id_mapping(self: _Self, extended: _Self) -> IntArray:
        """Return the id (size,) that each id of this tokenizer has in an extended one."""

    def encode(self, text: str) -> IntArray:
        """Return the ids of a text, int32."""

    def stable_prefix(self, text: str) -> int:
        """Return the number of characters whose ids do not depend on what follows the text."""

    def decoder(self) -> Decoder:
        """Return a decoder at the start of a text."""

    def display(self, index: int) -> str:
        """Return an id's text for a reader: part of a character as <0xE2>, an id without text as <unk>."""
