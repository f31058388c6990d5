"""Learning lines: the loss is that of each line alone from its begin or label, token by token, its end included.

Not here: which lines are learned (tests/text), that scoring agrees with it (test_lines_scored.py).
"""

import itertools
import math

import numpy as np
import pytest
import torch

from charlm.config import ModelConfig, TrainingConfig
from charlm.text import line_corpus
from charlm.text.special_tokens import vocabulary_sizes
from charlm.training.objectives import lines as module
from charlm.training.batches import Batches
from charlm.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("one_thread")

NAMES = ["emma", "ava", "", "amelia", "mia", "eve", "a", "emmeline"]
LABELLED = [("one", "emma"), ("two", "ava"), ("one", "amelia"), ("three", "mia"), ("two", "eve"), ("one", "a"), ("two", "emmeline")]


def never():
    return False


def trainer_for(corpus, *, cell="lstm", hidden=10, layers=2, **options):
    run = TrainingConfig(**{"steps": 20, "batch_size": 3, "dropout": 0.0, "warmup": 2} | options)
    size, _ = vocabulary_sizes("lines", corpus.tokenizer, corpus.tokenizer)
    model = ModelConfig(size, labels=len(corpus.labels or ()), cell=cell, num_layers=layers, embedding_size=6, hidden_size=hidden)
    return Trainer(corpus, model, run, device="cpu", task="lines")


@pytest.fixture(params=["plain", "labelled"])
def corpus(request, lines_of):
    if request.param == "plain":
        return lines_of(NAMES, validation=["evelina", "", "em", "ama"])
    return lines_of(LABELLED, validation=[("three", "evelina"), ("one", "em"), ("two", "ama")])


@torch.no_grad()
def log_probabilities(network, row):
    """Log p (T, V) of what follows each token but the last of one with_bos_eos row alone, token by token."""
    state, tables = network.start(1), []
    for token in row[:-1]:
        logits, state = network.step(torch.tensor([[token]]), state)
        tables.append(logits[0, 0].double().log_softmax(0))
    return torch.stack(tables).numpy()


def nats_of(network, row):
    table = log_probabilities(network, row)
    return -table[np.arange(len(table)), row[1:]]


def rows_at(corpus, step, *, batch_size=3, seed=0):
    numbers = Batches(corpus.train.lengths - 1, batch_size=batch_size, seed=seed).at(step)
    return [corpus.train[number] for number in numbers]


def held_out_rows(corpus):
    return [corpus.validation[number] for number in range(len(corpus.validation))]


# The loss


@pytest.mark.parametrize("cell, seed", [("lstm", 0), ("lstm", 7), ("gru", 0), ("rnn", 0)])
def test_loss_is_the_mean_over_all_tokens_of_each_line_alone(corpus, cell, seed):
    trainer = trainer_for(corpus, cell=cell, seed=seed)
    for step in range(3):                                   # 3, 3 and the rest, of different lengths, in some order
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
    first, second = trainer_for(corpus), trainer_for(corpus)
    expected = [first.objective.loss(step).item() for step in range(6)]
    torch.rand(3)
    assert [second.objective.loss(step).item() for step in reversed(range(6))] == expected[::-1]
    assert len(set(expected)) > 1


def test_uniform_network_loses_the_log_of_its_vocabulary(corpus):
    trainer = trainer_for(corpus)
    with torch.no_grad():
        trainer.network.head.weight.zero_()
    size = corpus.tokenizer.size + 1
    assert trainer.objective.loss(0).item() == pytest.approx(math.log(size), rel=1e-6)
    score = trainer.objective.validate(never)
    tokens = sum(len(row) - 1 for row in held_out_rows(corpus))     # all characters are known, and as many as tokens
    assert score.loss == pytest.approx(math.log(size), rel=1e-6) and tokens == corpus.validation_characters
    assert score.bits_per_character == pytest.approx(math.log2(size), rel=1e-6)


def test_a_long_line_is_learned_in_pieces_after_the_token_before_each(lines_of, monkeypatch):
    monkeypatch.setattr(line_corpus, "MAX_EXAMPLE", 4)
    corpus = lines_of([("x", "emma amelia")], validation=[("x", "a")])
    trainer, row = trainer_for(corpus), [corpus.tokenizer.size + 1, *corpus.tokenizer.encode("emma amelia").tolist(), corpus.tokenizer.size]
    alone = np.concatenate([nats_of(trainer.network, row[start:start + 5]) for start in (0, 4, 8)])
    assert len(alone) == 12 and trainer.objective.loss(0).item() == pytest.approx(alone.mean(), abs=1e-5)


