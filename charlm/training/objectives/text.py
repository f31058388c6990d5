"""Running text: lanes in windows, their state carried from one to the next (truncated BPTT).

Where a window begins a line, its lane is sometimes made to forget what came before: so the network
learns how lines begin for one who knows nothing yet, as when it scores lines or starts to write.
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
from charlm.training.distributed import ProcessGroup
from charlm.training.objectives.base import ValidationMetrics
from charlm.training.validation import held_out_loss, window_count

RESET_PROBABILITY = 0.5                        # of the windows that begin a line


class TextObjective:
    """Predict every next token."""

    stateful = True

    def __init__(self, corpus: TextCorpus, run: TrainingConfig, network: Network,
                 world: ProcessGroup = ProcessGroup()):
        self._corpus, self._network, self._world = corpus, network, world
        self._smoothing = run.label_smoothing
        self._device = network.head.bias.device
        own = slice(world.rank, None, world.size)
        self._lanes = Lanes(corpus.train, batch_size=run.batch_size, bptt=run.bptt, share=own)
        self._batch_size, self._seed = run.batch_size, run.seed
        self._state = self._next = None     # none before the first accepted update
        self.tokens_per_update = run.batch_size * run.bptt
        self.updates_per_epoch = len(corpus.train) / self.tokens_per_update
        self.characters_per_update = corpus.train_characters / self.updates_per_epoch
        self.validation_tokens = len(corpus.validation)
        self.validation_batches = window_count(len(corpus.validation), corpus.tokenizer.size)

    def loss(self, step: int) -> torch.Tensor:
        inputs, targets = self._lanes.window(step)
        # An empty past may have learned parts, so it is made anew for every backward pass.
        before = self._network.start(len(inputs))
        if self._state is not None:
            before = self._state.reset(before, self._reset_mask(inputs[:, 0], step))
        logits, state = self._network.step(inputs.to(self._device), before)
        self._next = state.detach()
        loss = F.cross_entropy(logits.transpose(0, 1).flatten(0, 1),
                               targets.to(self._device).T.flatten(), label_smoothing=self._smoothing)
        return loss * (len(inputs) / self._batch_size)

    def _reset_mask(self, first: torch.Tensor, step: int) -> torch.Tensor:
        """Which lanes (B,) start anew, given the token before each one's window.

        A network that reads windows of its past goes on: its lanes turn their pages together.
        """
        if self._network.config.window:
            return torch.zeros(len(first), dtype=torch.bool)
        chance = self._world.shard(np.random.default_rng([self._seed, step]).random(self._batch_size))
        return (first == self._corpus.tokenizer.start_id) & torch.from_numpy(chance < RESET_PROBABILITY)

    def commit(self) -> None:
        self._state = self._next

    def tensors(self) -> dict[str, torch.Tensor]:
        """Every lane's state; none before the first accepted update."""
        return {} if self._state is None else self._world.gather(self._state, self._batch_size).tensors()

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        if tensors:
            whole = State.restored(tensors, self._network.start(self._batch_size))
            self._state = whole.select(self._world.shard(torch.arange(self._batch_size)))

    def validate(self, interrupted: Callable[[], bool]) -> ValidationMetrics:
        corpus = self._corpus
        loss = held_out_loss(self._network, corpus.validation, corpus.tokenizer, interrupted=interrupted)
        tokens_per_character = len(corpus.validation) / corpus.validation_characters
        return ValidationMetrics(loss, loss * tokens_per_character / math.log(2))


class Lanes:
    """`batch_size` lanes over a token cache, in windows of `bptt` tokens."""

    def __init__(self, tokens: TokenCache, *, batch_size: int, bptt: int, share: slice = slice(None)):
        """Of the `batch_size` lanes those of a share are read here."""
        self._tokens = tokens
        self._bptt = bptt
        self._starts = (np.arange(batch_size, dtype=np.int64) * len(tokens) // batch_size)[share]

    def window(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs and targets (B, T) of a step, counted from 0; targets are inputs one later."""
        ids = torch.from_numpy(self._tokens.ring(self._starts + step * self._bptt, self._bptt + 1))
        return ids[:, :-1], ids[:, 1:]
