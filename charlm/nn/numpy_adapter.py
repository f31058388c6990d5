"""The torch network with the interface of the NumPy one, so that whatever scores with that also runs on a GPU."""

from __future__ import annotations

import numpy as np
import torch

from charlm.config import ModelConfig
from charlm.nn.network import Network
from charlm.nn.state import State


class NumpyAdapter:
    """`start`, `encode` and `step` as in `charlm.inference.network`; the states are torch's."""

    def __init__(self, config: ModelConfig, weights: dict[str, np.ndarray], device: str):
        self.config = config
        self._device = torch.device(device)
        # With TF32's ten-bit mantissa a GPU's scores differ from the CPU's in the fourth digit.
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
        self._network = Network(config)
        self._network.load_weights(weights)
        self._network.to(self._device).eval()

    @torch.inference_mode()
    def start(self, batch: int) -> State:
        """Return the state of `batch` rows that have read nothing."""
        return self._network.start(batch)

    @torch.inference_mode()
    def encode(self, source: np.ndarray, lengths: np.ndarray,
               positions: tuple[np.ndarray, np.ndarray] | None = None) -> State:
        """Return the decoder's first state after sources (B, S); see `charlm.contract`."""
        return self._network.encode(self._tensor(source), self._tensor(lengths),
                                    positions and (self._tensor(positions[0]), self._tensor(positions[1])))

    @torch.inference_mode()
    def step(self, tokens: np.ndarray, state: State) -> tuple[np.ndarray, State]:
        """Read tokens (B, T); return logits (B, T, V), an array, and the new state."""
        logits, state = self._network.step(self._tensor(tokens), state)
        return logits.cpu().numpy(), state

    def _tensor(self, values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self._device)
