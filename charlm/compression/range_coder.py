"""A range coder (Martin 1979) of integer frequencies, in Python's integers.

The interval is [low, low + range) below 2^64. A carry out of it is added at once to the bytes that are already
written, so none has to be held back. The unused end of the code is as short as the interval allows, and the decoder
reads zeros after it.
"""

from __future__ import annotations

_BITS = 64
_FULL = 1 << _BITS
_MASK = _FULL - 1
_SMALL = 1 << 48                        # a smaller range is widened by two bytes; totals must stay well below it


class RangeEncoder:
    """An encoder of symbols, each a part [start, start + size) of a total of at most 2^32."""

    def __init__(self) -> None:
        self._low, self._range, self._out = 0, _FULL, bytearray()

    def encode(self, start: int, size: int, total: int) -> None:
        """Append a symbol."""
        unit = self._range // total
        self._low += unit * start
        self._range = unit * size
        if self._low >= _FULL:
            self._carry()
        while self._range < _SMALL:
            self._out += (self._low >> 48).to_bytes(2, "big")
            self._low = self._low << 16 & _MASK
            self._range <<= 16

    def _carry(self) -> None:
        self._low -= _FULL
        at = len(self._out) - 1
        while self._out[at] == 0xFF:
            self._out[at] = 0
            at -= 1
        self._out[at] += 1

    def finish(self) -> bytes:
        """Return the code: the shortest bytes that, with zeros after them, lie in the interval."""
        for kept in range(0, _BITS + 1, 8):
            unit = 1 << _BITS - kept
            value = (self._low + unit - 1) // unit * unit
            if value < self._low + self._range:
                break
        self._low = value
        if value >= _FULL:
            self._carry()
        return bytes(self._out + self._low.to_bytes(8, "big")).rstrip(b"\0")


class RangeDecoder:
    """A decoder of what RangeEncoder wrote: `target`, then `consume` of the symbol that contains it."""

    def __init__(self, code: bytes):
        self._code, self._at = code, 8
        self._offset, self._range = int.from_bytes(code[:8].ljust(8, b"\0"), "big"), _FULL     # offset: above low

    def target(self, total: int) -> int:
        """Return a number from 0 to total - 1 that lies in the next symbol's part of the total."""
        return min(self._offset // (self._range // total), total - 1)

    def consume(self, start: int, size: int, total: int) -> None:
        """Go past the symbol [start, start + size)."""
        unit = self._range // total
        self._offset -= unit * start
        self._range = unit * size
        while self._range < _SMALL:
            self._offset = self._offset << 16 | int.from_bytes(self._code[self._at:self._at + 2].ljust(2, b"\0"), "big")
            self._at += 2
            self._range <<= 16
