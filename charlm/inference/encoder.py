"""A separate encoder in NumPy; `charlm.nn.encoder` is the same in torch."""

from __future__ import annotations

import numpy as np

from charlm.config import ModelConfig
from charlm.inference.cells import build_layer, matmul


def _reversal(lengths: np.ndarray, size: int) -> np.ndarray:
    """Indices (S, B) that turn each row's first lengths[b] steps round and leave its padding."""
    time = np.arange(size)[:, None]
    return np.where(time < lengths, lengths - 1 - time, time)


class Encoder:
    """The source's embedding and, unless shared, its layers: one for each direction."""

    def __init__(self, config: ModelConfig, weights: dict[str, np.ndarray]):
        self.embedding = weights["encoder.embedding.weight"]
        self._layers = [[build_layer(config, weights, f"encoder.layers.{number}.{direction}")
                         for direction in range(config.directions)]
                        for number in range(config.num_layers if config.directions else 0)]

    def __call__(self, source: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Read sources (B, S) of these lengths; return outputs (S, B, M) and last ones (B, M)."""
        x, rows = self.embedding[source.T], np.arange(len(source))
        back = _reversal(lengths, source.shape[1])
        for layer in self._layers:
            ahead = layer[0].run(layer[0].project(x, matmul), layer[0].empty(len(source)), matmul)[0]
            outputs, last = [ahead], [ahead[lengths - 1, rows]]             # (S, B, H), (B, H)
            for direction in layer[1:]:
                turned = direction.project(x[back, rows], matmul)
                behind = direction.run(turned, direction.empty(len(source)), matmul)[0][back, rows]
                outputs.append(behind)
                last.append(behind[0])
            x = np.concatenate(outputs, axis=2)                             # (S, B, M)
        return x, np.concatenate(last, axis=1)
