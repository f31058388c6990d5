"""Pairs: read a source and write its target. Training is teacher-forced, validation searches greedily."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch

from charlm.config import TrainingConfig
from charlm.inference.evaluation import evaluate_pairs
from charlm.inference.matmul import matmul
from charlm.inference.network import Network as NumpyNetwork
from charlm.inference.pair_scoring import SOURCES_AT_ONCE
from charlm.inference.translation import LengthLimit, Translator
from charlm.nn.network import Network
from charlm.text.pair_corpus import PairCorpus
from charlm.text.special_tokens import with_bos_eos
from charlm.training.batches import PAIR_BLUR, Batches
from charlm.training.distributed import Shard
from charlm.training.objectives.base import Objective, ValidationMetrics
from charlm.training.teacher_forcing import encode_sources

UNKNOWN_PROBABILITY = 0.003             # of a source token to be read as unknown
GREEDY_COST = 4                         # time for a token of greedy search in NumPy, over one of training


class PairsObjective(Objective):
    """Predict every token of a target and its end, given the source."""

    def __init__(self, corpus: PairCorpus, run: TrainingConfig, network: Network, shard: Shard):
        super().__init__(network, run, shard)
        self._corpus = corpus
        self._batches = Batches(corpus.lengths, batch_size=run.batch_size, seed=run.seed, blur=PAIR_BLUR)
        target_tokens = corpus.targets.lengths + 1
        self.updates_per_epoch = self._batches.in_first_epoch
        self.tokens_per_update = target_tokens.sum() / self.updates_per_epoch
        self.characters_per_update = corpus.lengths.sum() / self.updates_per_epoch
        self.validation_tokens = len(corpus.validation) * target_tokens.mean() * GREEDY_COST
        self.validation_batches = -(-len({source for source, _ in corpus.validation}) // SOURCES_AT_ONCE)

    def loss(self, step: int) -> torch.Tensor:
        """Return this share's part of the step's mean loss, in nats per token."""
        corpus, indices = self._corpus, self._batches.at(step)
        rng = np.random.default_rng([self._run.seed, step])
        # All processes draw for the whole batch, so that the result does not depend on their number.
        sources = self.shard.of([self._with_unknowns(corpus.sources[index], rng) for index in indices])
        rows = [with_bos_eos(corpus.tokenizer, corpus.targets[index]) for index in self.shard.of(indices)]
        return self._share_of_mean(rows, lambda: encode_sources(self._network, sources),
                                   tokens=int((corpus.targets.lengths[indices] + 1).sum()))

    def _with_unknowns(self, ids: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Replace a few tokens by the unknown one, in place, so that its embedding is trained."""
        unknown = self._corpus.source_tokenizer.unknown_id
        if unknown is not None:
            ids[rng.random(len(ids)) < UNKNOWN_PROBABILITY] = unknown
        return ids

    def validate(self, interrupted: Callable[[], bool]) -> ValidationMetrics:
        """Evaluate all held-out pairs as `charlm eval` does for a model file, but with greedy search."""
        corpus = self._corpus
        weights = {name: values.numpy() for name, values in self._network.weights().items()}
        network = NumpyNetwork(self._network.config, weights, matmul=matmul)
        translator = Translator(network, corpus.tokenizer, corpus.source_tokenizer, LengthLimit(corpus.target_ratio))
        metrics = evaluate_pairs(translator, corpus.validation, beam=1, interrupted=interrupted)
        if metrics is None:
            return ValidationMetrics(math.nan, math.nan)
        return ValidationMetrics(metrics.nats_per_token, metrics.bits_per_character, metrics.word_error_rate)
