"""Lines: predict every token of a line and its end from its begin, a label or none; nothing is carried over."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch.nn import functional as F

from charlm.config import TrainingConfig
from charlm.inference.scoring import LOGITS
from charlm.nn.network import Network
from charlm.text.examples import batch_by_length
from charlm.text.line_corpus import MAX_EXAMPLE, LineCorpus
from charlm.training.batches import Batches
from charlm.training.distributed import ProcessGroup
from charlm.training.objectives.base import StatelessObjective, ValidationMetrics
from charlm.training.teacher_forcing import IGNORED, inputs_and_targets, teacher_forced_loss, zero_loss

AT_ONCE = 256                           # held-out lines, fewer of long ones


class LinesObjective(StatelessObjective):
    """Predict every token of a line and its end."""

    def __init__(self, corpus: LineCorpus, run: TrainingConfig, network: Network,
                 world: ProcessGroup = ProcessGroup()):
        self._corpus, self._network, self._world = corpus, network, world
        self._smoothing = run.label_smoothing
        self._batches = Batches(corpus.lengths, batch_size=run.batch_size, seed=run.seed)
        lengths = corpus.validation.lengths
        order = np.argsort(lengths, kind="stable")
        self._held_out = [order[rows] for rows in batch_by_length(lengths[order], AT_ONCE)]
        self.updates_per_epoch = self._batches.in_first_epoch
        self.tokens_per_update = int(corpus.lengths.sum()) / self.updates_per_epoch
        self.characters_per_update = corpus.train_characters / self.updates_per_epoch
        self.validation_tokens = int((lengths - 1).sum())
        self.validation_batches = len(self._held_out)

    def loss(self, step: int) -> torch.Tensor:
        numbers = self._batches.at(step)
        rows = [self._corpus.train[number] for number in self._world.shard(numbers)]
        tokens = int(self._corpus.lengths[numbers].sum())
        if not rows:
            return zero_loss(self._network)
        return teacher_forced_loss(self._network, self._network.start(len(rows)), rows,
                           label_smoothing=self._smoothing, reduction="sum") / tokens

    @torch.inference_mode()
    def validate(self, interrupted: Callable[[], bool]) -> ValidationMetrics:
        """The loss of all held-out lines, each given its label."""
        nats = 0.0
        with self._network.evaluating():
            for numbers in self._held_out:
                if interrupted():
                    return ValidationMetrics(math.nan, math.nan)
                nats += self._nats([self._corpus.validation[number] for number in numbers])
        return ValidationMetrics(nats / self.validation_tokens,
                     nats / math.log(2) / self._corpus.validation_characters)

    def _nats(self, rows: list[np.ndarray]) -> float:
        """Summed over the rows, unknown tokens as everywhere."""
        tokenizer, state, nats = self._corpus.tokenizer, self._network.start(len(rows)), 0.0
        for inputs, targets in self._windows(rows):
            logits, state = self._network.step(inputs, state)
            nats += F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED,
                                    reduction="sum").item()
            if tokenizer.unknown_id is not None:
                nats += tokenizer.unknown_surprisal * int((targets == tokenizer.unknown_id).sum())
        return nats

    def _windows(self, rows: list[np.ndarray]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Inputs and targets in pieces that bound the logits held, as long lines need."""
        inputs, targets = inputs_and_targets(rows, self._network.head.bias.device)
        known = self._network.config.vocabulary_size
        stride = min(max(LOGITS // known // len(rows), 1), MAX_EXAMPLE)
        return zip(inputs.split(stride, dim=1), targets.split(stride, dim=1))
