"""The loss of an n-gram model of one text on another: interpolated Kneser-Ney (Chen and Goodman 1999, eq. 17).

It takes a second or two, so it serves as a yardstick for the loss that a network will reach.
"""

from __future__ import annotations

import numpy as np

from charlm.contract import FloatArray, IntArray

ORDER = 6


class _Grams:
    """The n-grams of one order in a text: dense ids by position, and the first position of each id."""

    def __init__(self, ids: IntArray):
        _, self.first, self.ids = np.unique(ids, return_index=True, return_inverse=True)

    def __len__(self) -> int:
        return len(self.first)

    @property
    def before(self) -> IntArray:
        """The id of the n-gram that ends before each position."""
        return np.concatenate([np.zeros(1, np.int64), self.ids[:-1]])


def ngram_nats(train: IntArray, held_out: IntArray, size: int, *, order: int = ORDER) -> FloatArray:
    """Return the nats of every held-out token, (T,), under an n-gram model of the training tokens.

    `size` is the number of token ids. The first held-out tokens see the last training tokens as their context.
    """
    tokens = np.concatenate([np.full(order, size), train, held_out]).astype(np.int64)   # begins with padding
    known = slice(order, order + len(train))
    grams = [_Grams(np.zeros(len(tokens), np.int64))]
    for _ in range(order):
        grams.append(_Grams(grams[-1].before * (size + 1) + tokens))
    probabilities = np.full(len(held_out), 1 / size)
    for n in range(1, order + 1):
        counted = grams[n].ids[known] if n == order else grams[n].ids[_types(grams[n + 1], known)]
        counts = np.bincount(counted, minlength=len(grams[n]))
        probabilities = _interpolate(probabilities, grams[n], grams[n - 1], counts, known.stop)
    nats: FloatArray = -np.log(probabilities)
    return nats


def _types(grams: _Grams, known: slice) -> IntArray:
    """Return the first position of every n-gram that occurs among the known positions."""
    found: IntArray = grams.first[(grams.first >= known.start) & (grams.first < known.stop)]
    return found


def _interpolate(lower: FloatArray, grams: _Grams, contexts: _Grams, counts: IntArray, start: int) -> FloatArray:
    """Return the probabilities of one order from position `start` on, given those of the order below.

    `counts` are those of the n-grams: of occurrences at the highest order, else of different tokens before them.
    """
    before = contexts.before
    of_gram = before[grams.first]
    totals = np.bincount(of_gram, counts, len(contexts))
    followers = np.bincount(of_gram, counts > 0, len(contexts))
    once, twice = (int((counts == value).sum()) for value in (1, 2))
    discount = once / (once + 2 * twice) if once else 0.5               # Ney, Essen and Kneser 1994
    total, at = totals[before[start:]], counts[grams.ids[start:]]
    mixed = np.maximum(at - discount, 0) + discount * followers[before[start:]] * lower
    probabilities: FloatArray = np.divide(mixed, total, out=lower.copy(), where=total > 0)
    return probabilities
