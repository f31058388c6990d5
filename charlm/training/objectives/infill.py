"""Infilling: read a text with random gaps and write each gap. Training and validation are teacher-forced."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from charlm.config import TrainingConfig
from charlm.nn.network import Network
from charlm.nn.state import State
from charlm.text import gap_sampling
from charlm.text.special_tokens import with_bos_eos
from charlm.text.text_corpus import TextCorpus
from charlm.training.distributed import Shard
from charlm.training.objectives.base import Objective, ValidationMetrics, held_out_metrics
from charlm.training.teacher_forcing import encode_sources, teacher_forced_loss, unknown_nats

AT_ONCE = 64                            # held-out texts in a batch


class InfillObjective(Objective):
    """Predict every token of every gap and its end, given the text with all its gaps."""

    def __init__(self, corpus: TextCorpus, run: TrainingConfig, network: Network, shard: Shard):
        super().__init__(network, run, shard)
        self._corpus = corpus
        self.tokens_per_update = run.batch_size * run.bptt
        self.updates_per_epoch = len(corpus.train) / self.tokens_per_update
        self.characters_per_update = corpus.train_characters / self.updates_per_epoch
        self._held_out = gap_sampling.held_out_gaps(corpus.validation, corpus.tokenizer)
        self.validation_tokens = sum(len(text.source) for text in self._held_out)
        self.validation_batches = -(-len(self._held_out) // AT_ONCE)

    def loss(self, step: int) -> torch.Tensor:
        """Return this share's part of the step's mean loss, in nats per token."""
        rng = np.random.default_rng([self._run.seed, step])
        tokens, tokenizer = self._corpus.train, self._corpus.tokenizer
        # All texts of a step have one random length, so that sources need little padding.
        size = min(int(rng.integers(gap_sampling.MIN_SOURCE, gap_sampling.MAX_SOURCE + 1)), len(tokens))
        max_length = gap_sampling.draw_max_length(rng)
        starts = rng.integers(0, len(tokens) - size + 1, max(round(self.tokens_per_update / size), 1))
        texts = [gap_sampling.cut_gaps(ids, gap_sampling.draw_gaps(size, rng, max_length=max_length), tokenizer)
                 for ids in tokens.ring(starts, size)]
        shard = self.shard.of(texts)
        return self._share_of_mean(self._rows(shard), lambda: self._start(shard), tokens=_count_tokens(texts))

    def _start(self, texts: list[gap_sampling.Gapped]) -> State:
        return encode_sources(self._network, [text.source for text in texts], gap_sampling.gap_positions(texts))

    def _rows(self, texts: list[gap_sampling.Gapped]) -> list[np.ndarray]:
        return [with_bos_eos(self._corpus.tokenizer, ids) for text in texts for ids in text.gaps]

    def validate(self, interrupted: Callable[[], bool]) -> ValidationMetrics:
        """Score all held-out gaps."""
        texts, tokenizer = self._held_out, self._corpus.tokenizer
        batches = (texts[start:start + AT_ONCE] for start in range(0, len(texts), AT_ONCE))
        return held_out_metrics(self._network, batches, self._nats, tokens=_count_tokens(texts),
                                characters=gap_sampling.count_gap_characters(texts, tokenizer), interrupted=interrupted)

    def _nats(self, texts: list[gap_sampling.Gapped]) -> float:
        rows = self._rows(texts)
        loss = teacher_forced_loss(self._network, self._start(texts), rows, reduction="sum").item()
        return loss + unknown_nats(self._corpus.tokenizer, torch.from_numpy(np.concatenate(rows)))


def _count_tokens(texts: list[gap_sampling.Gapped]) -> int:
    """Return the number of tokens to predict in all gaps, ends included."""
    return sum(len(ids) + 1 for text in texts for ids in text.gaps)
