"""A separate encoder in NumPy; `charlm.nn.encoder` is the same in torch."""

from __future__ import annotations

import numpy as np

from charlm.config import ModelConfig
from charlm.contract import FloatArray, IntArray
from charlm.inference.cells import build_layer
from charlm.inference.matmul import matmul


def _reversal(lengths: IntArray, size: int) -> IntArray:
    """Return indices (S, B) that reverse each row's first lengths[b] steps and leave its padding in place."""
    time = np.arange(size)[:, None]
    return np.where(time < lengths, lengths - 1 - time, time)


class Encoder:
    """The source's embedding and, unless the encoder is shared, its layers: one for each direction."""

    def __init__(self, config: ModelConfig, weights: dict[str, FloatArray]):
        self.embedding = weights["encoder.embedding.weight"]
        self._layers = [[build_layer(config, weights, f"encoder.layers.{layer}.{direction}")
                         for direction in range(config.directions)]
                        for layer in range(config.num_layers if config.directions else 0)]

    def __call__(self, source: IntArray, lengths: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return outputs (S, B, M) of sources (B, S), and those of each direction after the whole source (B, M)."""
        x, rows = self.embedding[source.T], np.arange(len(source))
        reversal = _reversal(lengths, source.shape[1])
        for forward, *backward in self._layers:
            output = forward.run(forward.project(x, matmul), forward.initial_state(len(source)), matmul)[0]
            outputs, last = [output], [output[lengths - 1, rows]]           # (S, B, H), (B, H)
            for layer in backward:
                projected = layer.project(x[reversal, rows], matmul)
                output = layer.run(projected, layer.initial_state(len(source)), matmul)[0][reversal, rows]
                outputs.append(output)
                last.append(output[0])
            x = np.concatenate(outputs, axis=2)                             # (S, B, M)
        return x, np.concatenate(last, axis=1)
