"""Running text, read by parallel lanes in windows: truncated backpropagation through time (Williams and Peng 1990).

Each lane's state is carried from one window to the next, but gradients are not.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional as F

from charlm.config import TrainingConfig
from charlm.nn.network import Network
from charlm.nn.state import State
from charlm.text.text_corpus import TextCorpus
from charlm.text.token_cache import TokenCache
from charlm.training.distributed import WHOLE, Shard
from charlm.training.objectives.base import Objective, ValidationMetrics
from charlm.training.validation import held_out_loss, window_count

RESET_PROBABILITY = 0.5                 # that a lane's state is reset when its window starts at a line break


class Lanes:
    """Evenly spaced readers of a token cache that is read as a ring, in windows of `bptt` tokens."""

    def __init__(self, tokens: TokenCache, *, batch_size: int, bptt: int, shard: Shard = WHOLE):
        self._tokens, self._bptt = tokens, bptt
        self._starts = shard.of(np.arange(batch_size, dtype=np.int64) * len(tokens) // batch_size)

    def window(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return inputs and targets (B, T) of a step, counted from 0; targets are inputs one token later."""
        ids = torch.from_numpy(self._tokens.ring(self._starts + step * self._bptt, self._bptt + 1))
        return ids[:, :-1], ids[:, 1:]


class TextObjective(Objective):
    """Predict the next token at every position of a running text.

    When a window starts at a line break, the lane's state is reset with probability 0.5, so that the network also
    learns to start a line without context, as it must when scoring lines.
    """

    stateful = True

    def __init__(self, corpus: TextCorpus, run: TrainingConfig, network: Network, shard: Shard):
        super().__init__(network, run, shard)
        self._corpus, self._device = corpus, network.head.bias.device
        self._lanes = Lanes(corpus.train, batch_size=run.batch_size, bptt=run.bptt, shard=shard)
        self._next: State | None = None         # follows `state` if the latest loss is applied
        self.tokens_per_update = run.batch_size * run.bptt
        self.updates_per_epoch = len(corpus.train) / self.tokens_per_update
        self.characters_per_update = corpus.train_characters / self.updates_per_epoch
        self.validation_tokens = len(corpus.validation)
        self.validation_batches = window_count(len(corpus.validation), corpus.tokenizer.size)

    def on(self, shard: Shard) -> TextObjective:
        """Return a copy of this objective for other lanes; call it before the first update."""
        return TextObjective(self._corpus, self._run, self._network, shard)

    def loss(self, step: int) -> torch.Tensor:
        """Return this share's part of the window's mean loss, in nats per token."""
        inputs, targets = self._lanes.window(step)                              # (B, T)
        # The start state may contain trainable parameters, so every backward pass needs a fresh one.
        state = self._network.start(len(inputs))
        if self.state is not None:
            state = self.state.reset(state, self._reset_mask(inputs[:, 0], step))
        logits, after = self._network.step(inputs.to(self._device), state)      # (B, T, V)
        self._next = after.detach()
        loss = F.cross_entropy(logits.transpose(0, 1).flatten(0, 1),
                               targets.to(self._device).T.flatten(), label_smoothing=self._run.label_smoothing)
        return loss * (len(inputs) / self._run.batch_size)

    def _reset_mask(self, first: torch.Tensor, step: int) -> torch.Tensor:
        """Return True for every lane (B,) to reset, given the first tokens (B,) of a step's windows."""
        if self._network.config.window:     # lanes share window boundaries, so none is reset alone
            return torch.zeros(len(first), dtype=torch.bool)
        rng = np.random.default_rng([self._run.seed, step])
        drawn = self.shard.of(rng.random(self._run.batch_size)) < RESET_PROBABILITY
        return (first == self._corpus.tokenizer.start_id) & torch.from_numpy(drawn)

    def commit(self) -> None:
        """Keep the state in which the latest loss ended."""
        self.state = self._next

    def validate(self, interrupted: Callable[[], bool]) -> ValidationMetrics:
        """Score the whole held-out text with carried state."""
        corpus = self._corpus
        loss = held_out_loss(self._network, corpus.validation, corpus.tokenizer, interrupted=interrupted)
        return ValidationMetrics(loss, loss * (len(corpus.validation) / corpus.validation_characters) / math.log(2))
