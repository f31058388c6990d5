"""Lines: the loss of a batch is that of each line alone from its begin or label, token by token, including its end.

The choice of lines is tested in tests/text, the agreement with scoring in test_lines_scored.py.
"""

import itertools
import math

import numpy as np
import pytest
import torch

from charlm.config import ModelConfig, TrainingConfig
from charlm.text import line_corpus
from charlm.text.special_tokens import vocabulary_sizes
from charlm.training.batches import LINE_BLUR, Batches
from charlm.training.objectives import lines as module
from charlm.training.trainer import Trainer
from tests.helpers.objectives import (
    assert_loss_depends_on_the_step_alone,
    assert_mode_is_restored,
    assert_validation_changes_nothing,
    never,
)

pytestmark = pytest.mark.usefixtures("one_thread")

NAMES = ["emma", "ava", "", "amelia", "mia", "eve", "a", "emmeline"]
LABELLED = [("one", "emma"), ("two", "ava"), ("one", "amelia"), ("three", "mia"), ("two", "eve"), ("one", "a"),
            ("two", "emmeline")]


def trainer_for(corpus, *, cell="lstm", hidden=10, layers=2, **options):
    run = TrainingConfig(**{"steps": 20, "batch_size": 3, "dropout": 0.0, "warmup": 2} | options)
    size, _ = vocabulary_sizes("lines", corpus.tokenizer, corpus.tokenizer)
    model = ModelConfig(size, labels=len(corpus.labels or ()), cell=cell, num_layers=layers, embedding_size=6,
                        hidden_size=hidden)
    return Trainer(corpus, model, run, device="cpu", task="lines")


@pytest.fixture(params=["plain", "labelled"])
def corpus(request, lines_of):
    if request.param == "plain":
        return lines_of(NAMES, validation=["evelina", "", "em", "ama"])
    return lines_of(LABELLED, validation=[("three", "evelina"), ("one", "em"), ("two", "ama")])


@torch.no_grad()
def log_probabilities(network, row):
    """Return log p (T, V) after each token but the last of one row, reading one token at a time."""
    state, tables = network.start(1), []
    for token in row[:-1]:
        logits, state = network.step(torch.tensor([[token]]), state)
        tables.append(logits[0, 0].double().log_softmax(0))
    return torch.stack(tables).numpy()


def nats_of(network, row):
    table = log_probabilities(network, row)
    return -table[np.arange(len(table)), row[1:]]


def rows_at(corpus, step, *, batch_size=3, seed=0):
    indices = Batches(corpus.train.lengths - 1, batch_size=batch_size, seed=seed, blur=LINE_BLUR).at(step)
    return [corpus.train[index] for index in indices]


def held_out_rows(corpus):
    return [corpus.validation[index] for index in range(len(corpus.validation))]


# The loss


@pytest.mark.parametrize("cell, seed", [("lstm", 0), ("lstm", 7), ("gru", 0), ("rnn", 0)])
def test_loss_is_the_mean_over_all_tokens_of_each_line_alone(corpus, cell, seed):
    trainer = trainer_for(corpus, cell=cell, seed=seed)
    for step in range(3):                                   # 3, 3 and the remaining lines, of different lengths
        alone = np.concatenate([nats_of(trainer.network, row) for row in rows_at(corpus, step, seed=seed)])
        assert trainer.objective.loss(step).item() == pytest.approx(alone.mean(), abs=1e-5)
        trainer.objective.commit()


def test_label_smoothing_spreads_a_share_evenly_over_all_tokens(corpus):
    trainer, costs = trainer_for(corpus, label_smoothing=0.2), []
    for row in rows_at(corpus, 0):
        table = -log_probabilities(trainer.network, row)
        costs.append(0.8 * table[np.arange(len(table)), row[1:]] + 0.2 * table.mean(axis=1))
    assert trainer.objective.loss(0).item() == pytest.approx(np.concatenate(costs).mean(), abs=1e-5)


def test_loss_of_a_step_is_always_the_same(corpus):
    assert_loss_depends_on_the_step_alone(trainer_for(corpus), trainer_for(corpus))


def test_uniform_network_loses_the_log_of_its_vocabulary(corpus):
    trainer = trainer_for(corpus)
    with torch.no_grad():
        trainer.network.head.weight.zero_()
    size = corpus.tokenizer.size + 1
    assert trainer.objective.loss(0).item() == pytest.approx(math.log(size), rel=1e-6)
    metrics = trainer.objective.validate(never)
    tokens = sum(len(row) - 1 for row in held_out_rows(corpus))     # every character is known and one token
    assert metrics.loss == pytest.approx(math.log(size), rel=1e-6) and tokens == corpus.validation_characters
    assert metrics.bits_per_character == pytest.approx(math.log2(size), rel=1e-6)


def test_a_long_line_is_learned_in_pieces_after_the_token_before_each(lines_of, monkeypatch):
    monkeypatch.setattr(line_corpus, "MAX_EXAMPLE", 4)
    corpus = lines_of([("x", "emma amelia")], validation=[("x", "a")])
    trainer, size = trainer_for(corpus), corpus.tokenizer.size
    row = [size + 1, *corpus.tokenizer.encode("emma amelia").tolist(), size]
    alone = np.concatenate([nats_of(trainer.network, row[start:start + 5]) for start in (0, 4, 8)])
    assert len(alone) == 12 and trainer.objective.loss(0).item() == pytest.approx(alone.mean(), abs=1e-5)


