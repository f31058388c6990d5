"""Short lines, each compressed independently of all others to a line of base64, without header or checksum.

A line is its tokens and an end: `eos_id` of a model of lines, a newline of a model of running text. What the model
compresses badly is `=` and the base64 of its bytes instead. Padding is left out.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

import numpy as np

from charlm.compression.blocks import decode_token, encode_tokens
from charlm.compression.escapes import EscapeModel
from charlm.compression.frequencies import TOTAL
from charlm.compression.predictor import Predictor
from charlm.compression.range_coder import RangeDecoder, RangeEncoder
from charlm.compression.spelling import Spelled
from charlm.contract import IntArray
from charlm.errors import ArchiveError, UsageError

AT_ONCE = 256                           # lines
MAX_LINE = 1 << 16                      # bytes of a line that is decoded; compress stores longer ones
_PLAIN = b"="


class LineCoder:
    """Compresses lines without their newline, many side by side. Raises UsageError for a model without line ends."""

    def __init__(self, predictor: Predictor):
        self._predictor, self._spelling = predictor, predictor.spelling
        end = self._spelling.spell(b"\n")
        if end.escapes or len(end.tokens) != 1:
            raise UsageError("--lines needs a model that knows the end of a line; train one with --lines")
        self._end = int(end.tokens[0])

    def compress(self, lines: Sequence[bytes]) -> list[bytes]:
        """Return each line as base64."""
        spelled = [self._spelled(line) for line in lines]
        kept = [number for number, one in enumerate(spelled) if one is not None]
        codes = dict(zip(kept, self._encode([one for one in spelled if one is not None]), strict=True))
        return [_shorter(line, codes.get(number)) for number, line in enumerate(lines)]

    def _spelled(self, line: bytes) -> Spelled | None:
        """Return the tokens of a line and its end; None for one that is stored."""
        if len(line) > MAX_LINE:
            return None
        spelled = self._spelling.spell(line)
        if self._end in spelled.tokens or self._spelling.join(spelled.tokens, iter(spelled.escapes.values())) != line:
            return None
        return Spelled(np.append(spelled.tokens, self._end), spelled.escapes)

    def _encode(self, lines: list[Spelled]) -> list[bytes]:
        coders = [(RangeEncoder(), EscapeModel()) for _ in lines]
        active = list(range(len(lines)))
        self._predictor.restart(len(lines))
        step = 0
        while active:
            tokens = np.array([lines[number].tokens[step] for number in active])
            parts = zip(active, *encode_tokens(self._predictor.frequencies(), tokens), strict=True)
            for number, start, size in parts:
                coder, escapes = coders[number]
                coder.encode(start, size, TOTAL)
                if step in lines[number].escapes:
                    escapes.encode(lines[number].escapes[step], coder)
            active = self._go_on(active, tokens)
            step += 1
        return [coder.finish() for coder, _ in coders]

    def _go_on(self, active: list[int], tokens: IntArray) -> list[int]:
        """Let the predictor read the tokens of the active lines; return the lines that have not ended."""
        self._predictor.read(tokens)
        if (tokens == self._end).any():
            left = np.flatnonzero(tokens != self._end).tolist()
            active = [active[index] for index in left]
            if active:
                self._predictor.select(left)
        return active

    def decompress(self, lines: Sequence[bytes]) -> list[bytes | None]:
        """Return each line's text, or None for a line that `compress` cannot have written."""
        found: list[bytes | None] = [None] * len(lines)
        codes: dict[int, bytes] = {}
        for number, line in enumerate(lines):
            data = _unpadded(line.removeprefix(_PLAIN))
            if data is not None and line.startswith(_PLAIN):
                found[number] = data
            elif data is not None:
                codes[number] = data
        for number, text in zip(codes, self._decode([*codes.values()]), strict=True):
            found[number] = text
        valid = [number for number, text in enumerate(found) if text is not None]
        again = self.compress([text for text in found if text is not None])
        for number, line in zip(valid, again, strict=True):
            found[number] = found[number] if line == lines[number] else None
        return found

    def _decode(self, codes: list[bytes]) -> list[bytes | None]:
        coders = [(RangeDecoder(code), EscapeModel()) for code in codes]
        tokens: list[list[int]] = [[] for _ in codes]
        escapes: list[list[bytes]] = [[] for _ in codes]
        active = list(range(len(codes)))
        self._predictor.restart(len(codes))
        while active:
            sums = np.cumsum(self._predictor.frequencies(), axis=1)
            for number, ends in zip(active, sums, strict=True):
                coder, model = coders[number]
                token = decode_token(ends, coder)
                tokens[number].append(token)
                if token == self._spelling.escape:
                    escapes[number].append(model.decode(coder))
                if len(tokens[number]) > MAX_LINE:
                    tokens[number][-1] = self._end
            active = self._go_on(active, np.array([tokens[number][-1] for number in active]))
        return [self._spelling.join(np.array(row[:-1], np.int64), iter(some))
                for row, some in zip(tokens, escapes, strict=True)]


def _shorter(line: bytes, code: bytes | None) -> bytes:
    plain = _PLAIN + base64.b64encode(line).rstrip(b"=")
    if code is None:
        return plain
    return min(base64.b64encode(code).rstrip(b"="), plain, key=len)


def _unpadded(text: bytes) -> bytes | None:
    """Return the bytes of base64 without padding; None if it is not base64."""
    try:
        return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        return None


def check_line(text: bytes | None, number: int) -> bytes:
    """Return the text of line `number`. Raises ArchiveError if it has no text."""
    if text is None:
        raise ArchiveError(f"line {number} was not written by `charlm compress --lines` with this model")
    return text
