"""Beam search: the likeliest whole sequences, for many sources side by side.

A beam holds `width` hypotheses. One that ends leaves the beam and its slot stays empty, so that a beam of width one is
greedy search, and a beam as wide as there are sequences finds them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from charlm.contract import BoolArray, FloatArray, IntArray, Network, State


@dataclass(frozen=True)
class Hypothesis:
    """A sequence of tokens, without the end-of-sequence token, and its probability."""

    tokens: tuple[int, ...]
    log_probability: float              # nats, the end included
    finished: bool                      # False: cut off at the length limit

    def score(self, length_penalty: float) -> float:
        """Return the log probability over length ** length_penalty (Wu et al. 2016, eq. 14, as in Hugging Face)."""
        penalty: float = (len(self.tokens) + 1) ** length_penalty
        return self.log_probability / penalty


def log_softmax(logits: FloatArray) -> FloatArray:
    """Return log probabilities (..., V) in float64."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=-1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return shifted


def _top_columns(values: FloatArray, count: int) -> IntArray:
    """Return columns (B, count) of each row's largest values, in descending order; of equal values the first."""
    smallest = np.partition(values, -count, axis=1)[:, -count, None]
    above, equal = values > smallest, values == smallest
    chosen = above | equal & (equal.cumsum(axis=1) <= count - above.sum(axis=1, keepdims=True))
    columns = np.nonzero(chosen)[1].reshape(len(values), count)
    order = np.argsort(-np.take_along_axis(values, columns, axis=1), axis=1, kind="stable")
    return np.take_along_axis(columns, order, axis=1)


class _Beams:
    """The unfinished hypotheses of all sources: one row each, those of a source together, likeliest first."""

    def __init__(self, sources: int, width: int):
        self._width = width
        self.source = np.arange(sources)                    # (R,) the source of each row's hypothesis
        self.total: FloatArray = np.zeros(sources)          # (R,) log probability so far
        self.tokens = np.zeros((sources, 0), np.int64)      # (R, t)
        self.slots = np.full(sources, width)                # hypotheses that each source may still hold
        self.ended: list[list[Hypothesis]] = [[] for _ in range(sources)]

    def extend(self, log_probabilities: FloatArray, eos_id: int, limits: IntArray) -> IntArray:
        """Extend every row (R, V) by its likeliest tokens; return the old row of each remaining hypothesis."""
        first, best, totals = self._best_extensions(log_probabilities)          # (L,), (L, K), (L, K)
        size, sources = log_probabilities.shape[1], self.source[first]
        parents, tokens = first[:, None] + best // size, best % size
        kept = np.isfinite(totals) & (np.arange(best.shape[1]) < self.slots[sources][:, None])
        ends = kept & (tokens == eos_id)
        for at, column in np.argwhere(ends):
            self._end(sources[at], self.tokens[parents[at, column]], totals[at, column], True)
        self.slots[sources] -= ends.sum(axis=1)
        at, column = np.nonzero(kept & ~ends)
        rows: IntArray = parents[at, column]
        self.source, self.total = sources[at], totals[at, column]
        self.tokens = np.concatenate([self.tokens[rows], tokens[at, column][:, None]], axis=1)
        return rows[self._cut_off(limits)]

    def _best_extensions(self, log_probabilities: FloatArray) -> tuple[IntArray, IntArray, FloatArray]:
        """Return the first row of each of L unfinished sources, and its K best extensions with their totals.

        Extension i is token i % V of the source's row i // V.
        """
        unfinished, first = np.unique(self.source, return_index=True)
        slot = np.arange(len(self.source)) - np.repeat(first, np.diff([*first, len(self.source)]))
        dense = np.full((len(unfinished), slot.max() + 1, log_probabilities.shape[1]), -np.inf)
        dense[np.searchsorted(unfinished, self.source), slot] = self.total[:, None] + log_probabilities
        dense = dense.reshape(len(unfinished), -1)
        best = _top_columns(dense, min(self._width, dense.shape[1]))
        return first, best, np.take_along_axis(dense, best, axis=1)

    def _cut_off(self, limits: IntArray) -> BoolArray:
        """End the hypotheses that have reached their source's limit; return a mask of the rows that remain."""
        remain = self.tokens.shape[1] < limits[self.source]
        for row in np.flatnonzero(~remain):
            self._end(self.source[row], self.tokens[row], self.total[row], False)
        self.source, self.total, self.tokens = self.source[remain], self.total[remain], self.tokens[remain]
        return remain

    def _end(self, source: int, tokens: IntArray, total: float, finished: bool) -> None:
        self.ended[source].append(Hypothesis(tuple(tokens.tolist()), float(total), finished))


def beam_search(network: Network, state: State, *, eos_id: int, banned: Sequence[int], width: int, limits: IntArray,
                length_penalty: float) -> list[list[Hypothesis]]:
    """Return at most `width` hypotheses for each row of the state, best first; those that were cut off come last.

    Every sequence starts after `eos_id` and ends with it; `banned` tokens never occur; row b has at most limits[b] >= 1
    tokens. A row whose logits are not finite, e.g. because training diverged, ends at once.
    """
    beams = _Beams(len(limits), width)
    tokens = np.full(len(limits), eos_id)
    while len(beams.source):
        logits, state = network.step(tokens[:, None], state)
        broken = ~np.isfinite(logits[:, 0].max(axis=1))
        logits[broken] = 0
        log_probabilities = log_softmax(logits[:, 0])
        log_probabilities[broken] = np.where(np.arange(log_probabilities.shape[1]) == eos_id, 0, -np.inf)
        log_probabilities[:, list(banned)] = -np.inf
        rows = beams.extend(log_probabilities, eos_id, limits)
        tokens = beams.tokens[:, -1]
        state = state.select(rows)
    return [sorted(ended, key=lambda h: (not h.finished, -h.score(length_penalty))) for ended in beams.ended]
