"""The network in arithmetic that gives the same bits on every machine, which a decoder on another machine requires.

Matrix products are integer sums, exact in any order of summation (see `exact_matrix`): weights have 8 bits and
a scale for each output, hidden states are round(h * 127). Everything else is done value by value with + - * / and rint,
which IEEE 754 defines exactly, and with tables (see `exact_tables`). Cell states are integers in units of 2^-14, so
that no value is ever so small that flushing denormals could change it. Arrays have a column for each lane.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from charlm.compression.exact_matrix import LEVELS, ExactMatrix, GateRows, exact_projection, spread
from charlm.compression.exact_tables import SIGMOID_STEPS, SIGMOID_ZERO, sigmoid_table, tanh_table
from charlm.config import ModelConfig
from charlm.contract import IntArray, RowIndex, Tensors
from charlm.errors import UsageError

UNIT = 1 << 14                          # the integer that a cell state of 1 is
RELU_LIMIT = 64                         # hidden states of relu are clipped here
_MAX_ARGUMENT = 1 << 30                 # of the sigmoid, in entries of its table
Floats = NDArray[np.float32]

# float32, because NumPy before 2.0 computes with a Python number in the array's type too, but slower.
_ONE_UNIT, _TWO_UNITS = np.float32(UNIT), np.float32(2 * UNIT)
_ENTRIES = np.float32(2 * SIGMOID_STEPS / UNIT)     # of tanh's table for a cell state of 1 / UNIT
_ZERO = np.float32(SIGMOID_ZERO + 0.5)              # entries are rounded by rounding down


def largest_state(config: ModelConfig) -> int:
    """Return the largest integer that a hidden state can be."""
    return LEVELS * (RELU_LIMIT if config.cell == "rnn" and config.nonlinearity == "relu" else 1)


def _entries(values: NDArray[np.float64], bias: NDArray[np.float64], factor: NDArray[np.float64]) -> Floats:
    """Return gate inputs in entries of the sigmoid's table, float32; adding products gives numbers to round down."""
    return ((values + bias) * factor + (SIGMOID_ZERO + 0.5)).astype(np.float32)


