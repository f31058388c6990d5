"""The half of compression that encoder and decoder share: a model that reads tokens in L lanes and predicts the next.

Both call `frequencies` and `read` in the same order with the same tokens, and so have the same integers at every step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from charlm.adaptation.adapter import Adapter
from charlm.compression.exact_network import ExactNetwork, head_of, largest_state
from charlm.compression.frequencies import StaticHead, to_frequencies
from charlm.compression.spelling import Spelling
from charlm.contract import IntArray, RowIndex
from charlm.errors import UsageError
from charlm.modelfile import Model
from charlm.tasks import TASKS


class Head(Protocol):
    """The part that makes distributions of hidden states, and may learn while it reads."""

    def distributions(self, states: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return weights (L, V) of the next tokens, from hidden states (L, H) of integers."""

    def learn(self, tokens: IntArray) -> None:
        """Learn from the tokens (L,) that came after the last distributions."""


class Predictor:
    """The exact network of a model and its head, over L lanes. Raises UsageError for a model that cannot compress."""

    def __init__(self, model: Model, *, lanes: int = 1, adaptive: bool = False):
        task = TASKS[model.task]
        if task.reads_source or task.has_labels:
            raise UsageError(f"{task.model_phrase} does not compress; models of running text and of lines do")
        self.lanes, self._adaptive, self._model = lanes, adaptive, model
        self.spelling = Spelling(model.tokenizer, lines=task.by_line)
        self._network = ExactNetwork(model.config, model.weights, lanes)
        self.restart(lanes)

    def restart(self, lanes: int) -> None:
        """Forget everything that was read and learned; continue with this many lanes."""
        self.lanes, self._head = lanes, self._make_head()
        self._network.start(lanes)
        self._unread = np.full(lanes, self.spelling.start)              # the network reads them at the next step

    def _make_head(self) -> Head:
        weight, bias = head_of(self._model.config, self._model.weights)
        if self._adaptive:
            return Adapter(weight, bias, self._model.adaptation, self.lanes)
        return StaticHead(weight, bias, largest_state(self._model.config))

    def begin_block(self) -> None:
        """Let the first lane continue where the last one stopped, and the others start afresh."""
        if self.lanes > 1:
            self._network.select([-1] * self.lanes)
            self._network.forget(slice(1, None))
            self._unread = np.concatenate([self._unread[-1:], np.full(self.lanes - 1, self.spelling.start)])

    def select(self, rows: RowIndex) -> None:
        """Keep these lanes only. For a head that does not learn."""
        self._network.select(rows)
        self._unread = self._unread[rows]
        self.lanes = len(self._unread)

    def frequencies(self) -> NDArray[np.int64]:
        """Read the last tokens; return the frequencies (L, V) of the next ones."""
        return to_frequencies(self._head.distributions(self._network.step(self._unread)))

    def read(self, tokens: IntArray, *, learn: bool = True) -> None:
        """Take the next token of every lane, and learn from it."""
        if learn:
            self._head.learn(tokens)
        if self.spelling.end >= 0 and (ended := tokens == self.spelling.end).any():
            self._network.forget(ended)
        self._unread = tokens


class WatchedPredictor(Predictor):
    """A predictor that calls `watch` with the number of tokens that it has read each time."""

    def __init__(self, model: Model, watch: Callable[[int], None], *, lanes: int = 1, adaptive: bool = False):
        super().__init__(model, lanes=lanes, adaptive=adaptive)
        self._watch = watch

    def read(self, tokens: IntArray, *, learn: bool = True) -> None:
        """Read one token of every lane."""
        super().read(tokens, learn=learn)
        self._watch(len(tokens))
