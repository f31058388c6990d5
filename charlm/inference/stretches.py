"""The most surprising stretch of a text: the mean over a long line hides a short anomaly."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from charlm.contract import FloatArray, Tokenizer
from charlm.inference.line_scoring import TextScore, bits_by_span
from charlm.inference.scoring import nats_to_bits


class Stretch(NamedTuple):
    """A part of a text and its surprisal."""

    start: int                          # index of its first character
    text: str
    bits: float

    @property
    def bits_per_character(self) -> float:
        """The bits divided by the number of characters; 0 for an empty stretch."""
        return self.bits / max(len(self.text), 1)


def worst_stretch(score: TextScore, tokenizer: Tokenizer, length: int) -> Stretch:
    """Return the most surprising stretch of `length` characters, the first if several tie, or all of a shorter text.

    The bits of a token of several characters are divided evenly among them.
    """
    bits = _bits_by_character(score, tokenizer)
    length = min(length, len(bits))
    sums = np.concatenate([[0.0], bits.cumsum()])
    windows = sums[length:] - sums[:len(sums) - length]
    start = int(windows.argmax())
    return Stretch(start, score.text[start:start + length], float(windows[start]))


def _bits_by_character(score: TextScore, tokenizer: Tokenizer) -> FloatArray:
    """Return the bits (N,) of every character of a text."""
    if tokenizer.kind == "char":        # every token is one character, including the end of a line
        return score.nats * nats_to_bits(1)
    texts, bits = zip(*bits_by_span(score, tokenizer), strict=True) if score.text else ((), ())
    sizes = np.array([len(text) for text in texts], np.int64)
    return np.repeat(np.array(bits) / np.maximum(sizes, 1), sizes)
