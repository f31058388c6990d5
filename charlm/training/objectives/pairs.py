"""Pairs: read a source, write its target; teacher forcing in training, greedy search in validation."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch

from charlm.config import TrainingConfig
from charlm.inference.evaluation import evaluate_pairs
from charlm.inference.matmul import matmul
from charlm.inference.network import Network as Judged
from charlm.inference.translation import SOURCES_AT_ONCE, LengthLimit, Translator
from charlm.nn.network import Network
from charlm.text.pair_corpus import PairCorpus
from charlm.text.special_tokens import with_bos_eos
from charlm.training.batches import Batches
from charlm.training.distributed import ProcessGroup
from charlm.training.objectives.base import StatelessObjective, ValidationMetrics
from charlm.training.teacher_forcing import encoded, teacher_forced_loss, zero_loss

UNKNOWN_PROBABILITY = 0.003                       # share of source tokens read as unknown
GREEDY_COST = 4                         # a token searched for in NumPy, over a token trained on


class PairsObjective(StatelessObjective):
    """Predict every token of a target and its end, given the source and what came before."""

    def __init__(self, corpus: PairCorpus, run: TrainingConfig, network: Network,
                 world: ProcessGroup = ProcessGroup()):
        self._corpus, self._network, self._world = corpus, network, world
        self._smoothing = run.label_smoothing
        self._seed = run.seed
        self._batches = Batches(corpus.lengths, batch_size=run.batch_size, seed=run.seed)
        self.updates_per_epoch = self._batches.in_first_epoch
        self.tokens_per_update = (corpus.targets.lengths + 1).sum() / self.updates_per_epoch
        self.characters_per_update = corpus.lengths.sum() / self.updates_per_epoch
        per_pair = (corpus.targets.lengths + 1).mean()
        self.validation_tokens = len(corpus.validation) * per_pair * GREEDY_COST
        self.validation_batches = -(-len({source for source, _ in corpus.validation}) // SOURCES_AT_ONCE)

    def loss(self, step: int) -> torch.Tensor:
        numbers = self._batches.at(step)
        chance = np.random.default_rng([self._seed, step])
        sources = self._world.shard([self._forget(self._corpus.sources[number], chance) for number in numbers])
        targets = [with_bos_eos(self._corpus.tokenizer, self._corpus.targets[number])
                   for number in self._world.shard(numbers)]
        tokens = int((self._corpus.targets.lengths[numbers] + 1).sum())
        if not targets:
            return zero_loss(self._network)
        return teacher_forced_loss(self._network, encoded(self._network, sources), targets,
                           label_smoothing=self._smoothing, reduction="sum") / tokens

    def _forget(self, ids: np.ndarray, chance: np.random.Generator) -> np.ndarray:
        """Some source tokens as unknown ones, so that the network has met them when a true one comes."""
        unknown = self._corpus.source_tokenizer.unknown_id
        if unknown is not None:
            ids[chance.random(len(ids)) < UNKNOWN_PROBABILITY] = unknown
        return ids

    def validate(self, interrupted: Callable[[], bool]) -> ValidationMetrics:
        """As `charlm eval` judges the stored model, but by greedy search."""
        corpus = self._corpus
        weights = {name: values.numpy() for name, values in self._network.weights().items()}
        network = Judged(self._network.config, weights, matmul=matmul)
        translator = Translator(network, corpus.tokenizer, corpus.source_tokenizer,
                                LengthLimit(corpus.target_ratio))
        metrics = evaluate_pairs(translator, corpus.validation, beam=1, interrupted=interrupted)
        if metrics is None:
            return ValidationMetrics(math.nan, math.nan)
        return ValidationMetrics(metrics.nats_per_token, metrics.bits_per_character, metrics.word_error_rate)
