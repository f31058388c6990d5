"""Bytes as a model's tokens and back, exactly, whatever the bytes are.

A tokenizer of pieces (bytes, subwords) has a token for each byte, so every file can be spelled with it. A tokenizer of
characters reads what it does not know as `<unk>`; the bytes of each `<unk>` are an escape. A model of lines has no
newline but an end of line, which is used for it here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeGuard

import numpy as np

from charlm.contract import IntArray, Tokenizer
from charlm.text.special_tokens import eos_id
from charlm.text.tokenizers.byte import PieceTokenizer

_INVALID = re.compile("([\udc80-\udcff]+)")         # bytes that are not UTF-8, as `surrogateescape` decodes them
_NEWLINE = ord("\n")
_NONE = -1                              # no token


@dataclass(frozen=True)
class Spelled:
    """Tokens (T,), and the bytes of each token that is an escape, by position."""

    tokens: IntArray
    escapes: dict[int, bytes]


def _has_pieces(tokenizer: Tokenizer) -> TypeGuard[PieceTokenizer]:
    return isinstance(tokenizer, PieceTokenizer)


class Spelling:
    """The spelling of bytes by a tokenizer; with `lines` a newline is the end of a line, `eos_id`."""

    def __init__(self, tokenizer: Tokenizer, *, lines: bool):
        self._tokenizer = tokenizer
        self.end = eos_id(tokenizer) if lines else _NONE
        unknown = None if _has_pieces(tokenizer) else tokenizer.unknown_id
        self.escape = _NONE if unknown is None else unknown
        self.start = self.end if lines else tokenizer.start_id      # read before the first token
        self._bytes = np.array(tokenizer.byte_ids, np.int64) if _has_pieces(tokenizer) else None

    def spell(self, data: bytes) -> Spelled:
        """Return the tokens of some bytes."""
        return self._pieces(data) if _has_pieces(self._tokenizer) else self._characters(data)

    def _characters(self, data: bytes) -> Spelled:
        text = data.decode("utf-8", "surrogateescape")
        tokens = self._tokenizer.encode(text).astype(np.int64)
        if self.end != _NONE:
            codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
            tokens[codes == _NEWLINE] = self.end
        at = np.flatnonzero(tokens == self.escape).tolist()
        return Spelled(tokens, {index: text[index].encode("utf-8", "surrogateescape") for index in at})

    def _pieces(self, data: bytes) -> Spelled:
        if self.end == _NONE:
            return Spelled(self._piece_tokens(data), {})
        parts: list[IntArray] = []
        for line in data.split(b"\n"):
            parts += [self._piece_tokens(line), np.array([self.end])]
        return Spelled(np.concatenate(parts)[:-1], {})

    def _piece_tokens(self, data: bytes) -> IntArray:
        assert self._bytes is not None
        parts = _INVALID.split(data.decode("utf-8", "surrogateescape"))
        found = [self._bytes[list(part.encode("utf-8", "surrogateescape"))]
                 if number % 2 else self._tokenizer.encode(part).astype(np.int64)
                 for number, part in enumerate(parts) if part]
        return np.concatenate(found) if found else np.zeros(0, np.int64)

    def join(self, tokens: IntArray, escapes: Iterator[bytes]) -> bytes:
        """Return the bytes that tokens spell, each `<unk>` being the next escape."""
        parts, at = [], 0
        for stop in np.flatnonzero((tokens == self.escape) | (tokens == self.end)).tolist():
            parts += [self._known(tokens[at:stop]), b"\n" if tokens[stop] == self.end else next(escapes)]
            at = stop + 1
        return b"".join([*parts, self._known(tokens[at:])])

    def _known(self, tokens: IntArray) -> bytes:
        if _has_pieces(self._tokenizer):
            return self._tokenizer.spelled(tokens.tolist())
        return self._tokenizer.decoder().push(tokens.tolist()).encode("utf-8")
