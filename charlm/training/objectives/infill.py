"""Gaps: read a text with random spans cut out, write each of them; teacher forcing throughout."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch

from charlm.config import TrainingConfig
from charlm.nn.network import Network
from charlm.text.gap_sampling import (
    MAX_SOURCE,
    MIN_SOURCE,
    Gapped,
    gap_positions,
    cut_gaps,
    draw_gaps,
    draw_max_length,
    count_gap_characters,
    held_out_gaps,
)
from charlm.text.special_tokens import with_bos_eos
from charlm.text.text_corpus import TextCorpus
from charlm.training.distributed import ProcessGroup
from charlm.training.objectives.base import StatelessObjective, ValidationMetrics
from charlm.training.teacher_forcing import encoded, teacher_forced_loss, zero_loss

AT_ONCE = 64                            # held-out texts


class InfillObjective(StatelessObjective):
    """Predict every token of every gap and its end, given the text around, other gaps missing in it."""

    def __init__(self, corpus: TextCorpus, run: TrainingConfig, network: Network,
                 world: ProcessGroup = ProcessGroup()):
        self._corpus, self._network, self._run, self._world = corpus, network, run, world
        self.tokens_per_update = run.batch_size * run.bptt
        self.updates_per_epoch = len(corpus.train) / self.tokens_per_update
        self.characters_per_update = corpus.train_characters / self.updates_per_epoch
        self._held_out = held_out_gaps(corpus.validation, corpus.tokenizer)
        self.validation_tokens = sum(len(text.source) for text in self._held_out)
        self.validation_batches = -(-len(self._held_out) // AT_ONCE)

    def loss(self, step: int) -> torch.Tensor:
        """A step's texts are all of one length, so that little is padded; the length is drawn."""
        chance = np.random.default_rng([self._run.seed, step])
        tokens = self._corpus.train
        size = min(int(chance.integers(MIN_SOURCE, MAX_SOURCE + 1)), len(tokens))
        longest = draw_max_length(chance)
        rows = max(round(self.tokens_per_update / size), 1)
        starts = chance.integers(0, len(tokens) - size + 1, rows)
        texts = [cut_gaps(ids, draw_gaps(size, chance, max_length=longest), self._corpus.tokenizer)
                 for ids in tokens.ring(starts, size)]
        own = self._world.shard(texts)
        if not own:
            return zero_loss(self._network)
        return self._loss(own, label_smoothing=self._run.label_smoothing) / _tokens(texts)

    def _loss(self, texts: list[Gapped], **how) -> torch.Tensor:
        state = encoded(self._network, [text.source for text in texts], gap_positions(texts))
        rows = [with_bos_eos(self._corpus.tokenizer, ids) for text in texts for ids in text.gaps]
        return teacher_forced_loss(self._network, state, rows, reduction="sum", **how)

    def _unknown_nats(self, texts: list[Gapped]) -> float:
        """What unknown tokens cost on top of p(unk), as everywhere."""
        tokenizer = self._corpus.tokenizer
        return tokenizer.unknown_surprisal * sum(
            int((ids == tokenizer.unknown_id).sum()) for text in texts for ids in text.gaps)

    @torch.inference_mode()
    def validate(self, interrupted: Callable[[], bool]) -> ValidationMetrics:
        """The loss of the held-out gaps."""
        nats = 0.0
        with self._network.evaluating():
            for start in range(0, len(self._held_out), AT_ONCE):
                if interrupted():
                    return ValidationMetrics(math.nan, math.nan)
                some = self._held_out[start:start + AT_ONCE]
                nats += self._loss(some).item() + self._unknown_nats(some)
        tokens = _tokens(self._held_out)
        characters = count_gap_characters(self._held_out, self._corpus.tokenizer)
        return ValidationMetrics(nats / tokens, nats / math.log(2) / characters)


def _tokens(texts: list[Gapped]) -> int:
    """What is predicted in all gaps, each end included."""
    return sum(len(ids) + 1 for text in texts for ids in text.gaps)
