"""The baseline of the benchmarks: an embedding, an nn.LSTM and a linear head, as anyone would write them."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from charlm.config import ModelConfig


class PlainLSTM(nn.Module):
    """An embedding, an nn.LSTM over (T, B, E) and a linear head; `dropout` is that between the layers."""

    def __init__(self, config: ModelConfig, *, dropout: float = 0.0):
        super().__init__()
        self.embedding = nn.Embedding(config.vocabulary_size, config.embedding_size)
        self.lstm = nn.LSTM(config.embedding_size, config.hidden_size, config.num_layers, dropout=dropout)
        self.head = nn.Linear(config.hidden_size, config.vocabulary_size)

    def load_weights(self, weights: dict[str, np.ndarray]) -> PlainLSTM:
        """Take the weights of a charlm model; return this module."""
        own = {"embedding.weight": "embedding.weight", "head.weight": "head.weight", "head.bias": "head.bias"}
        for layer in range(self.lstm.num_layers):
            for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                own[f"lstm.{part}_l{layer}"] = f"decoder.{layer}.{part}_l0"
        self.load_state_dict({name: torch.from_numpy(weights[theirs]) for name, theirs in own.items()})
        return self
