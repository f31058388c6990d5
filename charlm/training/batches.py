"""Examples in batches of like length, in another order in every epoch.

Which examples stand in which batch follows from the seed and the step number alone.
"""

from __future__ import annotations

import numpy as np

from charlm.text.examples import batch_by_length

JITTER = 1.0                            # tokens by which lengths are blurred before sorting


class Batches:
    """Example numbers for every step, given the tokens of each example's source and target."""

    def __init__(self, lengths: np.ndarray, *, batch_size: int, seed: int):
        self._lengths = lengths
        self._batch_size, self._seed = batch_size, seed
        self._epoch, self._first, self._batches = 0, 0, self._cut(0)
        self.in_first_epoch = len(self._batches)

    def at(self, step: int) -> np.ndarray:
        """The numbers of a step's examples; steps count from 0."""
        if step < self._first:
            self._epoch, self._first, self._batches = 0, 0, self._cut(0)
        while step >= self._first + len(self._batches):
            self._first += len(self._batches)
            self._epoch += 1
            self._batches = self._cut(self._epoch)
        return self._batches[step - self._first]

    def _cut(self, epoch: int) -> list[np.ndarray]:
        """One epoch: sorted by blurred length, cut into batches, the batches shuffled."""
        chance = np.random.default_rng([self._seed, epoch])
        blurred = self._lengths + chance.uniform(-JITTER, JITTER, len(self._lengths))
        order = np.argsort(blurred, kind="stable")
        batches = [order[rows] for rows in batch_by_length(self._lengths[order], self._batch_size)]
        return [batches[place] for place in chance.permutation(len(batches))]
