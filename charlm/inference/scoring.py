"""How surprising many texts are, each by itself: nats of every token.

Not here: one long text (text_scoring.py), lines and their labels (line_scoring.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from charlm.inference.network import Network
from charlm.inference.state import State
from charlm.text.examples import batch_by_length, padded
from charlm.text.special_tokens import with_bos_eos
from charlm.text.tokenizers.base import Tokenizer

WINDOW = 512                            # tokens of one text read at once
LOGITS = 4_000_000                      # numbers held at once, whatever the vocabulary: 16 MB
ROWS = 256                              # texts side by side, fewer of long ones
TOKENS_AT_ONCE = 2048                   # of all texts side by side: what stays in a processor's cache


def nats_to_bits(nats: float) -> float:
    """Return an amount of information in bits."""
    return nats / math.log(2)


def perplexity(nats_per_token: float) -> float:
    """Return the perplexity of a mean loss, capped where a float would overflow."""
    return math.exp(min(nats_per_token, 700))


def token_nats(logits: np.ndarray, targets: np.ndarray, tokenizer: Tokenizer) -> np.ndarray:
    """-log p of each target in nats, float64: logits (..., V), targets (...).

    An unknown token costs p(unk) spread evenly over all unknown characters.
    """
    largest = logits.max(axis=-1, keepdims=True)
    normaliser = np.log(np.exp(logits - largest).sum(axis=-1, dtype=np.float64)) + largest[..., 0]
    nats = normaliser - np.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
    if tokenizer.unknown_id is not None:
        nats[targets == tokenizer.unknown_id] += tokenizer.unknown_surprisal
    return nats


def score_rows(network: Network, tokenizer: Tokenizer, rows: Sequence[np.ndarray],
               begin: Callable[[np.ndarray], State] | None = None) -> list[np.ndarray]:
    """Nats of every id of each row but its first, which is only read.

    A row starts from an empty past, or from its own row of what `begin` gives for some row numbers.
    Rows of like length are read side by side; memory does not grow with how long one is, beyond its own
    ids and nats.
    """
    lengths = np.array([len(row) - 1 for row in rows], np.int64)
    order = np.argsort(lengths, kind="stable")
    results: list[np.ndarray] = [np.zeros(0)] * len(rows)
    side_by_side = min(ROWS, max(LOGITS // tokenizer.size, 1))
    for batch in batch_by_length(lengths[order], side_by_side):
        numbers = order[batch][::-1].copy()                             # the longest first
        state = network.start(len(numbers)) if begin is None else begin(numbers)
        ids = padded([rows[number] for number in numbers], 0)           # (B, 1 + T)
        nats = _read(network, tokenizer, ids, lengths[numbers], state)
        for number, row in zip(numbers, nats):
            results[number] = row[:lengths[number]].copy()
    return results


def _read(network: Network, tokenizer: Tokenizer, ids: np.ndarray, lengths: np.ndarray,
          state: State) -> np.ndarray:
    """Nats (B, T) of rows (B, 1 + T), the longest first; a row that has ended is read no further."""
    nats = np.zeros((len(ids), ids.shape[1] - 1))
    at, reading = 0, len(ids)
    while at < nats.shape[1]:
        left = int((lengths > at).sum())
        if left < reading:
            state, reading = state.select(slice(left)), left
        stop = at + _stride(reading, tokenizer.size)
        now = slice(at, min(stop, nats.shape[1]))
        logits, state = network.step(ids[:reading, now], state)
        nats[:reading, now] = token_nats(logits, ids[:reading, now.start + 1:now.stop + 1], tokenizer)
        at = now.stop
    return nats


def _stride(rows: int, known: int) -> int:
    """Tokens of each of so many rows to read at once, of so many known ids."""
    return min(max(min(TOKENS_AT_ONCE, LOGITS // known) // rows, 1), WINDOW)


def teacher_forced_nats(network: Network, tokenizer: Tokenizer, targets: Sequence[np.ndarray],
                state: State) -> tuple[float, int]:
    """Summed -log p of targets and their ends from a state with a row for each; how many tokens."""
    nats = score_rows(network, tokenizer, [with_bos_eos(tokenizer, ids) for ids in targets], state.select)
    return float(sum(row.sum() for row in nats)), sum(map(len, nats))
