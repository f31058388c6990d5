"""Running text: lanes in windows, their state carried from one to the next (truncated BPTT)."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch.nn import functional as F

from charlm.config import TrainingConfig
from charlm.nn.network import Network
from charlm.text.prepare import Corpus
from charlm.training.lanes import Lanes
from charlm.training.objective import Score
from charlm.training.validation import held_out_loss, window_count


class Stream:
    """Predict every next token."""

    def __init__(self, corpus: Corpus, run: TrainingConfig, network: Network):
        self._corpus, self._network, self._smoothing = corpus, network, run.label_smoothing
        self._device = network.head.bias.device
        self._lanes = Lanes(corpus.train, batch_size=run.batch_size, bptt=run.bptt)
        self._batch_size = run.batch_size
        self._state = self._next = None     # none before the first accepted update
        self.tokens_per_update = run.batch_size * run.bptt
        self.updates_per_epoch = len(corpus.train) / self.tokens_per_update
        self.characters_per_update = corpus.train_characters / self.updates_per_epoch
        self.validation_tokens = len(corpus.validation)
        self.validation_pieces = window_count(len(corpus.validation), corpus.tokenizer.size)

    def loss(self, step: int) -> torch.Tensor:
        inputs, targets = self._lanes.window(step)
        # An empty past may have learned parts, so it is made anew for every backward pass.
        before = self._state or self._network.start(self._batch_size)
        logits, state = self._network.step(inputs.to(self._device), before)
        self._next = state.detach()
        return F.cross_entropy(logits.transpose(0, 1).flatten(0, 1),
                               targets.to(self._device).T.flatten(), label_smoothing=self._smoothing)

    def accept(self) -> None:
        self._state = self._next

    def validate(self, interrupted: Callable[[], bool]) -> Score:
        corpus = self._corpus
        loss = held_out_loss(self._network, corpus.validation, corpus.tokenizer, interrupted=interrupted)
        tokens_per_character = len(corpus.validation) / corpus.validation_characters
        return Score(loss, loss * tokens_per_character / math.log(2))
