"""The n-gram losses of a text, from which `scaling.expected_loss_at` expects the loss of a network."""

from __future__ import annotations

import numpy as np

from charlm.contract import IntArray
from charlm.inference.ngrams import ngram_nats
from charlm.text.token_cache import TokenCache
from charlm.training.scaling import Yardsticks

# A network learns less from a short text than n-grams do: those of an eighth of it predict the network's loss best.
SHARE = 8
ORDER = 8
MAX_TRAIN, MAX_HELD_OUT = 125_000, 100_000      # tokens
STRETCHES = 100                         # evenly spaced, because texts change their subject on the way


def text_yardsticks(train: TokenCache, held_out: TokenCache, size: int) -> Yardsticks:
    """Return the held-out losses of n-gram models of a part of the text, in about half a second at most.

    `size` is the number of token ids.
    """
    known = _spread(train, min(len(train) // SHARE, MAX_TRAIN))
    unknown = _spread(held_out, min(len(held_out), MAX_HELD_OUT))
    ngrams, bigrams = (float(ngram_nats(known, unknown, size, order=order).mean()) for order in (ORDER, 2))
    return Yardsticks(ngrams, bigrams, size)


def _spread(tokens: TokenCache, wanted: int) -> IntArray:
    """Return about `wanted` tokens, (T,), from evenly spaced stretches."""
    length = max(wanted // STRETCHES, 1)
    if len(tokens) <= wanted or wanted < STRETCHES:
        return tokens.slice(0, min(wanted, len(tokens)))
    starts = np.linspace(0, len(tokens) - length, STRETCHES).astype(int)
    return np.concatenate([tokens.slice(start, start + length) for start in starts.tolist()])
