"""The adapter: distributions of next tokens from a network's hidden states, which improve as it reads."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from charlm.adaptation.counts import ORDERS, ContextCounts, Contexts, find_contexts
from charlm.adaptation.exact import Floats, Integers, shares
from charlm.adaptation.head import STATE_SCALE, AdaptiveHead, GivenLogits
from charlm.adaptation.mixing import Mixer, Mixture
from charlm.config import AdaptationSettings
from charlm.contract import BoolArray, FloatArray, IntArray

BLOCK = 32                              # tokens after which everything learns


class _Predictions(NamedTuple):
    """Distributions of N positions, and what is learned from them once their tokens are known."""

    inputs: Floats                      # (N, H + 1)
    contexts: Contexts
    mixture: Mixture

    @staticmethod
    def joined(parts: list[_Predictions]) -> _Predictions:
        """Return several predictions as one."""
        if len(parts) == 1:
            return parts[0]
        mixtures, contexts = [part.mixture for part in parts], [part.contexts for part in parts]
        return _Predictions(
            np.concatenate([part.inputs for part in parts]),
            Contexts(np.concatenate([one.rows for one in contexts]), np.concatenate([one.checks for one in contexts])),
            Mixture(np.concatenate([one.weights for one in mixtures]), np.concatenate([one.tokens for one in mixtures]),
                    np.concatenate([one.features for one in mixtures]),
                    np.concatenate([one.buckets for one in mixtures])))


class Adapter:
    """A head and context counts that learn while texts are read in one or several lanes.

    Every token is predicted before anything is learned from it, and the same bits come out on every machine. All lanes
    share what is learned; each has its context alone. Learning takes place whenever 32 tokens have been read.
    """

    def __init__(self, head: FloatArray, bias: FloatArray, settings: AdaptationSettings, lanes: int = 1, *,
                 state_scale: int = STATE_SCALE):
        """Begin with a network's head (V, H) and bias (V,), which read hidden states times `state_scale`."""
        self._size = len(head)
        self._head: AdaptiveHead | GivenLogits = AdaptiveHead(head, bias, settings, state_scale)
        self._mixer = Mixer(settings)
        self._counts = ContextCounts(self._size)
        self._pending: list[_Predictions] = []
        self._tokens: list[IntArray] = []
        self._waiting = 0                                               # tokens to learn from
        self._last: _Predictions | None = None
        self.restart(lanes)

    @classmethod
    def of_logits(cls, size: int, settings: AdaptationSettings) -> Adapter:
        """Return an adapter that reads logits (N, V) in place of states: counts for a network that learns elsewhere."""
        adapter = cls(np.zeros((size, 1)), np.zeros(size), settings)
        adapter._head = GivenLogits()
        return adapter

    def restart(self, lanes: int = 1) -> None:
        """Begin new texts, one in each lane, with everything that has been learned."""
        # The nearest first; V before the beginning.
        self._recent: IntArray = np.full((lanes, ORDERS), self._size, np.int64)

    def distributions(self, states: IntArray | FloatArray) -> Integers:
        """Return whole weights (L, V), proportional to the probabilities of each lane's next token.

        `states` (L, H) are hidden states as whole numbers, see `quantise_states`.
        """
        self._last = self._predict(states, self._recent)
        return self._last.mixture.weights

    def predict(self, states: IntArray | FloatArray, recent: IntArray) -> Integers:
        """Return whole weights (N, V) after states (N, H) and the last tokens (N, ORDERS), the nearest first."""
        return self._predict(states, recent).mixture.weights

    def learn(self, tokens: IntArray) -> None:
        """Read the tokens (L,) that the last `distributions` predicted."""
        if self._last is None:
            raise ValueError("learn() follows distributions()")
        recent = np.empty_like(self._recent)
        recent[:, 0], recent[:, 1:] = tokens, self._recent[:, :-1]
        self._recent = recent
        self._read(self._last, tokens)
        self._last = None

    def nats(self, states: IntArray | FloatArray, targets: IntArray, starts: BoolArray | None = None) -> Floats:
        """Read tokens (T,) of one lane after states (T, H); return the nats of each, as scored before it was read.

        `starts` (T,) marks the first token of each new text. Equal to `distributions` and `learn` token by token.
        """
        recent = self._recent_tokens(targets, starts)
        nats, at = np.empty(len(targets)), 0
        while at < len(targets):
            stop = min(at + BLOCK - self._waiting, len(targets))
            predictions = self._predict(states[at:stop], recent[at:stop])
            weights = predictions.mixture.weights
            chosen = weights[np.arange(stop - at), targets[at:stop]]
            nats[at:stop] = np.log(weights.sum(axis=1)) - np.log(chosen)
            self._read(predictions, targets[at:stop])
            at = stop
        self._recent = recent[-1:]
        return nats

    def _recent_tokens(self, targets: IntArray, starts: BoolArray | None) -> IntArray:
        """Return the tokens before each target and after the last, (T + 1, ORDERS), the nearest first."""
        text = np.concatenate([self._recent[0, ::-1], targets])
        recent: IntArray = np.lib.stride_tricks.sliding_window_view(text, ORDERS)[:, ::-1].copy()
        if starts is not None and starts.any():
            index = np.arange(len(recent))
            first = np.maximum.accumulate(np.where(np.append(starts, False), index, -ORDERS))   # of each text
            recent[np.arange(ORDERS) >= (index - first)[:, None]] = self._size
        return recent

    def _predict(self, states: IntArray | FloatArray, recent: IntArray) -> _Predictions:
        inputs, contexts = self._head.inputs(states), find_contexts(recent)
        mixture = self._mixer.mix(self._head.weights(inputs), *self._counts.followers(contexts))
        return _Predictions(inputs, contexts, mixture)

    def _read(self, predictions: _Predictions, tokens: IntArray) -> None:
        """Take tokens (N,) for learning, and learn once there are enough."""
        self._pending.append(predictions)
        self._tokens.append(tokens)
        self._waiting += len(tokens)
        if self._waiting >= BLOCK:
            self.flush()

    def flush(self) -> None:
        """Learn from what has been read, even if it is less than a block."""
        if not self._waiting:
            return
        block, tokens = _Predictions.joined(self._pending), np.concatenate(self._tokens)
        self._head.learn(block.inputs, shares(block.mixture.weights), tokens)
        self._mixer.learn(block.mixture, tokens)
        self._counts.add(block.contexts, tokens)
        self._pending, self._tokens, self._waiting = [], [], 0
