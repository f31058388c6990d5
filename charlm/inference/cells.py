"""One recurrent layer of each cell in NumPy: the same equations as torch.nn.RNN, GRU and LSTM.

Matrices are stored transposed, so that a row of input times a matrix reads memory in order. A sigmoid is computed as
sigmoid(x) = (tanh(x / 2) + 1) / 2. The inner halves are folded into the stored weights, so that all gates of an LSTM go
through one tanh.
"""

from __future__ import annotations

import numpy as np

from charlm.config import ModelConfig
from charlm.contract import FloatArray, IntArray
from charlm.inference.matmul import Matmul

HiddenState = tuple[FloatArray, ...]    # h, or h and c, each (B, H)
_HALF = np.float32(0.5)


class Layer:
    """The base of the three cells: inputs of size I, hidden states of size H, G gates, windows of T steps."""

    state_size = 1                      # arrays in the hidden state

    def __init__(self, weight_ih: FloatArray, weight_hh: FloatArray, bias: FloatArray):
        self.weight_ih = np.ascontiguousarray(weight_ih.T)      # (I, G*H)
        self.weight_hh = np.ascontiguousarray(weight_hh.T)      # (H, G*H)
        self.bias = bias                                        # (G*H,)
        self.hidden_size = self.weight_hh.shape[0]

    def project(self, x: FloatArray, matmul: Matmul) -> FloatArray:
        """Return the gate inputs (..., G*H) of inputs (..., I); this needs no state."""
        projected = matmul(x.reshape(-1, x.shape[-1]), self.weight_ih)
        projected += self.bias
        return projected.reshape(*x.shape[:-1], -1)

    def initial_state(self, batch: int) -> HiddenState:
        """Return the hidden state of rows that have read nothing: zeros."""
        return (np.zeros((batch, self.hidden_size), np.float32),) * self.state_size

    def step(self, gates: FloatArray, state: HiddenState, matmul: Matmul) -> HiddenState:
        """Return the hidden state after one time step of projected input (B, G*H), which is overwritten."""
        raise NotImplementedError

    def activation(self, memory: FloatArray) -> FloatArray:
        """Return the activations of units from the last array of their hidden state: h as it is."""
        return memory

    def run(self, projected: FloatArray, state: HiddenState, matmul: Matmul, lengths: IntArray | None = None,
            record: FloatArray | None = None) -> tuple[FloatArray, HiddenState]:
        """Read a projected window (T, B, G*H), which is overwritten; return outputs (T, B, H) and the last state.

        The last array of the hidden state after every step is written to `record` (T, B, H), if there is one.
        """
        if len(projected) == 1 and record is None:
            state = self.step(projected[0], state, matmul)
            return state[0][None], state
        outputs = np.empty((*projected.shape[:2], self.hidden_size), np.float32)
        for time, gates in enumerate(projected):
            before, state = state, self.step(gates, state, matmul)
            if lengths is not None:         # row b keeps its state after lengths[b] steps
                active = (time < lengths)[:, None]
                state = tuple(np.where(active, new, old) for new, old in zip(state, before, strict=True))
            outputs[time] = state[0]
            if record is not None:
                record[time] = state[-1]
        return outputs, state