class ExactLayer:
    """A recurrent layer of L lanes. Layer 0 has a row of gate inputs for each token, others read H integers."""

    gates = 1
    _rows: GateRows

    def __init__(self, weights: Tensors, name: str, embedding: Floats | None, largest: int):
        self._ih, self._hh, self._bias_ih, self._bias_hh = (
            weights[f"{name}.{part}_l0"].astype(np.float64)
            for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        self.size, self._largest = self._hh.shape[1], largest
        self._sigmoids, self._tanh_levels, self._tanh_units = sigmoid_table(), tanh_table(LEVELS), tanh_table(UNIT)
        with np.errstate(over="ignore"):        # infinities are refused
            self._build(embedding)

    def _build(self, embedding: Floats | None) -> None:
        """Prepare matrices and tables."""
        raise NotImplementedError

    def start(self, lanes: int) -> None:
        """Forget everything, with this many lanes."""
        size, width = self.size, self.gates * self.size
        self._rows.start(lanes)
        self._gates, self._values = (np.empty((width, lanes), np.float32) for _ in range(2))
        self._index = np.empty((width, lanes), np.intp)
        self._joined = np.zeros((2 * size, lanes), np.float32)
        self.inputs, self.hidden = self._joined[:size], self._joined[size:]         # integers; hidden is the output
        self._memory = np.zeros((size, lanes), np.float32)                          # in units of 1 / UNIT
        self._parts = [self._values[at:at + size] for at in range(0, width, size)]
        self._gate_parts = [self._gates[at:at + size] for at in range(0, width, size)]
        self._first_index = self._index[:size]

    def forget(self, rows: RowIndex) -> None:
        """Start these lanes afresh."""
        self._joined[:, rows] = 0
        self._memory[:, rows] = 0

    def select(self, rows: RowIndex) -> None:
        """Keep these lanes, in this order."""
        joined, memory = self._joined[:, rows], self._memory[:, rows]
        self.start(joined.shape[1])
        self._joined[:], self._memory[:] = joined, memory

    def step(self, tokens: IntArray | None) -> None:
        """Read a token a lane, or without any what is in `inputs`; the new h is in `hidden`."""
        raise NotImplementedError

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
            rows = _entries(np.zeros((1, len(order))), bias, factor)
        else:
            self._matrix = ExactMatrix(hh, self._largest)
            rows = _entries(exact_projection(embedding, ih), bias, factor)
        self._rows, self._scale = GateRows(rows), (self._matrix.scale * factor / LEVELS).astype(np.float32)
        self._check(self._rows.bound, self._matrix.bound * float(self._scale.max()))

    def start(self, lanes: int) -> None:
        """Forget everything, with this many lanes."""
        super().start(lanes)
        self._scales = spread(self._scale, lanes)

    def _gate_order(self) -> tuple[IntArray, NDArray[np.float64]]:
        """Return the order of the gate rows and the factor of each: tanh(x) is 2 sigmoid(2x) - 1."""
        raise NotImplementedError

    def _read(self, tokens: IntArray | None) -> Floats:
        """Return the gate inputs in entries of the table."""
        gates = self._gates
        self._matrix.multiply(self._joined if tokens is None else self.hidden, gates)
        gates *= self._scales
        gates += self._rows.take(tokens)
        return gates


class ExactLSTM(_Joined):
    """Long short-term memory, as `charlm.inference.cells.LSTMLayer`."""

    gates = 4

    def _gate_order(self) -> tuple[IntArray, NDArray[np.float64]]:
        i, f, g, o = np.arange(4 * self.size).reshape(4, self.size)
        return np.concatenate([i, f, o, g]), SIGMOID_STEPS * np.repeat([1.0, 1.0, 1.0, 2.0], self.size)

    def step(self, tokens: IntArray | None) -> None:
        """Read a token a lane, or `inputs`."""
        cell, hidden, (i, f, o, g) = self._memory, self.hidden, self._parts
        self._index[...] = self._read(tokens)
        self._sigmoids.take(self._index[:-self.size], out=self._values[:-self.size], mode="clip")
        self._tanh_units.take(self._index[-self.size:], out=g, mode="clip")
        g *= i
        cell *= f
        cell += g
        np.rint(cell, out=cell)
        np.multiply(cell, _ENTRIES, out=g)
        g += _ZERO
        self._first_index[...] = g
        self._tanh_levels.take(self._first_index, out=hidden, mode="clip")
        hidden *= o
        np.rint(hidden, out=hidden)


class ExactRNN(_Joined):
    """The plain recurrent layer with tanh."""

    def _gate_order(self) -> tuple[IntArray, NDArray[np.float64]]:
        return np.arange(self.size), np.full(self.size, 2.0 * SIGMOID_STEPS)

    def step(self, tokens: IntArray | None) -> None:
        """Read a token a lane, or `inputs`."""
        self._index[...] = self._read(tokens)
        self._tanh_levels.take(self._index, out=self.hidden, mode="clip")
        np.rint(self.hidden, out=self.hidden)


class ExactReluRNN(_Joined):
    """The plain recurrent layer with relu; its hidden states are at most RELU_LIMIT."""

    def _gate_order(self) -> tuple[IntArray, NDArray[np.float64]]:
        return np.arange(self.size), np.full(self.size, float(LEVELS))

    def step(self, tokens: IntArray | None) -> None:
        """Read a token a lane, or `inputs`."""
        gates = self._read(tokens)
        gates -= _ZERO
        np.clip(gates, 0, self._largest, out=self.hidden)
        np.rint(self.hidden, out=self.hidden)


class ExactGRU(ExactLayer):
    """Gated recurrent unit, as `charlm.inference.cells.GRULayer`; h itself is kept in units of 1 / UNIT."""

    gates = 3

    def _build(self, embedding: Floats | None) -> None:
        size = self.size
        factor = SIGMOID_STEPS * np.repeat([1.0, 1.0, 2.0], size)
        outside = self._bias_hh * np.repeat([1.0, 1.0, 0.0], size)      # all but the candidate's
        self._recurrent = ExactMatrix(self._hh, self._largest)
        self._recurrent_scale = (self._recurrent.scale * factor / LEVELS).astype(np.float32)
        self._input_scale = np.zeros(0, np.float32)
        self._candidate_bias = (self._bias_hh[2 * size:] * factor[2 * size:]).astype(np.float32)
        bias, bound = self._bias_ih + outside, self._recurrent.bound * float(self._recurrent_scale.max())
        if embedding is None:
            self._input = ExactMatrix(self._ih, self._largest)
            self._input_scale = (self._input.scale * factor / LEVELS).astype(np.float32)
            rows = _entries(np.zeros((1, 3 * size)), bias, factor)
            bound += self._input.bound * float(self._input_scale.max())
        else:
            rows = _entries(exact_projection(embedding, self._ih), bias, factor)
        self._rows = GateRows(rows)
        self._check(self._rows.bound, bound, float(np.abs(self._candidate_bias).max()))

    def start(self, lanes: int) -> None:
        """Forget everything, with this many lanes."""
        super().start(lanes)
        self._recurrent_scales = spread(self._recurrent_scale, lanes)
        self._candidate_biases = spread(self._candidate_bias, lanes)
        self._input_scales = spread(self._input_scale, lanes)

    def step(self, tokens: IntArray | None) -> None:
        """Read a token a lane, or `inputs`."""
        gates, recurrent, exact = self._gates, self._values, self._memory
        reset, update, candidate = self._gate_parts
        if tokens is None:
            self._input.multiply(self.inputs, gates)
            gates *= self._input_scales
            gates += self._rows.take(None)
        else:
            gates[...] = self._rows.take(tokens)
        self._recurrent.multiply(self.hidden, recurrent)
        recurrent *= self._recurrent_scales
        for gate, product in zip((reset, update), self._parts[:2], strict=True):
            gate += product
            self._look_up(self._sigmoids, gate, gate)
        reset_product = self._parts[2]
        reset_product += self._candidate_biases
        reset_product *= reset
        candidate += reset_product
        self._look_up(self._tanh_units, candidate, candidate)
        exact -= candidate
        exact *= update
        exact += candidate
        np.rint(exact, out=exact)
        np.multiply(exact, np.float32(LEVELS / UNIT), out=self.hidden)
        np.rint(self.hidden, out=self.hidden)

    def _look_up(self, table: Floats, arguments: Floats, out: Floats) -> None:
        self._first_index[...] = arguments
        table.take(self._first_index, out=out, mode="clip")


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
        output = first.hidden
        for layer in others:
            layer.inputs[:] = output
            layer.step(None)
            output = layer.hidden
        return output.T


def head_of(config: ModelConfig, weights: Tensors) -> tuple[Floats, Floats]:
    """Return the head's weight (V, H) and bias (V,)."""
    head = weights["embedding.weight"][:config.vocabulary_size] if config.tied else weights["head.weight"]
    return head, weights["head.bias"]
