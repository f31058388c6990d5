"""One recurrent layer of each cell in NumPy: the equations of torch's own cells.

Matrices are stored transposed, so that a row of input times a matrix reads memory in order. A
sigmoid is half a tanh of half its argument; the halves are folded into the stored weights, so that
all gates of an LSTM go through one tanh.
"""

from __future__ import annotations

import functools

import numpy as np

from charlm.config import ModelConfig

BLOCKS = (64, 32, 16, 8, 4, 2)          # rows
_TRIED = 4

Parts = tuple[np.ndarray, ...]          # h, or h and c, each (B, H)


def _transposed(matrix: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(matrix.T)


def matmul_by_row(x: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """`x @ matrix` for x (B, K), each row by a product of its own.

    A row's result then has the same bits whatever rows stand beside it, which sampling needs: BLAS
    sums in another order for one row than for several.
    """
    return x @ matrix if len(x) == 1 else np.matmul(x[:, None], matrix)[:, 0]


@functools.cache
def _block(inner: int, outer: int) -> int:
    """Rows of the largest block in which BLAS treats all alike when it multiplies by an (inner, outer) matrix.

    Its kernels take rows in groups, some of which sum in another order than others; which do depends on
    the processor, so it is tried out.
    """
    draw = np.random.default_rng(0)
    matrix, rows = (draw.standard_normal(size, np.float32) for size in ((inner, outer), (_TRIED, inner)))
    for size in BLOCKS:
        products = np.stack([np.tile(row, (size, 1)) @ matrix for row in rows])         # (_TRIED, size, outer)
        if (products == products[:, :1]).all():
            return size
    return 1


def matmul_in_blocks(x: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """`x @ matrix` for x (B, K), in blocks of so many rows, the last one filled up.

    Like `matmul_by_row` a row's result does not depend on the others; many rows are faster.
    """
    size = _block(*matrix.shape)
    blocks = -(-len(x) // size)
    filled = np.ascontiguousarray(x)
    if len(x) < blocks * size:
        filled = np.zeros((blocks * size, x.shape[1]), x.dtype)
        filled[:len(x)] = x
    products = np.matmul(filled.reshape(blocks, size, x.shape[1]), matrix)
    return products.reshape(blocks * size, matrix.shape[1])[:len(x)]


def matmul(x: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """`x @ matrix` for x (..., K), as one product: faster, equal to about 1e-6."""
    return x @ matrix


class Layer:
    """What the three cells share: input projection, and running over a window.

    `advance(a, parts, multiply)` is one time step: a (B, G*H) holds the projected input and is
    overwritten.
    """

    parts = 1

    def __init__(self, weight_ih, weight_hh, bias):
        self.weight_ih = _transposed(weight_ih)     # (I, G*H)
        self.weight_hh = _transposed(weight_hh)     # (H, G*H)
        self.bias = bias                            # (G*H,)
        self.hidden_size = self.weight_hh.shape[0]

    def project(self, x: np.ndarray, multiply) -> np.ndarray:
        """Inputs (..., I) to gate inputs (..., G*H); needs no state."""
        projected = multiply(x.reshape(-1, x.shape[-1]), self.weight_ih)
        projected += self.bias
        return projected.reshape(*x.shape[:-1], -1)

    def empty(self, batch: int) -> Parts:
        """The parts of rows that have read nothing."""
        return (np.zeros((batch, self.hidden_size), np.float32),) * self.parts

    def run(self, projected: np.ndarray, parts: Parts, multiply) -> tuple[np.ndarray, Parts]:
        """Projected window (T, B, G*H), overwritten, to outputs (T, B, H) and the last parts."""
        if len(projected) == 1:
            parts = self.advance(projected[0], parts, multiply)
            return parts[0][None], parts
        outputs = np.empty((*projected.shape[:2], self.hidden_size), np.float32)
        for time, row in enumerate(projected):
            parts = self.advance(row, parts, multiply)
            outputs[time] = parts[0]
        return outputs, parts

    def run_to_ends(self, projected: np.ndarray, parts: Parts,
                    lengths: np.ndarray) -> tuple[np.ndarray, Parts]:
        """The same where row b ends after lengths[b] steps and then keeps what it had."""
        outputs = np.empty((*projected.shape[:2], self.hidden_size), np.float32)
        for time, row in enumerate(projected):
            reading = (time < lengths)[:, None]
            new = self.advance(row, parts, matmul)
            parts = tuple(np.where(reading, after, before) for after, before in zip(new, parts))
            outputs[time] = parts[0]
        return outputs, parts


class LSTMLayer(Layer):
    """Long short-term memory (Hochreiter and Schmidhuber 1997; forget gate of Gers et al. 2000)."""

    parts = 2

    def __init__(self, weight_ih, weight_hh, bias_ih, bias_hh):
        size = weight_hh.shape[1]
        i, f, g, o = np.arange(4 * size).reshape(4, size)
        order = np.concatenate([i, f, o, g])        # the three sigmoids side by side
        half = np.repeat(np.float32([0.5, 0.5, 0.5, 1.0]), size)
        super().__init__(weight_ih[order] * half[:, None], weight_hh[order] * half[:, None],
                         (bias_ih + bias_hh)[order] * half)

    def advance(self, a: np.ndarray, parts: Parts, multiply) -> Parts:
        hidden, cell = parts
        size = self.hidden_size
        a += multiply(hidden, self.weight_hh)
        np.tanh(a, out=a)
        gates = a[:, :3 * size]
        gates *= 0.5
        gates += 0.5
        cell = cell * a[:, size:2 * size]
        new = a[:, 3 * size:]
        new *= a[:, :size]
        cell += new
        hidden = np.tanh(cell)
        hidden *= a[:, 2 * size:3 * size]
        return hidden, cell


class GRULayer(Layer):
    """Gated recurrent unit (Cho et al. 2014), with the reset gate after the product, as in cuDNN."""

    def __init__(self, weight_ih, weight_hh, bias_ih, bias_hh):
        size = weight_hh.shape[1]
        half = np.repeat(np.float32([0.5, 0.5, 1.0]), size)
        outside = bias_hh * np.repeat(np.float32([1, 1, 0]), size)
        super().__init__(weight_ih * half[:, None], weight_hh * half[:, None],
                         (bias_ih + outside) * half)
        self.bias_candidate = bias_hh[2 * size:]

    def advance(self, a: np.ndarray, parts: Parts, multiply) -> Parts:
        hidden, = parts
        size = self.hidden_size
        b = multiply(hidden, self.weight_hh)
        gates = a[:, :2 * size]
        gates += b[:, :2 * size]
        np.tanh(gates, out=gates)
        gates *= 0.5
        gates += 0.5
        recurrent = b[:, 2 * size:]
        recurrent += self.bias_candidate
        recurrent *= a[:, :size]
        candidate = a[:, 2 * size:]
        candidate += recurrent
        np.tanh(candidate, out=candidate)
        hidden = hidden - candidate
        hidden *= a[:, size:2 * size]
        hidden += candidate
        return (hidden,)


class RNNLayer(Layer):
    """The plain recurrent layer (Elman 1990), tanh or relu."""

    def __init__(self, weight_ih, weight_hh, bias_ih, bias_hh, *, nonlinearity: str):
        super().__init__(weight_ih, weight_hh, bias_ih + bias_hh)
        self._activate = np.tanh if nonlinearity == "tanh" else _relu

    def advance(self, a: np.ndarray, parts: Parts, multiply) -> Parts:
        a += multiply(parts[0], self.weight_hh)
        return (self._activate(a),)


def _relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def build_layer(config: ModelConfig, weights: dict[str, np.ndarray], name: str) -> Layer:
    """The layer of this name, from its four tensors in torch's layout."""
    tensors = [weights[f"{name}.{part}_l0"] for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    if config.cell == "lstm":
        return LSTMLayer(*tensors)
    if config.cell == "gru":
        return GRULayer(*tensors)
    return RNNLayer(*tensors, nonlinearity=config.nonlinearity)