# Validation


def test_validation_is_the_loss_of_each_held_out_line_alone(corpus):
    trainer = trainer_for(corpus, dropout=0.5)
    trainer.network.eval()
    alone = np.concatenate([nats_of(trainer.network, row) for row in held_out_rows(corpus)])
    trainer.network.train()
    metrics = trainer.objective.validate(never)
    assert metrics.loss == pytest.approx(alone.mean(), abs=1e-5)
    bits = alone.sum() / math.log(2)
    assert metrics.bits_per_character == pytest.approx(bits / corpus.validation_characters, abs=1e-5)


@pytest.mark.parametrize("logits", [1, 40, 400])
def test_validation_does_not_depend_on_the_limit_of_logits(corpus, monkeypatch, logits):
    trainer = trainer_for(corpus)
    expected = trainer.objective.validate(never)
    monkeypatch.setattr(module, "LOGITS", logits)
    largest, step = [], trainer.network.step
    trainer.network.step = lambda tokens, state: largest.append(tokens.numel()) or step(tokens, state)
    metrics = trainer.objective.validate(never)
    assert metrics.loss == pytest.approx(expected.loss, abs=1e-6)
    assert metrics.bits_per_character == pytest.approx(expected.bits_per_character, abs=1e-6)
    assert max(largest) <= max(logits // trainer.network.config.vocabulary_size, len(corpus.validation))


def test_validation_changes_nothing_that_training_reads(corpus):
    assert_validation_changes_nothing(trainer_for(corpus, dropout=0.5), trainer_for(corpus, dropout=0.5))


def test_mode_is_restored_after_an_interruption_and_an_error(corpus):
    assert_mode_is_restored(trainer_for(corpus))


@pytest.mark.parametrize("held_out", [1, module.AT_ONCE, module.AT_ONCE + 1, 3 * module.AT_ONCE])
def test_validation_checks_for_interruption_once_a_batch(lines_of, held_out):
    corpus, calls = lines_of(NAMES, validation=["ab"] * held_out), []
    objective = trainer_for(corpus, hidden=4, layers=1).objective
    objective.validate(lambda: bool(calls.append(True)))
    assert len(calls) == objective.validation_batches == -(-held_out // module.AT_ONCE)


# The run


def test_sizes_of_an_epoch_are_those_of_its_lines(lines_of):
    corpus = lines_of(NAMES, validation=["evé", ""], tokenizer="byte")
    objective = trainer_for(corpus).objective
    characters = sum(len(name) + 1 for name in NAMES)
    assert objective.updates_per_epoch == 3                 # of eight lines in batches of three
    assert objective.tokens_per_update == pytest.approx(characters / 3) == objective.characters_per_update
    assert objective.validation_tokens == 5 + 1


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_the_seed_determines_the_weights(corpus, dropout):
    weights = []
    for seed in (5, 5, 6):
        trainer = trainer_for(corpus, seed=seed, dropout=dropout)
        for step in range(6):
            trainer.update(step)
        weights.append(trainer.network.weights())
    assert all(torch.equal(values, weights[1][name]) for name, values in weights[0].items())
    assert any(not torch.equal(values, weights[2][name]) for name, values in weights[0].items())


def test_it_learns_lines_and_their_ends(lines_of):
    lines = ["ab", "abab", "ba"]
    trainer = trainer_for(lines_of(lines * 4, validation=lines), hidden=24, layers=1, batch_size=12, steps=80,
                          learning_rate=0.03)
    before = trainer.objective.validate(never).loss
    for step in range(80):
        trainer.update(step)
    entropy = 3 * math.log(3) / (3 + 5 + 3)                 # three equally likely lines, over their tokens and ends
    assert before > 1.0 and entropy < trainer.objective.validate(never).loss < entropy + 0.15


def test_it_learns_lines_given_their_label(lines_of):
    lines = [(label, letter * size) for label, letter in (("A", "x"), ("B", "y")) for size in (1, 2)]
    losses = []
    for examples in (lines, [text for _, text in lines]):
        corpus = lines_of(examples * 4, validation=examples)
        trainer = trainer_for(corpus, hidden=24, layers=1, batch_size=16, steps=80, learning_rate=0.03)
        for step in range(80):
            trainer.update(step)
        losses.append(trainer.objective.validate(never).loss * 10 / 4)      # nats per line: 10 tokens in 4 lines
    assert math.log(2) < losses[0] < math.log(2) + 0.15                     # one letter or two
    assert losses[1] - losses[0] == pytest.approx(math.log(2), abs=0.15)    # and, without a label, which one


def test_an_update_depends_on_the_lines_of_its_step_alone(corpus):
    """The previous update leaves no state, gradient or line behind."""
    trainer, rows = trainer_for(corpus), itertools.count()
    started, start = [], trainer.network.start
    trainer.network.start = lambda batch: started.append(batch) or start(batch)
    for step in range(6):
        trainer.update(step)
        assert started[-1] == len(rows_at(corpus, next(rows))) and len(started) == step + 1
