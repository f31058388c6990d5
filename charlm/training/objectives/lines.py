"""Lines: predict every token of a line and its end, from its label or from nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch.nn import functional as F

from charlm.config import TrainingConfig
from charlm.inference.scoring import LOGITS
from charlm.nn.network import Network
from charlm.text.examples import batch_by_length
from charlm.text.line_corpus import MAX_EXAMPLE, LineCorpus
from charlm.training.batches import LINE_BLUR, Batches
from charlm.training.distributed import Shard
from charlm.training.objectives.base import Objective, ValidationMetrics, held_out_metrics
from charlm.training.teacher_forcing import IGNORED, inputs_and_targets, unknown_nats

AT_ONCE = 256                           # held-out lines in a batch, fewer if they are long


class LinesObjective(Objective):
    """Predict every token of a line and its end."""

    def __init__(self, corpus: LineCorpus, run: TrainingConfig, network: Network, shard: Shard):
        super().__init__(network, run, shard)
        self._corpus = corpus
        self._batches = Batches(corpus.lengths, batch_size=run.batch_size, seed=run.seed, blur=LINE_BLUR)
        lengths = corpus.validation.lengths
        order = np.argsort(lengths, kind="stable")
        self._held_out = [order[rows] for rows in batch_by_length(lengths[order], AT_ONCE)]
        self.updates_per_epoch = self._batches.in_first_epoch
        self.tokens_per_update = int(corpus.lengths.sum()) / self.updates_per_epoch
        self.characters_per_update = corpus.train_characters / self.updates_per_epoch
        self.validation_tokens = int((lengths - 1).sum())
        self.validation_batches = len(self._held_out)

    def loss(self, step: int) -> torch.Tensor:
        """Return this share's part of the step's mean loss, in nats per token."""
        indices = self._batches.at(step)
        rows = [self._corpus.train[index] for index in self.shard.of(indices)]
        return self._share_of_mean(rows, lambda: self._network.start(len(rows)),
                                   tokens=int(self._corpus.lengths[indices].sum()))

    def validate(self, interrupted: Callable[[], bool]) -> ValidationMetrics:
        """Score all held-out lines, each given its label."""
        batches = ([self._corpus.validation[index] for index in indices] for indices in self._held_out)
        return held_out_metrics(self._network, batches, self._nats, tokens=self.validation_tokens,
                                characters=self._corpus.validation_characters, interrupted=interrupted)

    def _nats(self, rows: list[np.ndarray]) -> float:
        """Return the summed nats of rows of any length, with no more logits in memory than LOGITS."""
        state, nats = self._network.start(len(rows)), 0.0
        for inputs, targets in self._windows(rows):
            logits, state = self._network.step(inputs, state)                   # (B, t, V)
            nats += F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED,
                                    reduction="sum").item()
            nats += unknown_nats(self._corpus.tokenizer, targets)
        return nats

    def _windows(self, rows: list[np.ndarray]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield inputs and targets (B, t) of as many tokens as LOGITS allows."""
        inputs, targets = inputs_and_targets(rows, self._network.head.bias.device)
        stride = min(max(LOGITS // self._network.config.vocabulary_size // len(rows), 1), MAX_EXAMPLE)
        return zip(inputs.split(stride, dim=1), targets.split(stride, dim=1), strict=True)
