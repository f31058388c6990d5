"""Pairs: the loss of a batch is that of each pair alone, token by token; copying is learned without errors.

The search is tested in tests/inference, the choice of batches in test_batches.py.
"""

import itertools
import math

import numpy as np
import pytest
import torch

from charlm.config import ModelConfig, TrainingConfig
from charlm.text.special_tokens import eos_id, vocabulary_sizes
from charlm.text.tokenizers.base import decode
from charlm.training.batches import PAIR_BLUR, Batches
from charlm.training.objectives import pairs as module
from charlm.training.trainer import Trainer
from tests.helpers.objectives import assert_loss_depends_on_the_step_alone, assert_validation_changes_nothing, never

pytestmark = pytest.mark.usefixtures("one_thread")

PAIRS = [("a", "x"), ("bc", "yy z"), ("cab", "z"), ("cabac", "xyzzyx x"), ("b", "y"), ("cc", "zxy"),
         ("abcabcab", "x y z"), ("ba", "yx")]
ENCODERS = [(encoder, attention) for encoder in ("bidirectional", "stacked", "shared") for attention in (True, False)]


def trainer_for(corpus, *, cell="gru", encoder="bidirectional", attention=True, hidden=10, layers=2, **options):
    run = TrainingConfig(**{"steps": 20, "batch_size": 3, "dropout": 0.0, "warmup": 2} | options)
    writes, reads = vocabulary_sizes("pairs", corpus.tokenizer, corpus.source_tokenizer)
    model = ModelConfig(writes, cell=cell, num_layers=layers, embedding_size=6, hidden_size=hidden, encoder=encoder,
                        attention=attention, source_vocabulary_size=reads)
    return Trainer(corpus, model, run, device="cpu", task="pairs")


@pytest.fixture
def corpus(pairs_of):
    return pairs_of(PAIRS, tokenizer="char", validation=PAIRS[:3] + [("accb", "zz"), ("?", "q")])


@pytest.fixture
def no_unknowns(monkeypatch):
    """Turn off the replacement of source tokens by the unknown one."""
    monkeypatch.setattr(module, "UNKNOWN_PROBABILITY", 0.0)


@torch.no_grad()
def log_probabilities(network, source, target, end):
    """Return log p (T, V) of the tokens of one target and its end, T = length + 1, reading one token at a time."""
    state = network.encode(torch.as_tensor(source)[None], torch.tensor([len(source)]))
    rows = []
    for token in [end, *target]:
        logits, state = network.step(torch.tensor([[token]]), state)
        rows.append(logits[0, 0].double().log_softmax(0))
    return torch.stack(rows).numpy()


def nats_of(network, source, target, end):
    """Return the nats of each token of a target and of its end."""
    table = log_probabilities(network, source, target, end)
    return -table[np.arange(len(table)), [*target, end]]


def examples_at(corpus, step, *, batch_size=3, seed=0):
    """Return the ids of sources and targets of a step."""
    lengths = corpus.sources.lengths + corpus.targets.lengths
    indices = Batches(lengths, batch_size=batch_size, seed=seed, blur=PAIR_BLUR).at(step)
    return [(corpus.sources[index], corpus.targets[index].tolist()) for index in indices]


@pytest.mark.parametrize("encoder, attention, cell", [
    *((*encoder, "gru") for encoder in ENCODERS), (*ENCODERS[0], "lstm"), (*ENCODERS[0], "rnn"),
    (*ENCODERS[4], "lstm")])
@pytest.mark.usefixtures("no_unknowns")
def test_loss_is_the_mean_over_all_tokens_of_each_pair_alone(corpus, cell, encoder, attention):
    trainer = trainer_for(corpus, cell=cell, encoder=encoder, attention=attention)
    end = eos_id(corpus.tokenizer)
    for step in range(3):                                   # 3, 3 and 2 pairs of different lengths
        alone = np.concatenate([nats_of(trainer.network, source, target, end)
                                for source, target in examples_at(corpus, step)])
        assert trainer.objective.loss(step).item() == pytest.approx(alone.mean(), abs=1e-5)


