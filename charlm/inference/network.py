"""The whole network in NumPy; `charlm.nn.network` is the same in torch, with logits within 1e-5, as a test checks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from charlm.config import ModelConfig
from charlm.contract import FloatArray, IntArray
from charlm.inference.cells import HiddenState, build_layer
from charlm.inference.context import Context
from charlm.inference.encoder import Encoder
from charlm.inference.matmul import Matmul, matmul, matmul_by_row
from charlm.inference.state import Memory, Recording, State


class Network:
    """An embedding, stacked recurrent layers and a linear head; with a source, also its encoder and context.

    Layer 0's input is one of V embeddings, so all V projections are computed once, as a table. Steps of one token are
    multiplied by `matmul`. The default gives a row the same bits in any batch; callers that need no such bits can pass
    the faster plain product.
    """

    def __init__(self, config: ModelConfig, weights: dict[str, FloatArray], *, matmul: Matmul = matmul_by_row):
        self.config = config
        self._matmul = matmul
        self._layers = [build_layer(config, weights, f"decoder.{layer}") for layer in range(config.num_layers)]
        embedding = weights["embedding.weight"]
        self._table = self._layers[0].project(embedding, matmul)        # (V, G*H)
        head = embedding[:config.vocabulary_size] if config.tied else weights["head.weight"]
        self._head = np.ascontiguousarray(head.T)                       # (H, V)
        self._head_bias = weights["head.bias"]
        if config.has_source:
            self._encoder, self._context = Encoder(config, weights), Context(config, weights)
        if config.has_bridge:
            self._bridge = np.ascontiguousarray(weights["bridge.weight"].T)
            self._bridge_bias = weights["bridge.bias"]

    @property
    def head(self) -> tuple[FloatArray, FloatArray]:
        """The head's matrix (V, H) and bias (V,)."""
        return self._head.T, self._head_bias

    def start(self, batch: int) -> State:
        """Return the state of `batch` rows that have read nothing."""
        layers = tuple(layer.initial_state(batch) for layer in self._layers)
        if not self.config.window:
            return State(layers)
        return State(layers, self._context.empty_memory(batch, self.config.window), np.zeros((batch, 0), np.int64))

    def encode(self, source: IntArray, lengths: IntArray, positions: tuple[IntArray, IntArray] | None = None) -> State:
        """Return the decoder's first state after sources (B, S), or at positions in them; see `charlm.contract`."""
        if self.config.encoder == "shared":
            outputs, layers = self._read_source(source, lengths)
            last = outputs[lengths - 1, np.arange(len(source))]
        else:
            outputs, last = self._encoder(source, lengths)
        rows = None
        if positions is not None:
            rows, at = positions
            last = outputs[at, rows]                                    # (G, M)
            if self.config.encoder == "shared":
                _, layers = self._read_source(source[rows], at + 1)
        if self.config.has_bridge:
            layers = self._bridge_state(last)
        return State(layers, self._context.build_memory(outputs, last, lengths, rows))

    def _read_source(self, source: IntArray, lengths: IntArray) -> tuple[FloatArray, tuple[HiddenState, ...]]:
        """Read sources (B, S) with the decoder's own layers; return outputs (S, B, H) and their last states."""
        x, layers = self._encoder.embedding[source.T], []
        for layer in self._layers:
            x, state = layer.run(layer.project(x, matmul), layer.initial_state(len(source)), matmul, lengths)
            layers.append(state)
        return x, tuple(layers)

    def _bridge_state(self, last: FloatArray) -> tuple[HiddenState, ...]:
        """Return the decoder's first hidden states, projected from the encoder's last outputs (B, M)."""
        states = np.tanh(matmul(last, self._bridge) + self._bridge_bias)
        size = self._layers[0].state_size
        states = states.reshape(len(last), self.config.num_layers, size, -1)
        return tuple(tuple(np.ascontiguousarray(states[:, layer, part]) for part in range(size))
                     for layer in range(self.config.num_layers))

    def step(self, tokens: IntArray, state: State) -> tuple[FloatArray, State]:
        """Read tokens (B, T); return logits (B, T, V) for the token after each, and the new state."""
        hidden, state = self.hidden(tokens, state)
        return self.logits(hidden), state

    def step_recorded(self, tokens: IntArray, state: State) -> tuple[FloatArray, State, Recording]:
        """Return what `step` returns, and the activations of all units and the attention while tokens are read."""
        recording = Recording()
        hidden, state = self.hidden(tokens, state, recording)
        return self.logits(hidden), state, recording

    def logits(self, hidden: FloatArray) -> FloatArray:
        """Return the logits (B, T, V) of hidden states (B, T, H)."""
        multiply = self._matmul if hidden.shape[1] == 1 else matmul
        x = hidden.swapaxes(0, 1)                                       # (T, B, H)
        logits = multiply(x.reshape(-1, x.shape[-1]), self._head)
        logits += self._head_bias
        found: FloatArray = logits.reshape(*x.shape[:2], -1).swapaxes(0, 1)
        return found

    def hidden(self, tokens: IntArray, state: State, recording: Recording | None = None) -> tuple[FloatArray, State]:
        """Read tokens (B, T); return the head's input (B, T, H) after each, and the new state."""
        if state.window_tokens is None:
            return self._decode(tokens, state, recording)
        outputs, at = [], 0
        while at < tokens.shape[1]:
            # For one token, rows are encoded one by one, so that their bits do not depend on the batch.
            state = self.advance_window(state, batch_size=1 if tokens.shape[1] == 1 else len(tokens))
            piece = tokens[:, at:at + self.config.window - state.tokens_in_window]
            new, state = self._decode(piece, state, recording)
            outputs.append(new)
            at += piece.shape[1]
        return np.concatenate(outputs, axis=1), state

    def advance_window(self, state: State, *, batch_size: int) -> State:
        """If the window is full, encode it as the new memory, `batch_size` rows at once, and start an empty window."""
        if state.window_tokens is None or state.tokens_in_window < self.config.window:
            return state
        batch, size = state.window_tokens.shape
        memories = []
        for row in range(0, batch, batch_size):
            source = state.window_tokens[row:row + batch_size]
            lengths = np.full(len(source), size)
            memories.append(self._context.build_memory(*self._encoder(source, lengths), lengths))
        return State(state.layers, Memory.join(memories), state.window_tokens[:, :0])

    def _decode(self, tokens: IntArray, state: State, recording: Recording | None) -> tuple[FloatArray, State]:
        """Read tokens (B, T) that lie within one window; return the head's input (B, T, H) and the new state."""
        multiply = self._matmul if tokens.shape[1] == 1 else matmul
        x, layers = self._table[tokens.T], []                           # (T, B, G*H)
        units = np.empty((len(self._layers), *x.shape[:2], self.config.hidden_size), np.float32) if recording else None
        for number, (layer, hidden_state) in enumerate(zip(self._layers, state.layers, strict=True)):
            x = layer.project(x, multiply) if number else x             # (T, B, G*H)
            record = None if units is None else units[number]
            x, hidden_state = layer.run(x, hidden_state, multiply, record=record)       # (T, B, H)
            layers.append(hidden_state)
        if recording and units is not None:
            recording.units.append(self._layers[0].activation(units).transpose(2, 1, 0, 3))
        if state.memory is not None:
            memory = state.memory
            if recording and memory.keys is not None and memory.mask is not None:
                recording.attention.append(self._context.weights(x, memory.keys, memory.mask, multiply))
            x = self._context.forward(x, memory, multiply)
        window = None if state.window_tokens is None else np.concatenate([state.window_tokens, tokens], axis=1)
        return x.swapaxes(0, 1), State(tuple(layers), state.memory, window)


class WatchedNetwork(Network):
    """A network that calls `watch` with the number of tokens in each window that it has read."""

    def __init__(self, network: Network, watch: Callable[[int], None]):
        vars(self).update(vars(network))
        self._watch = watch

    def hidden(self, tokens: IntArray, state: State, recording: Recording | None = None) -> tuple[FloatArray, State]:
        """Read tokens (B, T) and call `watch`; return the network's result."""
        found = super().hidden(tokens, state, recording)
        if tokens.shape[1] > 1:
            self._watch(tokens.shape[1])
        return found
