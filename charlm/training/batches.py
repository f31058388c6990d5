"""Batches of examples of similar length, reshuffled in every epoch; seed and step alone determine a batch."""

from __future__ import annotations

import numpy as np

from charlm.text.examples import batch_by_length

# Tokens by which lengths are blurred before sorting. If all lines of a batch ended at one place, its gradient would say
# more about that place than about lines; more mixing costs more padding. A target's length follows from its source.
LINE_BLUR, PAIR_BLUR = 3.0, 1.0


class Batches:
    """The examples of every step, given the length in tokens of each example."""

    def __init__(self, lengths: np.ndarray, *, batch_size: int, seed: int, blur: float):
        self._lengths, self._blur = lengths, blur
        self._batch_size, self._seed = batch_size, seed
        self._epoch, self._first, self._batches = 0, 0, self._shuffled(0)
        self.in_first_epoch = len(self._batches)

    def at(self, step: int) -> np.ndarray:
        """Return the indices of a step's examples; steps count from 0."""
        if step < self._first:
            self._epoch, self._first, self._batches = 0, 0, self._shuffled(0)
        while step >= self._first + len(self._batches):
            self._first += len(self._batches)
            self._epoch += 1
            self._batches = self._shuffled(self._epoch)
        return self._batches[step - self._first]

    def _shuffled(self, epoch: int) -> list[np.ndarray]:
        """Return the batches of one epoch: sorted by blurred length, cut, then shuffled."""
        rng = np.random.default_rng([self._seed, epoch])
        blurred = self._lengths + rng.uniform(-self._blur, self._blur, len(self._lengths))
        order = np.argsort(blurred, kind="stable")
        batches = [order[rows] for rows in batch_by_length(self._lengths[order], self._batch_size)]
        return [batches[index] for index in rng.permutation(len(batches))]