@pytest.mark.usefixtures("no_unknowns")
def test_label_smoothing_spreads_a_share_evenly_over_all_tokens(corpus):
    trainer, end = trainer_for(corpus, label_smoothing=0.2), eos_id(corpus.tokenizer)
    costs = []
    for source, target in examples_at(corpus, 0):
        table = -log_probabilities(trainer.network, source, target, end)
        costs.append(0.8 * table[np.arange(len(table)), [*target, end]] + 0.2 * table.mean(axis=1))
    assert trainer.objective.loss(0).item() == pytest.approx(np.concatenate(costs).mean(), abs=1e-5)


def test_loss_of_a_step_is_always_the_same(corpus):
    assert_loss_depends_on_the_step_alone(trainer_for(corpus), trainer_for(corpus))


# Unknown source tokens


def encoded_sources(trainer, steps):
    """Return the sources (N, T) given to the encoder in each step."""
    seen, encode = [], trainer.network.encode

    def spy(source, lengths, *positions):
        seen.extend(row[:length].numpy() for row, length in zip(source, lengths, strict=True))
        return encode(source, lengths, *positions)

    trainer.network.encode = spy
    for step in range(steps):
        trainer.objective.loss(step)
    return seen


def test_some_source_tokens_are_replaced_by_the_unknown_one(corpus, monkeypatch):
    monkeypatch.setattr(module, "UNKNOWN_PROBABILITY", 0.5)
    first, second = (encoded_sources(trainer_for(corpus), 30) for _ in range(2))
    assert all(map(np.array_equal, first, second)) and len(first) == len(second)
    ids = np.concatenate(first)
    assert 0.4 < (ids == corpus.source_tokenizer.unknown_id).mean() < 0.6
    sources = [corpus.sources[index] for index in range(len(corpus.sources))]       # the corpus is unchanged
    assert sum(map(len, sources)) == corpus.sources.lengths.sum()
    assert all(corpus.source_tokenizer.unknown_id not in source for source in sources)


def test_most_source_tokens_are_left_unchanged(corpus):
    ids = np.concatenate(encoded_sources(trainer_for(corpus), 100))
    assert 0 < (ids == corpus.source_tokenizer.unknown_id).mean() < 0.01


def test_bytes_are_never_replaced(pairs_of, monkeypatch):
    monkeypatch.setattr(module, "UNKNOWN_PROBABILITY", 0.5)
    corpus = pairs_of(PAIRS, tokenizer="char", source_tokenizer="byte")
    ids = np.concatenate(encoded_sources(trainer_for(corpus), 10))
    assert set(ids.tolist()) <= set(b"abc")


# Validation


@torch.no_grad()
def written_greedily(network, corpus, source):
    """Return the target written from one source by taking the likeliest known token at each step."""
    end, tokens = eos_id(corpus.tokenizer), []
    state = network.encode(torch.as_tensor(source)[None], torch.tensor([len(source)]))
    while True:
        logits, state = network.step(torch.tensor([[tokens[-1] if tokens else end]]), state)
        logits[0, 0, list(corpus.tokenizer.unsampleable_ids)] = -math.inf
        token = int(logits[0, 0].argmax())
        if token == end or len(tokens) == 30:
            return decode(corpus.tokenizer, tokens)
        tokens.append(token)


