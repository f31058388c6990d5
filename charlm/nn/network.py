"""The whole network in torch: decoder, encoder, context and head; the contract's methods.

`charlm.inference.network` computes the same equations in NumPy.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn import functional as F

from charlm.config import ModelConfig
from charlm.nn.context import Context
from charlm.nn.encoder import Encoder
from charlm.nn.layers import initialise_layer, recurrent_layer, run_layer, run_layer_to_ends
from charlm.nn.state import State


class Network(nn.Module):
    """An embedding, a stack of recurrent layers and a linear head; beside them, who reads a source.

    Dropout stands between layers and before the head, never on the recurrent connection (Zaremba
    et al. 2014) and, for characters, not on the embedding: there it costs more than it gives.
    """

    def __init__(self, config: ModelConfig, *, dropout: float = 0.0):
        super().__init__()
        self.config = config
        self.dropout = dropout
        self.embedding = nn.Embedding(config.vocabulary_size + config.labels, config.embedding_size)
        self.decoder = nn.ModuleList(
            recurrent_layer(config, config.hidden_size if number else config.embedding_size)
            for number in range(config.num_layers))
        self.head = nn.Linear(config.hidden_size, config.vocabulary_size)
        self._initialise()
        if config.has_source:
            self.encoder = Encoder(config, dropout=dropout)
            self.context = Context(config, dropout=dropout)
        if config.has_bridge:
            self.bridge = nn.Linear(config.memory_size, config.num_layers * config.parts * config.hidden_size)
            nn.init.xavier_uniform_(self.bridge.weight)
            nn.init.zeros_(self.bridge.bias)

    @torch.no_grad()
    def _initialise(self) -> None:
        for layer in self.decoder:
            initialise_layer(layer, self.config)
        nn.init.zeros_(self.head.bias)
        if self.config.tied:            # the head's matrix is the embedding of what can be written
            self.head.register_parameter("weight", None)
            nn.init.xavier_uniform_(self.embedding.weight)
        else:
            nn.init.xavier_uniform_(self.head.weight)
            nn.init.normal_(self.embedding.weight)

    def start(self, batch: int) -> State:
        """An empty past for `batch` rows."""
        zeros = self.head.bias.new_zeros(1, batch, self.config.hidden_size)
        layers = tuple((zeros,) * self.config.parts for _ in self.decoder)
        if not self.config.window:
            return State(layers)
        return State(layers, self.context.empty_memory(batch, self.config.window),
                     torch.zeros(batch, 0, dtype=torch.long, device=zeros.device))

    def encode(self, source: torch.Tensor, lengths: torch.Tensor,
               positions: tuple[torch.Tensor, torch.Tensor] | None = None) -> State:
        """The state of a decoder that has yet to write, with the memory of sources (B, S).

        Row b is lengths[b] >= 1 tokens long; what stands behind them has no effect. With `positions`,
        rows and positions (G,) each, the state has G rows, each begun from what its source's reading
        had come to at that position; without, each source's from what it came to at its ends.
        """
        if self.config.encoder == "shared":
            outputs, layers = self._read_source(source, lengths)
            last = outputs[lengths - 1, torch.arange(len(source), device=source.device)]
        else:
            outputs, last = self.encoder(source, lengths)
        rows = None
        if positions is not None:
            rows, positions = positions
            last = outputs[positions, rows]                                 # (G, M)
            if self.config.encoder == "shared":
                _, layers = self._read_source(source[rows], positions + 1)
        if self.config.has_bridge:
            layers = self._bridged(last)
        return State(layers, self.context.build_memory(outputs, last, lengths, rows))

    def _read_source(self, source: torch.Tensor, lengths: torch.Tensor):
        """Outputs (S, B, H) and state of the decoder's own layers after each row's source."""
        x, layers = self.encoder.embedding(source.T), []
        for layer, past in zip(self.decoder, self.start(len(source)).layers):
            x = self._drop(x) if layers else x
            x, parts = run_layer_to_ends(layer, x, past, lengths)
            layers.append(parts)
        return x, tuple(layers)

    def _bridged(self, last: torch.Tensor):
        """The decoder's first state, from an encoder's last outputs (B, M)."""
        size = (self.config.num_layers, self.config.parts, self.config.hidden_size)
        started = torch.tanh(self.bridge(last)).unflatten(1, size)         # (B, N, parts, H)
        return tuple(tuple(part.contiguous()[None] for part in layer.unbind(1))
                     for layer in started.unbind(1))

    def step(self, tokens: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        """Read tokens (B, T); return logits (B, T, V) of the token after each, and the new state."""
        if not self.config.window:
            return self._decode(tokens, state)
        logits, at = [], 0
        while at < tokens.shape[1]:
            state = self.advance_window(state)
            piece = tokens[:, at:at + self.config.window - state.window_tokens.shape[1]]
            new, after = self._decode(piece, state)
            logits.append(new)
            state = State(after.layers, after.memory, torch.cat([state.window_tokens, piece], dim=1))
            at += piece.shape[1]
        return torch.cat(logits, dim=1), state

    def advance_window(self, state: State) -> State:
        """At the end of a stream's window, a memory of it instead of the one before; else nothing new."""
        if state.window_tokens is None or state.window_tokens.shape[1] < self.config.window:
            return state
        batch, size = state.window_tokens.shape
        lengths = torch.full((batch,), size, device=state.window_tokens.device)
        outputs, last = self.encoder(state.window_tokens, lengths)
        return State(state.layers, self.context.build_memory(outputs, last, lengths), state.window_tokens[:, :0])

    def _decode(self, tokens: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        x, layers = self.embedding(tokens.T), []                            # (T, B, E)
        for layer, past in zip(self.decoder, state.layers):
            x = self._drop(x) if layers else x
            x, parts = run_layer(layer, x, past)                            # (T, B, H)
            layers.append(parts)
        x = self._drop(x)
        if state.memory is not None:
            x = self._drop(self.context(x, state.memory))
        matrix = self.embedding.weight[:self.config.vocabulary_size] if self.config.tied else self.head.weight
        return F.linear(x, matrix, self.head.bias).transpose(0, 1), State(tuple(layers), state.memory)

    def _drop(self, x: torch.Tensor) -> torch.Tensor:
        return F.dropout(x, self.dropout, self.training)

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """While active there is no dropout; the mode before comes back however it ends."""
        training = self.training
        self.eval()
        try:
            yield
        finally:
            self.train(training)

    def weights(self) -> dict[str, torch.Tensor]:
        """Every stored tensor by name, float32 on the CPU; a tied matrix once."""
        state = self.state_dict()
        return {name: state[name].detach().cpu().contiguous().clone()
                for name in self.config.parameter_shapes()}

    def load_weights(self, weights: dict) -> None:
        """The inverse of `weights`; takes NumPy arrays or tensors."""
        self.load_state_dict({name: torch.as_tensor(values) for name, values in weights.items()})
