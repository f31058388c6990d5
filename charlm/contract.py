"""The protocols that rooms share, and the array types in their signatures. Shapes: B batch, T time, V vocabulary."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from charlm.config import ModelConfig

FloatArray = NDArray[np.floating[Any]]
IntArray = NDArray[np.integer[Any]]
BoolArray = NDArray[np.bool_]
RowIndex = IntArray | BoolArray | slice | Sequence[int]
Tensors = dict[str, NDArray[Any]]
TensorShapes = dict[str, tuple[str, int]]   # name: (dtype as in safetensors, number of dimensions); lengths are free

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
    unknown_id: int | None              # None if every text is known
    unknown_surprisal: float            # nats that an unknown token costs in addition to its id's

    @classmethod
    def train(cls, chunks: Iterable[str], *, vocabulary_size: int | None) -> Tokenizer:
        """Learn a vocabulary. Raises UsageError if the kind or the text does not allow this `vocabulary_size`."""

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

    def encode_each(self, texts: Sequence[str]) -> tuple[IntArray, IntArray]:
        """Return the concatenated ids of several texts, int32, and the number of ids of each."""

    def stable_prefix(self, text: str) -> int:
        """Return the number of characters whose ids do not depend on what follows the text."""

    def decoder(self) -> Decoder:
        """Return a decoder at the start of a text."""

    def display(self, index: int) -> str:
        """Return an id's text for a reader: part of a character as <0xE2>, an id without text as <unk>."""


class State(Protocol):
    """The recurrent state of a batch, with the memory of a source where the network has one. It is immutable."""

    def select(self, rows: RowIndex) -> State:
        """Return the state of these batch rows in this order; rows may repeat."""


class Network(Protocol):
    """A network of any architecture. A `state` is one that `start`, `encode` or `step` of the same network returned."""

    @property
    def config(self) -> ModelConfig:
        """The architecture."""

    def start(self, batch: int) -> State:
        """Return the state of `batch` rows that have read nothing."""

    def encode(self, source: IntArray, lengths: IntArray, positions: tuple[IntArray, IntArray] | None = None) -> State:
        """Return the decoder's first state after sources (B, S), with a memory of them.

        Row b is lengths[b] >= 1 tokens long; the padding after them has no effect. With `positions`, source rows (G,)
        and token positions (G,), the state has G rows, each starting from the encoder's output at its position;
        without, it has B rows, each starting from the last outputs.
        """

    def step(self, tokens: IntArray, state: Any) -> tuple[FloatArray, State]:
        """Read tokens (B, T); return logits (B, T, V) for the token after each, and the new state."""
