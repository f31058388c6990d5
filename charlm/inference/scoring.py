"""Surprisal of many independent texts: nats of every token, and the loss metrics made from them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from charlm.contract import FloatArray, IntArray, Network, State, Tokenizer
from charlm.text.examples import batch_by_length, padded
from charlm.text.special_tokens import with_bos_eos

WINDOW = 512                            # tokens of one text read at once
LOGITS = 4_000_000                      # logits in memory at once, for any vocabulary: 16 MB
ROWS = 256                              # texts side by side; fewer if they are long
TOKENS_AT_ONCE = 1024                   # of all texts side by side: what fits in a processor's cache
_MAX_NATS = 700                         # exp of more overflows a float

# Logits (..., V) and targets (...) in, numbers (...) or (..., C) about each target out.
Measure = Callable[[FloatArray, IntArray, Tokenizer], FloatArray]


def nats_to_bits(nats: float) -> float:
    """Return the information in bits, nats / ln 2."""
    return nats / math.log(2)


def perplexity(nats_per_token: float) -> float:
    """Return exp(nats_per_token), clamped so that the perplexity of a diverged model is finite."""
    return math.exp(min(nats_per_token, _MAX_NATS))


def token_nats(logits: FloatArray, targets: IntArray, tokenizer: Tokenizer) -> FloatArray:
    """Return -log p of each target (...) in nats, float64, from logits (..., V)."""
    largest = logits.max(axis=-1, keepdims=True)
    log_sum = np.log(np.exp(logits - largest).sum(axis=-1, dtype=np.float64)) + largest[..., 0]
    return add_unknown(log_sum - np.take_along_axis(logits, targets[..., None], axis=-1)[..., 0], targets, tokenizer)


def add_unknown(nats: FloatArray, targets: IntArray, tokenizer: Tokenizer) -> FloatArray:
    """Return nats of targets, in place: <unk>'s probability is divided evenly among all unknown characters."""
    if tokenizer.unknown_id is not None:
        nats[targets == tokenizer.unknown_id] += tokenizer.unknown_surprisal
    return nats


def score_rows(network: Network, tokenizer: Tokenizer, rows: Sequence[IntArray],
               begin: Callable[[IntArray], State] | None = None, *, measure: Measure = token_nats) -> list[FloatArray]:
    """Return the nats, or what else `measure` returns, of every id of each row except the first, which is only read.

    A row starts from an empty past or, if `begin` is given, from its row of the state that `begin` returns for some row
    indices. Rows of similar length are read side by side. Beyond the ids and nats themselves, memory does not grow with
    a row's length.
    """
    lengths = np.array([len(row) - 1 for row in rows], np.int64)
    order = np.argsort(lengths, kind="stable")
    results: list[FloatArray] = [np.zeros(0)] * len(rows)
    side_by_side = min(ROWS, max(LOGITS // tokenizer.size, 1))
    for batch in batch_by_length(lengths[order], side_by_side):
        indices = order[batch][::-1].copy()                             # the longest first
        state = network.start(len(indices)) if begin is None else begin(indices)
        ids = padded([rows[index] for index in indices], 0)             # (B, 1 + T)
        nats = _read(network, tokenizer, ids, lengths[indices], state, measure)
        for index, row in zip(indices, nats, strict=True):
            results[index] = row[:lengths[index]].copy()
    return results


def _read(network: Network, tokenizer: Tokenizer, ids: IntArray, lengths: IntArray, state: State,
          measure: Measure) -> FloatArray:
    """Return the measure (B, T, …) of rows (B, 1 + T), the longest first; a row that has ended is not read further."""
    nats = np.zeros((len(ids), ids.shape[1] - 1))
    at, rows = 0, len(ids)
    while at < nats.shape[1]:
        unfinished = int((lengths > at).sum())
        if unfinished < rows:
            state, rows = state.select(slice(unfinished)), unfinished
        stride = min(max(min(TOKENS_AT_ONCE, LOGITS // tokenizer.size) // rows, 1), WINDOW)
        stop = min(at + stride, nats.shape[1])
        logits, state = network.step(ids[:rows, at:stop], state)
        measured = measure(logits, ids[:rows, at + 1:stop + 1], tokenizer)
        if not at:
            nats = np.zeros((*nats.shape, *measured.shape[2:]))
        nats[:rows, at:stop] = measured
        at = stop
    return nats


def encode_sources(network: Network, sources: Sequence[IntArray],
                   positions: tuple[IntArray, IntArray] | None = None) -> State:
    """Return `network.encode` of sources of different lengths."""
    return network.encode(padded(sources, 0), np.array([len(source) for source in sources]), positions)


def teacher_forced_nats(network: Network, tokenizer: Tokenizer, targets: Sequence[IntArray],
                        state: State) -> tuple[float, int]:
    """Return the summed -log p of targets, one for each row of the state, and their ends; and the number of tokens."""
    nats = score_rows(network, tokenizer, [with_bos_eos(tokenizer, ids) for ids in targets], state.select)
    return float(sum(row.sum() for row in nats)), sum(map(len, nats))