# Validation


def test_validation_is_the_loss_of_each_held_out_line_alone(corpus):
    trainer = trainer_for(corpus, dropout=0.5)
    trainer.network.eval()
    alone = np.concatenate([nats_of(trainer.network, row) for row in held_out_rows(corpus)])
    trainer.network.train()
    score = trainer.objective.validate(never)
    assert score.loss == pytest.approx(alone.mean(), abs=1e-5)
    assert score.bits_per_character == pytest.approx(alone.sum() / math.log(2) / corpus.validation_characters, abs=1e-5)


@pytest.mark.parametrize("logits", [1, 40, 400])
def test_validation_does_not_depend_on_the_limit_of_logits(corpus, monkeypatch, logits):
    trainer = trainer_for(corpus)
    expected = trainer.objective.validate(never)
    monkeypatch.setattr(module, "LOGITS", logits)
    largest, step = [], trainer.network.step
    trainer.network.step = lambda tokens, state: largest.append(tokens.numel()) or step(tokens, state)
    score = trainer.objective.validate(never)
    assert (score.loss, score.bits_per_character) == pytest.approx((expected.loss, expected.bits_per_character), abs=1e-6)
    assert max(largest) <= max(logits // trainer.network.config.vocabulary_size, len(corpus.validation))


def test_validation_changes_nothing_that_training_reads(corpus):
    plain, watched = trainer_for(corpus, dropout=0.5), trainer_for(corpus, dropout=0.5)
    torch.manual_seed(0)
    expected = [plain.update(step) for step in range(8)]
    torch.manual_seed(0)
    seen = []
    for step in range(8):
        before = watched.network.weights()
        assert watched.objective.validate(never).finite and watched.network.training
        assert all(torch.equal(values, before[name]) for name, values in watched.network.weights().items())
        seen.append(watched.update(step))
    assert seen == expected


def test_mode_is_restored_after_an_interruption_and_an_error(corpus):
    trainer = trainer_for(corpus)
    assert not trainer.objective.validate(lambda: True).finite and trainer.network.training

    def broken():
        raise RuntimeError

    with pytest.raises(RuntimeError):
        trainer.objective.validate(broken)
    assert trainer.network.training


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
    assert objective.updates_per_epoch == 3                 # of eight lines, three at once
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
    trainer = trainer_for(lines_of(lines * 4, validation=lines), hidden=24, layers=1, batch_size=12, steps=80, learning_rate=0.03)
    before = trainer.objective.validate(never).loss
    for step in range(80):
        trainer.update(step)
    fewest = 3 * math.log(3) / (3 + 5 + 3)                  # each line is as likely as another; tokens of each, its end included
    assert before > 1.0 and fewest < trainer.objective.validate(never).loss < fewest + 0.15


def test_it_learns_lines_given_their_label(lines_of):
    lines = [(label, letter * size) for label, letter in (("A", "x"), ("B", "y")) for size in (1, 2)]
    scores = []
    for labelled in (True, False):
        corpus = lines_of(lines * 4 if labelled else [text for _, text in lines] * 4, validation=lines if labelled else [text for _, text in lines])
        trainer = trainer_for(corpus, hidden=24, layers=1, batch_size=16, steps=80, learning_rate=0.03)
        for step in range(80):
            trainer.update(step)
        scores.append(trainer.objective.validate(never).loss * 10 / 4)             # nats a line: 2 + 3 tokens of either letter
    assert math.log(2) < scores[0] < math.log(2) + 0.15                            # one letter or two
    assert scores[1] - scores[0] == pytest.approx(math.log(2), abs=0.15)           # and which, where there is no label


def test_an_update_depends_on_the_lines_of_its_step_alone(corpus):
    """No state, gradient or line is left over from the update before."""
    trainer, rows = trainer_for(corpus), itertools.count()
    started, start = [], trainer.network.start
    trainer.network.start = lambda batch: started.append(batch) or start(batch)
    for step in range(6):
        trainer.update(step)
        assert started[-1] == len(rows_at(corpus, next(rows))) and len(started) == step + 1
