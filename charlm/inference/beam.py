"""Beam search: the likeliest whole sequences, for many sources side by side.

A beam holds `width` hypotheses. One that ends leaves it and takes its place with it, so that a beam
of one is greedy search, and a beam as wide as there are sequences finds them all. Knows of a network
no more than the contract's `step` and `select`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from charlm.inference.network import Network
from charlm.inference.state import State


@dataclass(frozen=True)
class Hypothesis:
    """A sequence without its eos_id, and how likely it is."""

    tokens: tuple[int, ...]
    log_probability: float              # nats, the boundary's included
    finished: bool                      # False: cut off at the length limit

    def score(self, length_penalty: float) -> float:
        """Log probability over length to this power (Wu et al. 2016, eq. 14, as Hugging Face has it)."""
        return self.log_probability / (len(self.tokens) + 1) ** length_penalty


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Log probabilities (..., V), float64."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=-1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return shifted


def _largest(values: np.ndarray, count: int) -> np.ndarray:
    """Columns (B, count) of the largest values of each row, largest first, the first of equals first."""
    least = np.partition(values, -count, axis=1)[:, -count, None]
    above, equal = values > least, values == least
    chosen = above | equal & (equal.cumsum(axis=1) <= count - above.sum(axis=1, keepdims=True))
    columns = np.nonzero(chosen)[1].reshape(len(values), count)
    order = np.argsort(-np.take_along_axis(values, columns, axis=1), axis=1, kind="stable")
    return np.take_along_axis(columns, order, axis=1)


class _Beams:
    """The hypotheses in hand: one row each, rows of a source together, likeliest first."""

    def __init__(self, sources: int, width: int):
        self._width = width
        self.source = np.arange(sources)                # (R,) whose hypothesis a row is
        self.total = np.zeros(sources)                  # (R,) log probability so far
        self.written = np.zeros((sources, 0), np.int64)  # (R, t)
        self.positions = np.full(sources, width)           # hypotheses a source may still hold
        self.ended: list[list[Hypothesis]] = [[] for _ in range(sources)]

    def advance(self, log_probabilities: np.ndarray, eos_id: int, limits: np.ndarray) -> np.ndarray:
        """Extend every row (R, V) by its likeliest tokens; return the old row of each row now in hand."""
        size = log_probabilities.shape[1]
        living, first = np.unique(self.source, return_index=True)
        slot = np.arange(len(self.source)) - np.repeat(first, np.diff([*first, len(self.source)]))
        dense = np.full((len(living), slot.max() + 1, size), -np.inf)
        dense[np.searchsorted(living, self.source), slot] = self.total[:, None] + log_probabilities
        dense = dense.reshape(len(living), -1)
        best = _largest(dense, min(self._width, dense.shape[1]))                # (L, K)
        totals = np.take_along_axis(dense, best, axis=1)
        parents, tokens = first[:, None] + best // size, best % size
        kept = np.isfinite(totals) & (np.arange(best.shape[1]) < self.positions[living][:, None])
        ends = kept & (tokens == eos_id)
        for at, column in np.argwhere(ends):
            self._end(living[at], self.written[parents[at, column]], totals[at, column], True)
        self.positions[living] -= ends.sum(axis=1)
        at, column = np.nonzero(kept & ~ends)
        rows = parents[at, column]
        self.source, self.total = living[at], totals[at, column]
        self.written = np.concatenate([self.written[rows], tokens[at, column][:, None]], axis=1)
        return rows[self._within(limits)]

    def _within(self, limits: np.ndarray) -> np.ndarray:
        """Cut off what has reached its limit; return which rows go on."""
        going = self.written.shape[1] < limits[self.source]
        for row in np.flatnonzero(~going):
            self._end(self.source[row], self.written[row], self.total[row], False)
        self.source, self.total, self.written = self.source[going], self.total[going], self.written[going]
        return going

    def _end(self, source: int, written: np.ndarray, total: float, finished: bool) -> None:
        self.ended[source].append(Hypothesis(tuple(written.tolist()), float(total), finished))


def beam_search(network: Network, state: State, *, eos_id: int, banned: Sequence[int], width: int,
                limits: np.ndarray, length_penalty: float) -> list[list[Hypothesis]]:
    """For each row of the state at most `width` hypotheses, best first; those cut off come last.

    Writing begins and ends with `boundary`; `banned` tokens are never written; row b writes at most
    limits[b] >= 1 tokens. A row whose logits are not finite, as of a network that diverged, ends.
    """
    beams = _Beams(len(limits), width)
    tokens = np.full(len(limits), eos_id)
    while len(beams.source):
        logits, state = network.step(tokens[:, None], state)
        broken = ~np.isfinite(logits[:, 0].max(axis=1))
        logits[broken] = 0
        chances = log_softmax(logits[:, 0])
        chances[broken] = np.where(np.arange(chances.shape[1]) == eos_id, 0, -np.inf)
        chances[:, list(banned)] = -np.inf
        rows = beams.advance(chances, eos_id, limits)
        tokens = beams.written[:, -1]
        state = state.select(rows)
    return [sorted(ended, key=lambda h: (not h.finished, -h.score(length_penalty)))
            for ended in beams.ended]
