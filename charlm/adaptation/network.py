"""A network whose head has adapted to a text and learns no more: what `sample --adapt` samples from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from charlm.adaptation.adapter import Adapter
from charlm.adaptation.counts import ORDERS
from charlm.adaptation.head import quantise_states
from charlm.config import ModelConfig
from charlm.contract import FloatArray, IntArray, RowIndex
from charlm.inference.network import Network
from charlm.inference.scoring import LOGITS
from charlm.inference.state import State


@dataclass(frozen=True, eq=False)
class AdaptedState:
    """The network's state and the last tokens of each row, (B, ORDERS), the nearest first."""

    network: State
    recent: IntArray

    def select(self, rows: RowIndex) -> AdaptedState:
        """Return the state of these rows in this order; rows may repeat."""
        return AdaptedState(self.network.select(rows), self.recent[rows])


class AdaptedNetwork:
    """A network of running text with the head and the counts of an adapter, as in `charlm.contract`."""

    def __init__(self, network: Network, adapter: Adapter):
        self._network, self._adapter = network, adapter

    @property
    def config(self) -> ModelConfig:
        """The architecture."""
        return self._network.config

    def start(self, batch: int) -> AdaptedState:
        """Return the state of `batch` rows that have read nothing."""
        return AdaptedState(self._network.start(batch),
                            np.full((batch, ORDERS), self.config.vocabulary_size, np.int64))

    def encode(self, source: IntArray, lengths: IntArray,
               positions: tuple[IntArray, IntArray] | None = None) -> AdaptedState:
        """Raise NotImplementedError: running text has no source."""
        raise NotImplementedError

    def step(self, tokens: IntArray, state: AdaptedState) -> tuple[FloatArray, AdaptedState]:
        """Read tokens (B, T); return log-probabilities up to a constant (B, T, V), and the new state."""
        hidden, network_state = self._network.hidden(tokens, state.network)
        read = np.concatenate([state.recent[:, ::-1], tokens], axis=1)
        recent = np.lib.stride_tricks.sliding_window_view(read, ORDERS, axis=1)[:, 1:, ::-1]    # (B, T, ORDERS)
        size = self.config.vocabulary_size
        states, contexts = quantise_states(hidden.reshape(-1, hidden.shape[-1])), recent.reshape(-1, ORDERS)
        rows = max(LOGITS // 8 // size, 1)
        logits = np.concatenate([np.log(self._adapter.predict(states[at:at + rows], contexts[at:at + rows]))
                                 for at in range(0, len(states), rows)])
        return logits.reshape(*tokens.shape, size), AdaptedState(network_state, recent[:, -1].copy())
