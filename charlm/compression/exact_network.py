"""The network in arithmetic that gives the same bits on every machine, as a decoder on another one needs.

Matrix products are sums of integers that no order of summation can round (see `exact_matrix`): weights have 8 bits and a
scale for each output, hidden states are round(h * 127). Everything else is done value by value with + - * / and rint,
which IEEE 754 defines exactly, and with tables (see `exact_tables`). Cell states are integers in units of 2^-14, so
that no value is ever so small that flushing denormals could change it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from charlm.compression.exact_matrix import LEVELS, ExactMatrix, exact_projection
from charlm.compression.exact_tables import SIGMOID_STEPS, SIGMOID_ZERO, sigmoid_table
from charlm.config import ModelConfig
from charlm.contract import IntArray, RowIndex, Tensors
from charlm.errors import UsageError

UNIT = 1 << 14                          # cell states are integers; this one stands for 1
RELU_LIMIT = 64                         # hidden states of relu are clipped here
_MAX_ARGUMENT = 1 << 30                 # of the sigmoid, in entries of its table
Floats = NDArray[np.float32]


def largest_state(config: ModelConfig) -> int:
    """Return the largest integer that a hidden state can be."""
    return LEVELS * (RELU_LIMIT if config.cell == "rnn" and config.nonlinearity == "relu" else 1)


def _entries(values: NDArray[np.float64], bias: NDArray[np.float64], factor: NDArray[np.float64]) -> Floats:
    """Return gate inputs in entries of the sigmoid's table, float32; adding products gives numbers to round down."""
    return ((values + bias) * factor + (SIGMOID_ZERO + 0.5)).astype(np.float32)


