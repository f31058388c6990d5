"""The whole network in torch: embedding, stacked recurrent layers, head; the contract's `step`.

`charlm.inference.network` computes the same equations in NumPy.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from charlm.config import ModelConfig
from charlm.nn.layers import initialise_layer, recurrent_layer
from charlm.nn.state import State


class Network(nn.Module):
    """An embedding, a stack of recurrent layers and a linear head, tied or not.

    Dropout stands between layers and before the head, never on the recurrent connection (Zaremba
    et al. 2014) and, for characters, not on the embedding: there it costs more than it gives.
    """

    def __init__(self, config: ModelConfig, *, dropout: float = 0.0):
        super().__init__()
        self.config = config
        self.dropout = dropout
        self.embedding = nn.Embedding(config.vocabulary_size, config.embedding_size)
        self.decoder = nn.ModuleList(
            recurrent_layer(config, config.hidden_size if number else config.embedding_size)
            for number in range(config.num_layers))
        self.head = nn.Linear(config.hidden_size, config.vocabulary_size)
        self._initialise()

    @torch.no_grad()
    def _initialise(self) -> None:
        for layer in self.decoder:
            initialise_layer(layer, self.config)
        nn.init.xavier_uniform_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        if self.config.tied:
            self.embedding.weight = self.head.weight
        else:
            nn.init.normal_(self.embedding.weight)

    def start(self, batch: int) -> State:
        """An empty past for `batch` rows."""
        parts = 2 if self.config.cell == "lstm" else 1
        zeros = self.head.bias.new_zeros(1, batch, self.config.hidden_size)
        return State(tuple((zeros,) * parts for _ in self.decoder))

    def step(self, tokens: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        """Read tokens (B, T); return logits (B, T, V) of the token after each, and the new state."""
        x = self.embedding(tokens.T)                        # (T, B, E)
        states = []
        for number, (layer, past) in enumerate(zip(self.decoder, state.layers)):
            if number:
                x = F.dropout(x, self.dropout, self.training)
            x, new = layer(x, past if len(past) > 1 else past[0])       # (T, B, H)
            states.append(new if isinstance(new, tuple) else (new,))
        x = F.dropout(x, self.dropout, self.training)
        return self.head(x).transpose(0, 1), State(tuple(states))

    def weights(self) -> dict[str, torch.Tensor]:
        """Every stored tensor by name, float32 on the CPU; a tied matrix once."""
        state = self.state_dict()
        return {name: state[name].detach().cpu().contiguous().clone()
                for name in self.config.parameter_shapes()}

    def load_weights(self, weights: dict) -> None:
        """The inverse of `weights`; takes NumPy arrays or tensors."""
        state = {name: torch.as_tensor(values) for name, values in weights.items()}
        if self.config.tied:
            state["head.weight"] = state["embedding.weight"]
        self.load_state_dict(state)
