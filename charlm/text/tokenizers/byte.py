"""One id a byte of the UTF-8 text: 256 ids, nothing to learn, nothing unknown."""

from __future__ import annotations

import codecs
from collections.abc import Iterable

import numpy as np

from charlm.errors import UsageError
from charlm.text.tokenizers.base import NEWLINE


class PieceDecoder:
    """Joins the bytes of pieces and decodes them; a torn character becomes U+FFFD."""

    def __init__(self, pieces: list[bytes]):
        self._pieces = pieces
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, ids: Iterable[int]) -> str:
        return self._decoder.decode(b"".join([self._pieces[index] for index in ids]))

    def flush(self) -> str:
        return self._decoder.decode(b"", True)


def readable(piece: bytes) -> str:
    """Some bytes to be looked at.

    >>> readable("né".encode()), readable(b"\\xe2\\x96"), readable(b"")
    ('né', '<0xE2 0x96>', '<unk>')
    """
    try:
        return piece.decode("utf-8") or "<unk>"
    except UnicodeDecodeError:
        return f"<{' '.join(f'0x{byte:02X}' for byte in piece)}>"


class ByteTokenizer:
    """The id of a byte is its value."""

    kind = "byte"
    size = 256
    start_id = ord(NEWLINE)
    unsampleable_ids: tuple[int, ...] = ()
    unknown_id = None
    unknown_surprisal = 0.0

    def __init__(self) -> None:
        self._pieces = [bytes([value]) for value in range(256)]

    @classmethod
    def train(cls, *, vocabulary_size: int | None) -> ByteTokenizer:
        if vocabulary_size not in (None, cls.size):
            raise UsageError("--vocab-size of a byte model is always 256")
        return cls()

    def tensors(self) -> dict[str, np.ndarray]:
        return {}

    def encode(self, text: str) -> np.ndarray:
        return np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8).astype(np.int32)

    def stable_prefix(self, text: str) -> int:
        return len(text)

    def display(self, index: int) -> str:
        return readable(self._pieces[index])

    def decoder(self) -> PieceDecoder:
        return PieceDecoder(self._pieces)
