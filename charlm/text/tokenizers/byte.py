"""A tokenizer with one id for each byte of the UTF-8 text, and what it shares with subwords, which are bytes too."""

from __future__ import annotations

import codecs
from collections.abc import Iterable
from typing import TypeVar

import numpy as np

from charlm.contract import IntArray, Tensors, TensorShapes
from charlm.errors import UsageError
from charlm.text.tokenizers.base import NEWLINE, OneByOne

_Self = TypeVar("_Self", bound="PieceTokenizer")


class PieceDecoder:
    """A decoder that joins the bytes of pieces. A byte that is not UTF-8 becomes a lone surrogate (PEP 383).

    So a text can be written as exactly these bytes; `replace_invalid` makes it one that can be shown.
    """

    def __init__(self, pieces: list[bytes]):
        self._pieces = pieces
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")

    def push(self, ids: Iterable[int]) -> str:
        """Return the characters that these ids complete."""
        return self._decoder.decode(b"".join([self._pieces[index] for index in ids]))

    def flush(self) -> str:
        """Return the bytes of an unfinished character."""
        return self._decoder.decode(b"", True)


def readable(piece: bytes) -> str:
    """Return bytes as text, or as hexadecimal numbers if they are part of a character.

    >>> readable("né".encode()), readable(b"\\xe2\\x96"), readable(b"")
    ('né', '<0xE2 0x96>', '<unk>')
    """
    try:
        return piece.decode("utf-8") or "<unk>"
    except UnicodeDecodeError:
        return f"<{' '.join(f'0x{byte:02X}' for byte in piece)}>"


class PieceTokenizer(OneByOne):
    """The common part of tokenizers whose ids are pieces of UTF-8: they know every text, so they are never extended."""

    size: int
    unknown_id: int | None = None
    unknown_surprisal = 0.0

    def __init__(self, pieces: list[bytes]):
        self._pieces = pieces

    def spelled(self, ids: Iterable[int]) -> bytes:
        """Return the bytes of these ids, which need not be UTF-8."""
        return b"".join([self._pieces[index] for index in ids])

    @property
    def byte_ids(self) -> list[int]:
        """The id of each byte from 0 to 255 as a piece. Raises KeyError if one has none."""
        found = {piece: index for index, piece in reversed([*enumerate(self._pieces)]) if len(piece) == 1}
        return [found[bytes([value])] for value in range(256)]

    def extended(self: _Self, chunks: Iterable[str]) -> _Self:
        """Return this tokenizer."""
        return self

    def id_mapping(self, extended: PieceTokenizer) -> IntArray:
        """Return every id as it is."""
        return np.arange(self.size)

    def display(self, index: int) -> str:
        """Return an id's text, or its bytes if they are only part of a character."""
        return readable(self._pieces[index])

    def decoder(self) -> PieceDecoder:
        """Return a decoder at the start of a text."""
        return PieceDecoder(self._pieces)


class ByteTokenizer(PieceTokenizer):
    """A tokenizer in which the id of a byte is its value. It has nothing to learn."""

    kind = "byte"
    tensor_shapes: TensorShapes = {}
    size = 256
    start_id = ord(NEWLINE)
    unsampleable_ids: tuple[int, ...] = ()

    def __init__(self) -> None:
        super().__init__([bytes([value]) for value in range(self.size)])

    @classmethod
    def train(cls, chunks: Iterable[str], *, vocabulary_size: int | None) -> ByteTokenizer:
        """Return the byte tokenizer. Raises UsageError for any `vocabulary_size` but 256."""
        if vocabulary_size not in (None, cls.size):
            raise UsageError("--vocab-size of a byte model is always 256")
        return cls()

    @classmethod
    def from_tensors(cls, tensors: Tensors) -> ByteTokenizer:
        """Return the byte tokenizer."""
        return cls()

    def tensors(self) -> Tensors:
        """Return no tensors."""
        return {}

    def encode(self, text: str) -> IntArray:
        """Return the bytes of a text's UTF-8, int32."""
        return np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8).astype(np.int32)

    def stable_prefix(self, text: str) -> int:
        """Return the length of the text: no byte depends on the next character."""
        return len(text)