class LSTMLayer(Layer):
    """Long short-term memory (Hochreiter and Schmidhuber 1997), with the forget gate of Gers et al. 2000.

    c' = sigmoid(f) * c + sigmoid(i) * tanh(g);  h' = sigmoid(o) * tanh(c')
    """

    state_size = 2

    def __init__(self, weight_ih: FloatArray, weight_hh: FloatArray, bias_ih: FloatArray, bias_hh: FloatArray):
        size = weight_hh.shape[1]
        i, f, g, o = np.arange(4 * size).reshape(4, size)
        order = np.concatenate([i, f, o, g])        # the three sigmoids side by side
        half = np.repeat(np.array([0.5, 0.5, 0.5, 1.0], np.float32), size)
        super().__init__(weight_ih[order] * half[:, None], weight_hh[order] * half[:, None],
                         (bias_ih + bias_hh)[order] * half)

    def step(self, gates: FloatArray, state: HiddenState, matmul: Matmul) -> HiddenState:
        """Return h and c after one time step."""
        hidden, cell = state
        gates += matmul(hidden, self.weight_hh)
        # Contiguous gates halve the time of the operations below; with one row they are contiguous already.
        by_gate = gates.reshape(len(gates), 4, -1).swapaxes(0, 1)       # (4, B, H)
        activated = np.tanh(by_gate, out=by_gate if len(gates) == 1 else np.empty(by_gate.shape, np.float32))
        sigmoids = activated[:3]
        sigmoids *= 0.5
        sigmoids += 0.5
        input_gate, forget_gate, output_gate, candidate = activated
        cell = cell * forget_gate
        candidate *= input_gate
        cell += candidate
        hidden = np.tanh(cell)
        hidden *= output_gate
        return hidden, cell

    def run(self, projected: FloatArray, state: HiddenState, matmul: Matmul, lengths: IntArray | None = None,
            record: FloatArray | None = None) -> tuple[FloatArray, HiddenState]:
        """Read a window like any layer, but without allocations if it is a single row.

        A step of one row is little more than a dozen NumPy calls, so overhead matters. The bits are the same.
        """
        if len(projected) == 1 or projected.shape[1] > 1 or lengths is not None:
            return super().run(projected, state, matmul, lengths, record)
        size = self.hidden_size
        hidden, cell = state[0][0], state[1][0].copy()
        recurrent, gates = np.empty((2, 4 * size), np.float32)
        sigmoids, candidate = gates[:3 * size], gates[3 * size:]
        write, forget, show = sigmoids.reshape(3, size)
        outputs = np.empty((len(projected), size), np.float32)
        for time, inputs in enumerate(projected[:, 0]):
            np.dot(hidden, self.weight_hh, recurrent)
            np.add(inputs, recurrent, gates)
            np.tanh(gates, gates)
            np.multiply(sigmoids, _HALF, sigmoids)
            np.add(sigmoids, _HALF, sigmoids)
            np.multiply(cell, forget, cell)
            np.multiply(candidate, write, candidate)
            np.add(cell, candidate, cell)
            hidden = outputs[time]
            np.tanh(cell, hidden)
            np.multiply(hidden, show, hidden)
            if record is not None:
                record[time] = cell
        return outputs[:, None], (hidden[None].copy(), cell[None])

    def activation(self, memory: FloatArray) -> FloatArray:
        """Return tanh(c), which Karpathy, Johnson and Li 2015 draw: the output gate would hide what a cell keeps."""
        activations: FloatArray = np.tanh(memory)
        return activations


class GRULayer(Layer):
    """Gated recurrent unit (Cho et al. 2014), with the reset gate after the recurrent product, as in cuDNN.

    n = tanh(n_x + sigmoid(r) * n_h);  h' = n + sigmoid(z) * (h - n)
    """

    def __init__(self, weight_ih: FloatArray, weight_hh: FloatArray, bias_ih: FloatArray, bias_hh: FloatArray):
        size = weight_hh.shape[1]
        half = np.repeat(np.array([0.5, 0.5, 1.0], np.float32), size)
        outside = bias_hh * np.repeat(np.array([1, 1, 0], np.float32), size)    # all but the candidate's
        super().__init__(weight_ih * half[:, None], weight_hh * half[:, None], (bias_ih + outside) * half)
        self.bias_candidate = bias_hh[2 * size:]

    def step(self, gates: FloatArray, state: HiddenState, matmul: Matmul) -> HiddenState:
        """Return h after one time step."""
        hidden, = state
        size = self.hidden_size
        recurrent = matmul(hidden, self.weight_hh)
        sigmoids = gates[:, :2 * size]
        sigmoids += recurrent[:, :2 * size]
        np.tanh(sigmoids, out=sigmoids)
        sigmoids *= 0.5
        sigmoids += 0.5
        reset = recurrent[:, 2 * size:]
        reset += self.bias_candidate
        reset *= gates[:, :size]
        candidate = gates[:, 2 * size:]
        candidate += reset
        np.tanh(candidate, out=candidate)
        hidden = hidden - candidate
        hidden *= gates[:, size:2 * size]
        hidden += candidate
        return (hidden,)


class RNNLayer(Layer):
    """The plain recurrent layer (Elman 1990), with tanh or relu: h' = f(W x + U h + b)."""

    def __init__(self, weight_ih: FloatArray, weight_hh: FloatArray, bias_ih: FloatArray, bias_hh: FloatArray, *,
                 nonlinearity: str):
        super().__init__(weight_ih, weight_hh, bias_ih + bias_hh)
        self._nonlinearity = nonlinearity

    def step(self, gates: FloatArray, state: HiddenState, matmul: Matmul) -> HiddenState:
        """Return h after one time step."""
        gates += matmul(state[0], self.weight_hh)
        return (np.tanh(gates) if self._nonlinearity == "tanh" else np.maximum(gates, 0),)


def build_layer(config: ModelConfig, weights: dict[str, FloatArray], name: str) -> Layer:
    """Return the layer whose four tensors in torch's layout are stored under `name`."""
    tensors = [weights[f"{name}.{part}_l0"] for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    if config.cell == "lstm":
        return LSTMLayer(*tensors)
    if config.cell == "gru":
        return GRULayer(*tensors)
    return RNNLayer(*tensors, nonlinearity=config.nonlinearity)