class ExactLayer:
    """One recurrent layer of L lanes. Layer 0 has a row of gate inputs for each token, others an input of H integers.

    `state` (L, 2H) is what the next layer, if any, reads from this layer's `inputs` half, and this layer's own h.
    """

    gates = 1

    def __init__(self, weights: Tensors, name: str, embedding: Floats | None, largest: int):
        self._ih, self._hh, self._bias_ih, self._bias_hh = (
            weights[f"{name}.{part}_l0"].astype(np.float64)
            for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        self.size, self._largest = self._hh.shape[1], largest
        self._table = sigmoid_table()
        self._build(embedding)

    def _build(self, embedding: Floats | None) -> None:
        """Prepare matrices and tables."""
        raise NotImplementedError

    def start(self, lanes: int) -> None:
        """Forget everything, with this many lanes."""
        width = self.gates * self.size
        self._gates, self._projected = (np.empty((lanes, width), np.float32) for _ in range(2))
        self._index = np.empty((lanes, width), np.intp)
        self.joined = np.zeros((lanes, 2 * self.size), np.float32)      # the input, then the hidden state
        self.inputs, self.hidden = self.joined[:, :self.size], self.joined[:, self.size:]
        self.own = np.zeros((lanes, self.size), np.float32)             # h, contiguous
        self.memory = np.zeros((lanes, self.size), np.float32)          # in units of 1 / UNIT

    def forget(self, rows: RowIndex) -> None:
        """Start these lanes afresh."""
        for part in (self.joined, self.own, self.memory):
            part[rows] = 0

    def select(self, rows: RowIndex) -> None:
        """Keep these lanes, in this order."""
        kept = [part[rows] for part in (self.joined, self.own, self.memory)]
        self.start(len(kept[0]))
        self.joined[:], self.own[:], self.memory[:] = kept

    def step(self, tokens: IntArray | None) -> None:
        """Read a token a lane, or without any what is in `inputs`; the new h is in `own` and `hidden`."""
        raise NotImplementedError

    def _sigmoids(self, arguments: Floats, out: Floats) -> Floats:
        index = self._index[:, :arguments.shape[1]]
        np.copyto(index, arguments, casting="unsafe")
        return np.take(self._table, index, out=out, mode="clip")

    def _check(self, *bounds: float) -> None:
        if not sum(bounds) < _MAX_ARGUMENT:
            raise UsageError("the model's weights are too large to compress with")


class _Joined(ExactLayer):
    """A layer whose gates all add up input and hidden state, in one product: LSTM and RNN."""

    def _build(self, embedding: Floats | None) -> None:
        order, factor = self._gate_order()
        bias, hh, ih = ((part[order]) for part in (self._bias_ih + self._bias_hh, self._hh, self._ih))
        if embedding is None:
            self._matrix = ExactMatrix(np.concatenate([ih, hh], axis=1), self._largest)
            self._rows = _entries(np.zeros((1, len(order))), bias, factor)
        else:
            self._matrix = ExactMatrix(hh, self._largest)
            self._rows = _entries(exact_projection(embedding, ih), bias, factor)
        self._scale = (self._matrix.scale * factor / LEVELS).astype(np.float32)
        self._check(float(np.abs(self._rows).max()), self._matrix.bound * float(self._scale.max()))

    def _gate_order(self) -> tuple[IntArray, NDArray[np.float64]]:
        """Return the order of the gate rows and the factor of each: a tanh is 2 sigmoid(2x) - 1."""
        raise NotImplementedError

    def _read(self, tokens: IntArray | None) -> Floats:
        """Return the gate inputs in entries of the table."""
        gates = self._gates
        self._matrix.multiply(self.joined if tokens is None else self.own, gates)
        gates *= self._scale
        gates += self._rows if tokens is None else np.take(self._rows, tokens, axis=0, out=self._projected, mode="clip")
        return gates


class ExactLSTM(_Joined):
    """Long short-term memory, as `charlm.inference.cells.LSTMLayer`."""

    gates = 4

    def _gate_order(self) -> tuple[IntArray, NDArray[np.float64]]:
        i, f, g, o = np.arange(4 * self.size).reshape(4, self.size)
        return np.concatenate([i, f, o, g]), SIGMOID_STEPS * np.repeat([1.0, 1.0, 1.0, 2.0], self.size)

    def step(self, tokens: IntArray | None) -> None:
        """Read a token a lane, or `inputs`."""
        size, cell = self.size, self.memory
        values = self._sigmoids(self._read(tokens), self._projected)
        i, f, o, g = (values[:, start:start + size] for start in range(0, 4 * size, size))
        g *= 2 * UNIT
        g -= UNIT
        g *= i
        cell *= f
        cell += g
        np.rint(cell, out=cell)
        arguments = self._gates[:, :size]
        np.multiply(cell, np.float32(2 * SIGMOID_STEPS / UNIT), out=arguments)
        np.clip(arguments, -SIGMOID_ZERO, SIGMOID_ZERO, out=arguments)
        arguments += SIGMOID_ZERO + 0.5
        tanh = self._sigmoids(arguments, self.own)
        tanh *= 2 * LEVELS
        tanh -= LEVELS
        tanh *= o
        np.rint(tanh, out=tanh)
        self.hidden[:] = tanh


class ExactRNN(_Joined):
    """The plain recurrent layer with tanh."""

    def _gate_order(self) -> tuple[IntArray, NDArray[np.float64]]:
        return np.arange(self.size), np.full(self.size, 2.0 * SIGMOID_STEPS)

    def step(self, tokens: IntArray | None) -> None:
        """Read a token a lane, or `inputs`."""
        tanh = self._sigmoids(self._read(tokens), self.own)
        tanh *= 2 * LEVELS
        tanh -= LEVELS
        np.rint(tanh, out=tanh)
        self.hidden[:] = tanh


class ExactReluRNN(_Joined):
    """The plain recurrent layer with relu; its hidden states are at most RELU_LIMIT."""

    def _gate_order(self) -> tuple[IntArray, NDArray[np.float64]]:
        return np.arange(self.size), np.full(self.size, float(LEVELS))

    def step(self, tokens: IntArray | None) -> None:
        """Read a token a lane, or `inputs`."""
        gates = self._read(tokens)
        gates -= SIGMOID_ZERO + 0.5
        np.clip(gates, 0, self._largest, out=self.own)
        np.rint(self.own, out=self.own)
        self.hidden[:] = self.own


class ExactGRU(ExactLayer):
    """Gated recurrent unit, as `charlm.inference.cells.GRULayer`; h itself is kept in units of 2^-14."""

    gates = 3

    def _build(self, embedding: Floats | None) -> None:
        size = self.size
        factor = SIGMOID_STEPS * np.repeat([1.0, 1.0, 2.0], size)
        outside = self._bias_hh * np.repeat([1.0, 1.0, 0.0], size)      # all but the candidate's
        self._recurrent = ExactMatrix(self._hh, self._largest)
        self._recurrent_scale = (self._recurrent.scale * factor / LEVELS).astype(np.float32)
        self._candidate_bias = (self._bias_hh[2 * size:] * factor[2 * size:]).astype(np.float32)
        bias, bound = self._bias_ih + outside, self._recurrent.bound * float(self._recurrent_scale.max())
        if embedding is None:
            self._input = ExactMatrix(self._ih, self._largest)
            self._input_scale = (self._input.scale * factor / LEVELS).astype(np.float32)
            self._rows = _entries(np.zeros((1, 3 * size)), bias, factor)
            bound += self._input.bound * float(self._input_scale.max())
        else:
            self._rows = _entries(exact_projection(embedding, self._ih), bias, factor)
        self._check(float(np.abs(self._rows).max()), bound, float(np.abs(self._candidate_bias).max()))

    def step(self, tokens: IntArray | None) -> None:
        """Read a token a lane, or `inputs`."""
        size, gates, recurrent, hidden = self.size, self._gates, self._projected, self.memory
        if tokens is None:
            self._input.multiply(self.inputs, gates)
            gates *= self._input_scale
            gates += self._rows
        else:
            np.take(self._rows, tokens, axis=0, out=gates, mode="clip")
        self._recurrent.multiply(self.own, recurrent)
        recurrent *= self._recurrent_scale
        sums, candidate = gates[:, :2 * size], gates[:, 2 * size:]
        sums += recurrent[:, :2 * size]
        values = self._sigmoids(sums, np.empty_like(sums))
        reset = recurrent[:, 2 * size:]
        reset += self._candidate_bias
        reset *= values[:, :size]
        candidate += reset
        new = self._sigmoids(candidate, self.own)
        new *= 2 * UNIT
        new -= UNIT
        hidden -= new
        hidden *= values[:, size:]
        hidden += new
        np.rint(hidden, out=hidden)
        np.multiply(hidden, np.float32(LEVELS / UNIT), out=self.own)
        np.rint(self.own, out=self.own)
        self.hidden[:] = self.own


def _layer_class(config: ModelConfig) -> type[ExactLayer]:
    if config.cell == "rnn":
        return ExactReluRNN if config.nonlinearity == "relu" else ExactRNN
    return ExactLSTM if config.cell == "lstm" else ExactGRU


class ExactNetwork:
    """Embedding and recurrent layers of a model of running text or lines, over L lanes, without its head."""

    def __init__(self, config: ModelConfig, weights: Tensors, lanes: int = 1):
        if config.has_source:
            raise UsageError("a model with an encoder cannot compress; train one with --encoder shared")
        layer, largest = _layer_class(config), largest_state(config)
        self._layers = [layer(weights, f"decoder.{number}", None if number else weights["embedding.weight"], largest)
                        for number in range(config.num_layers)]
        self.start(lanes)

    def start(self, lanes: int) -> None:
        """Forget everything, with this many lanes."""
        for layer in self._layers:
            layer.start(lanes)

    def forget(self, rows: RowIndex) -> None:
        """Start these lanes afresh."""
        for layer in self._layers:
            layer.forget(rows)

    def select(self, rows: RowIndex) -> None:
        """Keep these lanes, in this order; one may be repeated."""
        for layer in self._layers:
            layer.select(rows)

    def step(self, tokens: IntArray) -> Floats:
        """Read a token a lane (L,); return the last layer's hidden states, integers (L, H), valid until the next."""
        first, *others = self._layers
        first.step(tokens)
        output = first.own
        for layer in others:
            layer.inputs[:] = output
            layer.step(None)
            output = layer.own
        return output


def head_of(config: ModelConfig, weights: Tensors) -> tuple[Floats, Floats]:
    """Return the head's weight (V, H) and bias (V,)."""
    head = weights["embedding.weight"][:config.vocabulary_size] if config.tied else weights["head.weight"]
    return head, weights["head.bias"]
