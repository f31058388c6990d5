"""The whole network in NumPy: the contract's `start`, `encode` and `step`.

`charlm.nn.network` is the same in torch; a test holds the two within 1e-5.
"""

from __future__ import annotations

import numpy as np

from charlm.config import ModelConfig
from charlm.inference.cells import Parts, build_layer, matmul, matmul_by_row
from charlm.inference.context import Context
from charlm.inference.encoder import Encoder
from charlm.inference.state import Memory, State


class Network:
    """Stacked recurrent layers over a look-up table, and a linear head; beside them, who reads a source.

    Layer 0's input is one of V embeddings, so its projection is a table of V rows made once. A step
    of one token is multiplied by `product`: row by row, so that a row's bits do not depend on the
    batch, unless a caller with many rows would rather have all rows at once.
    """

    def __init__(self, config: ModelConfig, weights: dict[str, np.ndarray], *, matmul=matmul_by_row):
        self.config = config
        self._matmul = matmul
        self._layers = [build_layer(config, weights, f"decoder.{number}")
                        for number in range(config.num_layers)]
        embedding = weights["embedding.weight"]
        self._table = self._layers[0].project(embedding, matmul)      # (V, G*H)
        head = embedding[:config.vocabulary_size] if config.tied else weights["head.weight"]
        self._head = np.ascontiguousarray(head.T)                       # (H, V)
        self._head_bias = weights["head.bias"]
        if config.has_source:
            self._encoder, self._context = Encoder(config, weights), Context(config, weights)
        if config.has_bridge:
            self._bridge = np.ascontiguousarray(weights["bridge.weight"].T)
            self._bridge_bias = weights["bridge.bias"]

    def start(self, batch: int) -> State:
        """An empty past for `batch` rows."""
        layers = tuple(layer.empty(batch) for layer in self._layers)
        if not self.config.window:
            return State(layers)
        return State(layers, self._context.empty_memory(batch, self.config.window),
                     np.zeros((batch, 0), np.int64))

    def encode(self, source: np.ndarray, lengths: np.ndarray,
               positions: tuple[np.ndarray, np.ndarray] | None = None) -> State:
        """The state of a decoder that has yet to write, with the memory of sources (B, S).

        Row b is lengths[b] >= 1 tokens long; what stands behind them has no effect. With `positions`,
        rows and positions (G,) each, the state has G rows, each begun from what its source's reading
        had come to at that position; without, each source's from what it came to at its ends.
        """
        if self.config.encoder == "shared":
            outputs, layers = self._read_source(source, lengths)
            last = outputs[lengths - 1, np.arange(len(source))]
        else:
            outputs, last = self._encoder(source, lengths)
        rows = None
        if positions is not None:
            rows, positions = positions
            last = outputs[positions, rows]                                 # (G, M)
            if self.config.encoder == "shared":
                _, layers = self._read_source(source[rows], positions + 1)
        if self.config.has_bridge:
            layers = self._bridged(last)
        return State(layers, self._context.build_memory(outputs, last, lengths, rows))

    def _read_source(self, source: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, tuple[Parts, ...]]:
        """Outputs (S, B, H) and state of the decoder's own layers after each row's source."""
        x, layers = self._encoder.embedding[source.T], []
        for layer in self._layers:
            x, parts = layer.run_to_ends(layer.project(x, matmul), layer.empty(len(source)), lengths)
            layers.append(parts)
        return x, tuple(layers)

    def _bridged(self, last: np.ndarray) -> tuple[Parts, ...]:
        """The decoder's first state, from an encoder's last outputs (B, M)."""
        started = np.tanh(matmul(last, self._bridge) + self._bridge_bias)
        started = started.reshape(len(last), self.config.num_layers, self.config.parts, -1)
        return tuple(tuple(np.ascontiguousarray(started[:, layer, part]) for part in range(self.config.parts))
                     for layer in range(self.config.num_layers))

    def step(self, tokens: np.ndarray, state: State) -> tuple[np.ndarray, State]:
        """Read tokens (B, T); return logits (B, T, V) of the token after each, and the new state."""
        if not self.config.window:
            return self._decode(tokens, state)
        logits, at = [], 0
        while at < tokens.shape[1]:
            state = self.advance_window(state, at_once=1 if tokens.shape[1] == 1 else len(tokens))
            piece = tokens[:, at:at + self.config.window - state.window_tokens.shape[1]]
            new, after = self._decode(piece, state)
            logits.append(new)
            state = State(after.layers, after.memory, np.concatenate([state.window_tokens, piece], axis=1))
            at += piece.shape[1]
        return np.concatenate(logits, axis=1), state

    def advance_window(self, state: State, *, at_once: int) -> State:
        """At the end of a stream's window, a memory of it instead of the one before; else nothing new.

        So many rows are encoded together; one by one, their bits do not depend on the batch.
        """
        if state.window_tokens is None or state.window_tokens.shape[1] < self.config.window:
            return state
        batch, size = state.window_tokens.shape
        memories = []
        for row in range(0, batch, at_once):
            source = state.window_tokens[row:row + at_once]
            lengths = np.full(len(source), size)
            memories.append(self._context.build_memory(*self._encoder(source, lengths), lengths))
        return State(state.layers, Memory.join(memories), state.window_tokens[:, :0])

    def _decode(self, tokens: np.ndarray, state: State) -> tuple[np.ndarray, State]:
        multiply = self._matmul if tokens.shape[1] == 1 else matmul
        x, layers = self._table[tokens.T], []                           # (T, B, G*H)
        for number, (layer, parts) in enumerate(zip(self._layers, state.layers)):
            x = layer.project(x, multiply) if number else x             # (T, B, G*H)
            x, parts = layer.run(x, parts, multiply)                    # (T, B, H)
            layers.append(parts)
        if state.memory is not None:
            x = self._context.forward(x, state.memory, multiply)
        logits = multiply(x.reshape(-1, x.shape[-1]), self._head)
        logits += self._head_bias
        return logits.reshape(*x.shape[:2], -1).swapaxes(0, 1), State(tuple(layers), state.memory)
