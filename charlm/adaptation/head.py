"""A linear head that learns while it reads: softmax regression on hidden states, by Adam without momentum.

Its weights are whole numbers in units of a power of two, and so are hidden states and errors: every product of
matrices is a sum of whole numbers below 2^53, with the same bits in whatever order BLAS adds them.
"""

from __future__ import annotations

import numpy as np

from charlm.adaptation.exact import Floats, Integers, softmax_weights
from charlm.config import AdaptationSettings
from charlm.contract import FloatArray, IntArray

STATE_SCALE = 127                       # of hidden states that fit 8 bits
FINE_SCALE = 1 << 14                    # so fine that float rounding in the network moves no score visibly
ERROR_SCALE = 1 << 16
_LEAST_ERROR = ERROR_SCALE / 256        # of a token in a block, for its row to learn
_STATE_LIMIT = 64                       # of hidden states; only relu cells exceed 1
_WEIGHT_LIMIT = 64                      # of weights and biases
_SECOND_MOMENT = 0.999                  # decay of Adam's second moment (Kingma and Ba 2015)
_EPSILON = 1e-8                         # relative to the largest gradient of one token


def quantise_states(hidden: FloatArray, scale: int = FINE_SCALE) -> Floats:
    """Return hidden states as whole numbers, h * scale rounded."""
    limit = _STATE_LIMIT * scale
    return np.clip(np.rint(hidden.astype(np.float64) * scale), -limit, limit)


class AdaptiveHead:
    """Head and bias (V, H + 1), whose last column is multiplied by a constant state."""

    def __init__(self, head: FloatArray, bias: FloatArray, settings: AdaptationSettings, scale: int):
        self._settings, self._scale = settings, scale
        inputs = head.shape[1] + 1
        # 52 bits hold the sum of `inputs` products of a weight and a state.
        self._unit = 2.0 ** -(52 - _bits(_WEIGHT_LIMIT) - _bits(_STATE_LIMIT * scale) - _bits(inputs))
        weights = np.concatenate([head, bias[:, None]], axis=1).astype(np.float64)
        self._first = self._rounded(weights / self._unit)
        self._weights = self._first.copy()
        self._squares = np.zeros_like(self._weights)        # Adam's second moment
        self._missing = np.ones((len(head), 1))             # its weight that is still on the zero it began with
        self._sum, self._read = np.zeros(inputs - 1), 0     # of all states read

    def _rounded(self, weights: Floats) -> Floats:
        """Return weights rounded to integers within the limit; overwrites its argument."""
        limit = _WEIGHT_LIMIT / self._unit
        np.rint(weights, out=weights)
        np.minimum(weights, limit, out=weights)
        return np.maximum(weights, -limit, out=weights)

    def inputs(self, states: IntArray | FloatArray) -> Floats:
        """Return states (N, H) with the constant one, (N, H + 1)."""
        inputs = np.empty((len(states), states.shape[1] + 1))
        inputs[:, :-1] = states
        inputs[:, -1] = self._scale
        return inputs

    def weights(self, inputs: Floats) -> Integers:
        """Return integer weights (N, V), proportional to the probabilities."""
        return softmax_weights(inputs @ self._weights.T, self._unit / self._scale)

    def learn(self, inputs: Floats, probabilities: Floats, tokens: IntArray) -> None:
        """Take one step towards the tokens (N,) that followed; a row whose errors are tiny keeps its weights.

        The gradient is that for states minus their mean so far, which Adam's diagonal scaling suits better.
        """
        self._sum += inputs[:, :-1].sum(axis=0)
        self._read += len(inputs)
        mean = np.rint(self._sum / self._read)
        inputs = inputs.copy()
        inputs[:, :-1] -= mean
        errors = np.rint(probabilities * ERROR_SCALE)
        errors[np.arange(len(tokens)), tokens] -= ERROR_SCALE
        rows = (np.maximum(errors.max(axis=0), -errors.min(axis=0)) >= _LEAST_ERROR).nonzero()[0]
        index = slice(None) if len(rows) == len(self._weights) else rows
        step = self._step(index, errors[:, index].T @ inputs)
        step[:, -1] -= np.rint(step[:, :-1] @ mean / self._scale)
        weights = self._weights[index]
        change = self._first[index] - weights
        change *= self._settings.head_pull
        change -= step
        change += weights
        self._weights[index] = self._rounded(change)

    def _step(self, index: slice | IntArray, gradient: Floats) -> Floats:
        """Return Adam's step for these rows, in integers."""
        squares, more = self._squares[index], gradient * gradient
        squares *= _SECOND_MOMENT
        more *= 1 - _SECOND_MOMENT
        squares += more
        self._squares[index] = squares
        self._missing[index] *= _SECOND_MOMENT
        divisor = np.divide(squares, 1 - self._missing[index], out=more)
        np.sqrt(divisor, out=divisor)
        divisor += _EPSILON * ERROR_SCALE * self._scale
        gradient *= self._settings.head_rate / self._unit
        gradient /= divisor
        return np.rint(gradient, out=gradient)


class GivenLogits:
    """The place of a head that learns elsewhere: its inputs are logits."""

    def inputs(self, states: IntArray | FloatArray) -> Floats:
        """Return logits (N, V) as float64."""
        return states.astype(np.float64)

    def weights(self, inputs: Floats) -> Integers:
        """Return integer weights (N, V), proportional to the probabilities."""
        return softmax_weights(inputs.copy(), 1.0)

    def learn(self, inputs: Floats, probabilities: Floats, tokens: IntArray) -> None:
        """Learn nothing."""


def _bits(count: int) -> int:
    return (count - 1).bit_length()