@pytest.mark.parametrize("encoder, attention", ENCODERS)
def test_validation_scores_each_held_out_pair_and_counts_errors(corpus, encoder, attention):
    trainer = trainer_for(corpus, encoder=encoder, attention=attention, learning_rate=0.01, batch_size=8)
    for step in range(15):
        trainer.update(step)
    tokenizer, network, nats, wrong = corpus.tokenizer, trainer.network, [], 0
    for source, target in corpus.validation:
        ids = corpus.source_tokenizer.encode(source).astype(np.int64)
        encoded = tokenizer.encode(target).tolist()
        nats.append(nats_of(network, ids, encoded, eos_id(tokenizer)))
        nats[-1][:-1] += tokenizer.unknown_surprisal * (np.array(encoded) == tokenizer.unknown_id)
        wrong += written_greedily(network, corpus, ids) != target
    metrics, nats = trainer.objective.validate(never), np.concatenate(nats)
    assert metrics.loss == pytest.approx(nats.mean(), abs=1e-5)
    characters = sum(len(target) for _, target in corpus.validation)
    assert metrics.bits_per_character == pytest.approx(nats.sum() / math.log(2) / characters, rel=1e-5)
    assert metrics.error_rate == wrong / len(corpus.validation)


def test_validation_changes_nothing_that_training_reads(corpus):
    assert_validation_changes_nothing(trainer_for(corpus, dropout=0.5), trainer_for(corpus, dropout=0.5))


def test_interrupted_validation_has_no_finite_loss(corpus):
    assert not trainer_for(corpus).objective.validate(lambda: True).finite


def count_checks(objective):
    """Return how many times a validation checks for an interruption."""
    calls = []
    objective.validate(lambda: bool(calls.append(True)))
    return len(calls)


@pytest.mark.parametrize("held_out", [1, 64, 65, 150])
def test_validation_checks_for_interruption_once_a_batch(pairs_of, held_out):
    corpus = pairs_of(PAIRS, tokenizer="char", validation=[("a" * size, "x") for size in range(1, held_out + 1)])
    objective = trainer_for(corpus, hidden=4, layers=1).objective
    assert count_checks(objective) == objective.validation_batches


def test_validation_checks_once_a_batch_with_many_targets_per_source(pairs_of):
    corpus = pairs_of(PAIRS, tokenizer="char", validation=[("ab", "x" * size) for size in range(1, 151)])
    objective = trainer_for(corpus, hidden=4, layers=1).objective
    assert count_checks(objective) == objective.validation_batches


# Learning


@pytest.mark.parametrize("encoder, attention", [
    ENCODERS[0], *(pytest.param(*each, marks=pytest.mark.slow) for each in ENCODERS[1:])])
def test_a_few_dozen_updates_lower_the_loss(pairs_of, encoder, attention):
    corpus = pairs_of(PAIRS, tokenizer="char", validation=PAIRS)
    trainer = trainer_for(corpus, encoder=encoder, attention=attention, hidden=24, batch_size=8, steps=40,
                          learning_rate=0.02)
    before = trainer.objective.validate(never).loss
    first = trainer.update(0).loss
    last = [trainer.update(step).loss for step in range(1, 40)][-1]
    assert last < first / 2 and trainer.objective.validate(never).loss < before / 2


def test_sizes_of_an_epoch_are_those_of_its_pairs(corpus):
    objective = trainer_for(corpus).objective
    targets = sum(len(target) + 1 for _, target in PAIRS)
    assert objective.updates_per_epoch == 3
    assert objective.tokens_per_update == pytest.approx(targets / 3)
    characters = sum(len(source) + len(target) for source, target in PAIRS)
    assert objective.characters_per_update == pytest.approx(characters / 3)


def test_it_learns_to_copy_without_an_error(pairs_of):
    words = ["".join(letters) for size in (1, 2, 3) for letters in itertools.product("abc", repeat=size)]
    copies = [(word, word) for word in words]
    trainer = trainer_for(pairs_of(copies, tokenizer="char", validation=copies), hidden=24, layers=1, steps=150,
                          batch_size=16, learning_rate=0.02)
    assert trainer.objective.validate(never).error_rate > 0.9
    for step in range(150):
        trainer.update(step)
    assert trainer.objective.validate(never).error_rate == 0
