"""One block of tokens as a code, and back.

The tokens are cut into L lanes of nearly equal length, one after the other, the longer ones last. At each step the next
token of every lane is coded, in the order of the lanes; an escape follows its token. At the last step only the longer
lanes have a token, and nothing is learned from it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from charlm.compression.escapes import EscapeModel
from charlm.compression.frequencies import TOTAL
from charlm.compression.predictor import Predictor
from charlm.compression.range_coder import RangeDecoder, RangeEncoder
from charlm.compression.spelling import Spelled
from charlm.contract import IntArray

Code = Callable[[NDArray[np.int64], IntArray], IntArray]


def lane_starts(count: int, lanes: int) -> IntArray:
    """Return where each lane begins in `count` tokens.

    >>> lane_starts(11, 4).tolist()
    [0, 2, 5, 8]
    """
    longer = count % lanes
    return np.arange(lanes) * (count // lanes) + np.maximum(np.arange(lanes) - (lanes - longer), 0)


def _walk(predictor: Predictor, count: int, code: Code) -> None:
    """Go through a block; `code` gets frequencies (L, V) and positions (L,), and returns the tokens there."""
    predictor.begin_block()
    starts, longer = lane_starts(count, predictor.lanes), count % predictor.lanes
    for step in range(count // predictor.lanes):
        predictor.read(code(predictor.frequencies(), starts + step))
    if longer:
        tokens = np.zeros(predictor.lanes, np.int64)
        tokens[-longer:] = code(predictor.frequencies()[-longer:], starts[-longer:] + count // predictor.lanes)
        predictor.read(tokens, learn=False)


def encode_tokens(frequencies: NDArray[np.int64], tokens: IntArray) -> tuple[list[int], list[int]]:
    """Return where the parts of tokens (L,) begin in frequencies (L, V), and their sizes."""
    rows = np.arange(len(tokens))
    sizes = frequencies[rows, tokens]
    ends = np.cumsum(frequencies, axis=1)[rows, tokens]
    return (ends - sizes).tolist(), sizes.tolist()


def decode_token(ends: NDArray[np.int64], coder: RangeDecoder) -> int:
    """Return the next token, from the sums (V,) of frequencies up to each token."""
    token = int(ends.searchsorted(coder.target(TOTAL), "right"))
    start = int(ends[token - 1]) if token else 0
    coder.consume(start, int(ends[token]) - start, TOTAL)
    return token


class BlockCoder:
    """Encodes and decodes the blocks of one file, which share a predictor and the counts of escapes."""

    def __init__(self, predictor: Predictor):
        self.predictor, self._escapes = predictor, EscapeModel()

    def restart(self) -> None:
        """Forget everything."""
        self.predictor.restart(self.predictor.lanes)
        self._escapes = EscapeModel()

    def encode(self, spelled: Spelled) -> bytes:
        """Return the code of a block."""
        coder = RangeEncoder()

        def code(frequencies: NDArray[np.int64], positions: IntArray) -> IntArray:
            tokens = spelled.tokens[positions]
            for start, size, position in zip(*encode_tokens(frequencies, tokens), positions.tolist(), strict=True):
                coder.encode(start, size, TOTAL)
                if position in spelled.escapes:
                    self._escapes.encode(spelled.escapes[position], coder)
            return tokens

        _walk(self.predictor, len(spelled.tokens), code)
        return coder.finish()

    def decode(self, code: bytes, count: int) -> bytes:
        """Return the bytes of a block of `count` tokens."""
        coder, found, escapes = RangeDecoder(code), np.empty(count, np.int64), dict[int, bytes]()
        escape = self.predictor.spelling.escape

        def read(frequencies: NDArray[np.int64], positions: IntArray) -> IntArray:
            for ends, position in zip(np.cumsum(frequencies, axis=1), positions.tolist(), strict=True):
                found[position] = token = decode_token(ends, coder)
                if token == escape:
                    escapes[position] = self._escapes.decode(coder)
            return found[positions]

        _walk(self.predictor, count, read)
        return self.predictor.spelling.join(found, (escapes[position] for position in sorted(escapes)))
