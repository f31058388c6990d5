"""Escapes: bytes that the tokenizer cannot spell, of unknown characters and of what is no UTF-8.

An escape is a kind (0: a byte that is no UTF-8; 1 to 4: the number of bytes of a character) and its bytes. Both are
coded by counts of the escapes so far: the kind by all, the first byte by those of its kind, and a further byte by
those that followed the same byte.
"""

from __future__ import annotations

from collections import defaultdict

from charlm.compression.range_coder import RangeDecoder, RangeEncoder

_STEP = 32                              # added to a symbol's count when it occurs
_MAX_TOTAL = 1 << 16                    # counts are then halved
_MAX_KIND = 4


class _Counts:
    """Adaptive frequencies of a small alphabet, each at least 1."""

    def __init__(self, size: int = 256):
        self._counts, self._total = [1] * size, size

    def encode(self, symbol: int, coder: RangeEncoder) -> None:
        coder.encode(sum(self._counts[:symbol]), self._counts[symbol], self._total)
        self._add(symbol)

    def decode(self, coder: RangeDecoder) -> int:
        target, start, symbol = coder.target(self._total), 0, 0
        while start + self._counts[symbol] <= target:
            start += self._counts[symbol]
            symbol += 1
        coder.consume(start, self._counts[symbol], self._total)
        self._add(symbol)
        return symbol

    def _add(self, symbol: int) -> None:
        self._counts[symbol] += _STEP
        self._total += _STEP
        if self._total > _MAX_TOTAL:
            self._counts = [(count + 1) // 2 for count in self._counts]
            self._total = sum(self._counts)


class EscapeModel:
    """The counts of all escapes so far."""

    def __init__(self) -> None:
        self._kinds = _Counts(_MAX_KIND + 1)
        self._first = [_Counts() for _ in range(_MAX_KIND + 1)]
        self._after: dict[int, _Counts] = defaultdict(_Counts)

    def encode(self, data: bytes, coder: RangeEncoder) -> None:
        """Append an escape: one byte that is no UTF-8, or the bytes of one character."""
        kind = 0 if len(data) == 1 and data[0] >= 0x80 else len(data)
        self._kinds.encode(kind, coder)
        self._first[kind].encode(data[0], coder)
        for before, byte in zip(data, data[1:], strict=False):
            self._after[before].encode(byte, coder)

    def decode(self, coder: RangeDecoder) -> bytes:
        """Return the next escape."""
        kind = self._kinds.decode(coder)
        data = [self._first[kind].decode(coder)]
        while len(data) < kind:
            data.append(self._after[data[-1]].decode(coder))
        return bytes(data)
