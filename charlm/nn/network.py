"""The whole network in torch: decoder, encoder, context and head. `charlm.inference.network` is the same in NumPy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from charlm.config import ModelConfig
from charlm.nn.context import Context
from charlm.nn.dropout import Dropout
from charlm.nn.encoder import Encoder
from charlm.nn.layers import HiddenState, initialise_layer, recurrent_layer, run_layer
from charlm.nn.state import State


class Network(nn.Module):
    """An embedding, stacked recurrent layers and a linear head; with a source, also its encoder and context.

    Dropout is applied between layers and before the head, never on the recurrent connection (Zaremba et al. 2014)
    and not on the embedding, where it did more harm than good in our measurements with characters.
    """

    def __init__(self, config: ModelConfig, *, dropout: float = 0.0):
        super().__init__()
        self.config = config
        self.dropout = Dropout(dropout)
        self.embedding = nn.Embedding(config.vocabulary_size + config.labels, config.embedding_size)
        layers = [recurrent_layer(config, config.hidden_size if number else config.embedding_size)
                  for number in range(config.num_layers)]
        self.decoder = nn.ModuleList(layers)
        self.head = nn.Linear(config.hidden_size, config.vocabulary_size)
        for layer in layers:
            initialise_layer(layer, config)
        self._initialise()
        if config.has_source:
            self.encoder = Encoder(config, dropout=dropout)
            self.context = Context(config, dropout=dropout)
        if config.has_bridge:
            self.bridge = nn.Linear(config.memory_size, config.num_layers * config.state_tensors * config.hidden_size)
            nn.init.xavier_uniform_(self.bridge.weight)
            nn.init.zeros_(self.bridge.bias)

    @torch.no_grad()
    def _initialise(self) -> None:
        """Initialise the embedding and the head."""
        nn.init.zeros_(self.head.bias)
        if self.config.tied:            # the head reuses the embedding's rows of the vocabulary
            self.head.register_parameter("weight", None)
            nn.init.xavier_uniform_(self.embedding.weight)
        else:
            nn.init.xavier_uniform_(self.head.weight)
            nn.init.normal_(self.embedding.weight)

    def start(self, batch: int) -> State:
        """Return the state of `batch` rows that have read nothing."""
        zeros = self.head.bias.new_zeros(1, batch, self.config.hidden_size)
        layers = tuple((zeros,) * self.config.state_tensors for _ in self.decoder)
        if not self.config.window:
            return State(layers)
        return State(layers, self.context.empty_memory(batch, self.config.window),
                     torch.zeros(batch, 0, dtype=torch.long, device=zeros.device))

    def encode(self, source: torch.Tensor, lengths: torch.Tensor,
               positions: tuple[torch.Tensor, torch.Tensor] | None = None) -> State:
        """Return the decoder's first state after sources (B, S), or at positions in them; see `charlm.contract`."""
        if self.config.encoder == "shared":
            outputs, layers = self._read_source(source, lengths)
            last = outputs[lengths - 1, torch.arange(len(source), device=source.device)]
        else:
            outputs, last = self.encoder(source, lengths)
        rows = None
        if positions is not None:
            rows, at = positions
            last = outputs[at, rows]                                        # (G, M)
            if self.config.encoder == "shared":
                _, layers = self._read_source(source[rows], at + 1)
        if self.config.has_bridge:
            layers = self._bridge_state(last)
        return State(layers, self.context.build_memory(outputs, last, lengths, rows))

    def _read_source(self, source: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, tuple[HiddenState, ...]]:
        """Read sources (B, S) with the decoder's own layers; return outputs (S, B, H) and their last states."""
        x = self.encoder.embedding(source.T)                                # (S, B, E)
        layers: list[HiddenState] = []
        for layer, state in zip(self.decoder, self.start(len(source)).layers, strict=True):
            x = self.dropout(x) if layers else x
            x, state = run_layer(layer, x, state, lengths)
            layers.append(state)
        return x, tuple(layers)

    def _bridge_state(self, last: torch.Tensor) -> tuple[HiddenState, ...]:
        """Return the decoder's first hidden states, projected from the encoder's last outputs (B, M)."""
        size = (self.config.num_layers, self.config.state_tensors, self.config.hidden_size)
        states = torch.tanh(self.bridge(last)).unflatten(1, size)           # (B, N, 1 or 2, H)
        return tuple(tuple(part.contiguous()[None] for part in layer.unbind(1)) for layer in states.unbind(1))

    def step(self, tokens: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        """Read tokens (B, T); return logits (B, T, V) for the token after each, and the new state."""
        if state.window_tokens is None:
            return self._decode(tokens, state)
        logits, at = [], 0
        while at < tokens.shape[1]:
            state = self.advance_window(state)
            piece = tokens[:, at:at + self.config.window - state.tokens_in_window]
            new, state = self._decode(piece, state)
            logits.append(new)
            at += piece.shape[1]
        return torch.cat(logits, dim=1), state

    def advance_window(self, state: State) -> State:
        """If the current window is full, encode it as the new memory and start an empty window; else change nothing."""
        if state.window_tokens is None or state.tokens_in_window < self.config.window:
            return state
        batch, size = state.window_tokens.shape
        lengths = torch.full((batch,), size, device=state.window_tokens.device)
        outputs, last = self.encoder(state.window_tokens, lengths)
        return State(state.layers, self.context.build_memory(outputs, last, lengths), state.window_tokens[:, :0])

    def _decode(self, tokens: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        """Read tokens (B, T) that lie within one window; return logits (B, T, V) and the new state."""
        x = self.embedding(tokens.T)                                        # (T, B, E)
        layers: list[HiddenState] = []
        for layer, hidden_state in zip(self.decoder, state.layers, strict=True):
            x = self.dropout(x) if layers else x
            x, hidden_state = run_layer(layer, x, hidden_state)             # (T, B, H)
            layers.append(hidden_state)
        x = self.dropout(x)
        if state.memory is not None:
            x = self.dropout(self.context(x, state.memory))
        matrix = self.embedding.weight[:self.config.vocabulary_size] if self.config.tied else self.head.weight
        window = None if state.window_tokens is None else torch.cat([state.window_tokens, tokens], dim=1)
        return F.linear(x, matrix, self.head.bias).transpose(0, 1), State(tuple(layers), state.memory, window)

    def seed_dropout(self, seed: int) -> None:
        """Seed all dropout masks from here on, whatever else draws random numbers."""
        generator = torch.Generator(self.head.bias.device).manual_seed(seed)
        for module in self.modules():
            if isinstance(module, Dropout):
                module.generator = generator

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Disable dropout while active, and restore the previous mode afterwards."""
        training = self.training
        self.eval()
        try:
            yield
        finally:
            self.train(training)

    def weights(self) -> dict[str, torch.Tensor]:
        """Return every stored tensor by name, float32 on the CPU; a tied matrix occurs once."""
        state = self.state_dict()
        return {name: state[name].detach().cpu().contiguous().clone() for name in self.config.parameter_shapes()}

    def load_weights(self, weights: Mapping[str, np.ndarray | torch.Tensor]) -> None:
        """Load what `weights` returned, as tensors or NumPy arrays."""
        self.load_state_dict({name: torch.as_tensor(values) for name, values in weights.items()})
