"""Infilling: the loss of a batch is that of each text alone, token by token, over texts of the corpus.

The positions of gaps are tested in tests/text, filling them in tests/inference.
"""

import math

import numpy as np
import pytest
import torch

from charlm.config import ModelConfig, TrainingConfig
from charlm.inference.evaluation import evaluate_gaps
from charlm.inference.network import Network as NumpyNetwork
from charlm.text import gap_sampling
from charlm.text.gap_sampling import MAX_SOURCE, MIN_SOURCE, count_gap_characters, cut_gaps, held_out_gaps
from charlm.text.special_tokens import eos_id, vocabulary_sizes
from charlm.text.tokenizers.base import decode
from charlm.training.trainer import Trainer
from tests.helpers.objectives import (
    assert_loss_depends_on_the_step_alone,
    assert_mode_is_restored,
    assert_validation_changes_nothing,
    never,
)

pytestmark = pytest.mark.usefixtures("one_thread")

PANGRAM = "the quick brown fox jumps over the lazy dog\n" * 12
ENCODERS = [(encoder, attention) for encoder in ("bidirectional", "stacked", "shared") for attention in (True, False)]


def trainer_for(corpus, *, cell="gru", encoder="bidirectional", attention=True, hidden=10, **options):
    run = TrainingConfig(**{"steps": 20, "batch_size": 4, "bptt": 40, "dropout": 0.0, "warmup": 2} | options)
    size, source_size = vocabulary_sizes("fill", corpus.tokenizer, corpus.tokenizer)
    model = ModelConfig(size, cell=cell, num_layers=2, embedding_size=6, hidden_size=hidden, encoder=encoder,
                        attention=attention, source_vocabulary_size=source_size)
    return Trainer(corpus, model, run, device="cpu", task="fill")


@pytest.fixture
def corpus(corpus_of):
    return corpus_of(PANGRAM)


@torch.no_grad()
def nats_of(network, text, end):
    """Return the nats of each token to write in one text, gap by gap and token by token."""
    nats = []
    for position, ids in zip(text.positions.tolist(), text.gaps, strict=True):
        state = network.encode(torch.as_tensor(text.source)[None], torch.tensor([len(text.source)]),
                               (torch.tensor([0]), torch.tensor([position])))
        for token, target in zip([end, *ids.tolist()], [*ids.tolist(), end], strict=True):
            logits, state = network.step(torch.tensor([[token]]), state)
            nats.append(-logits[0, 0].double().log_softmax(0)[target].item())
    return nats


@pytest.fixture
def texts_at(monkeypatch):
    """A function that returns the loss of a trainer's step and the texts of its batch."""
    def read(trainer, step):
        texts, cut = [], cut_gaps
        monkeypatch.setattr(gap_sampling, "cut_gaps", lambda *arguments: texts.append(cut(*arguments)) or texts[-1])
        return trainer.objective.loss(step).item(), texts
    return read


def rebuilt(tokenizer, text):
    """Return the text into which the gaps were cut."""
    missing = dict(zip(text.positions.tolist(), (ids.tolist() for ids in text.gaps), strict=True))
    return decode(tokenizer, [token for position, read in enumerate(text.source.tolist())
                              for token in missing.get(position, [read])])


@pytest.mark.parametrize("encoder, attention, cell", [
    *((*encoder, "gru") for encoder in ENCODERS), (*ENCODERS[0], "lstm"), (*ENCODERS[0], "rnn")])
def test_loss_is_the_mean_over_all_tokens_of_each_text_alone(corpus, texts_at, cell, encoder, attention):
    trainer = trainer_for(corpus, cell=cell, encoder=encoder, attention=attention, batch_size=8)
    sources, gaps, counts = set(), set(), set()
    for step in range(2):
        loss, texts = texts_at(trainer, step)
        alone = [nats for text in texts for nats in nats_of(trainer.network, text, eos_id(corpus.tokenizer))]
        sources.add(len({len(text.source) for text in texts}))
        gaps.add(len({len(ids) for text in texts for ids in text.gaps}))
        counts |= {len(text.gaps) for text in texts}
        assert loss == pytest.approx(np.mean(alone), abs=1e-5)
    assert max(sources) > 1 and max(gaps) > 1       # sources and gaps were padded
    assert len(counts) > 1                          # texts have different numbers of gaps


def test_texts_are_parts_of_the_training_text(corpus, texts_at):
    trainer = trainer_for(corpus)
    training_text = decode(corpus.tokenizer, corpus.train.slice(0, len(corpus.train)).tolist())
    texts = [rebuilt(corpus.tokenizer, text) for step in range(20) for text in texts_at(trainer, step)[1]]
    assert all(text in training_text for text in texts)
    assert min(map(len, texts)) < 2 * MIN_SOURCE and MAX_SOURCE / 2 < max(map(len, texts)) <= MAX_SOURCE
    assert len(set(texts)) > 0.9 * len(texts)


def test_a_corpus_shorter_than_a_source_is_read_whole(corpus_of, texts_at):
    corpus = corpus_of("abcdefghijklm")                     # 11 of them for training
    _, texts = texts_at(trainer_for(corpus), 0)
    assert {rebuilt(corpus.tokenizer, text) for text in texts} == {"abcdefghijk"}


def test_a_step_has_about_batch_size_times_bptt_tokens(corpus, texts_at):
    trainer = trainer_for(corpus, batch_size=8, bptt=64)
    sizes = [sum(len(rebuilt(corpus.tokenizer, text)) for text in texts_at(trainer, step)[1]) for step in range(15)]
    assert np.mean(sizes) == pytest.approx(8 * 64, rel=0.1) and trainer.objective.tokens_per_update == 8 * 64
    assert all(abs(size - 8 * 64) <= MAX_SOURCE / 2 for size in sizes)


def test_loss_of_a_step_depends_on_seed_and_step_alone(corpus, texts_at):
    assert_loss_depends_on_the_step_alone(trainer_for(corpus), trainer_for(corpus))
    texts = [texts_at(trainer_for(corpus, seed=seed), 0)[1] for seed in (0, 0, 1)]
    sources = [[text.source.tolist() for text in batch] for batch in texts]
    assert sources[0] == sources[1] != sources[2]


def test_gaps_have_one_maximum_length_per_step_and_many_over_all_steps(corpus, texts_at):
    trainer = trainer_for(corpus, hidden=4)
    max_lengths = [max(len(ids) for text in texts_at(trainer, step)[1] for ids in text.gaps) for step in range(60)]
    assert min(max_lengths) <= 2 and max(max_lengths) > 12


def test_smoothed_loss_includes_all_tokens_evenly(corpus):
    plain, smooth = trainer_for(corpus), trainer_for(corpus, label_smoothing=0.2)
    with torch.no_grad():
        for trainer in (plain, smooth):
            trainer.network.head.weight.zero_()
            trainer.network.head.bias.zero_()
            trainer.network.head.bias[eos_id(corpus.tokenizer)] = 5.0
    size = smooth.network.config.vocabulary_size
    normaliser = math.log(math.exp(5) + size - 1)
    assert smooth.objective.loss(0).item() == pytest.approx(
        0.8 * plain.objective.loss(0).item() + 0.2 * (normaliser - 5 / size), rel=1e-5)


# Validation


@pytest.mark.parametrize("encoder, attention", ENCODERS)
def test_validation_is_the_loss_of_each_held_out_text_alone(corpus_of, encoder, attention):
    corpus = corpus_of(PANGRAM * 2, validation=0.4)
    trainer, tokenizer = trainer_for(corpus, encoder=encoder, attention=attention, learning_rate=0.01), corpus.tokenizer
    for step in range(5):
        trainer.update(step)
    texts = held_out_gaps(corpus.validation, tokenizer)
    nats = [nats for text in texts for nats in nats_of(trainer.network, text, eos_id(tokenizer))]
    metrics = trainer.objective.validate(never)
    assert len(texts) > 2 and metrics.error_rate is None
    assert metrics.loss == pytest.approx(np.mean(nats), abs=1e-5)
    characters = count_gap_characters(texts, tokenizer)
    assert metrics.bits_per_character == pytest.approx(np.sum(nats) / math.log(2) / characters, rel=1e-5)


@pytest.mark.parametrize("size", [None, 9])
def test_validation_agrees_with_numpys_score(corpus_of, size):
    corpus = corpus_of(PANGRAM * 2, validation=0.4, vocabulary_size=size)
    trainer = trainer_for(corpus)
    weights = {name: values.numpy() for name, values in trainer.network.weights().items()}
    expected = evaluate_gaps(NumpyNetwork(trainer.network.config, weights), corpus.tokenizer, corpus.validation)
    metrics = trainer.objective.validate(never)
    assert metrics.loss == pytest.approx(expected.nats / expected.tokens, abs=1e-5)
    assert metrics.bits_per_character == pytest.approx(expected.nats / math.log(2) / expected.characters, rel=1e-5)


def test_validation_changes_nothing_that_training_reads(corpus):
    assert_validation_changes_nothing(trainer_for(corpus, dropout=0.5), trainer_for(corpus, dropout=0.5))


def test_mode_is_restored_after_an_interruption_and_an_error(corpus):
    assert_mode_is_restored(trainer_for(corpus))


@pytest.mark.parametrize("tokens, batches", [(30, 1), (64 * MAX_SOURCE, 1), (65 * MAX_SOURCE, 2)])
def test_validation_checks_for_interruption_once_a_batch(corpus_of, tokens, batches):
    corpus, calls = corpus_of("ab" * (tokens // 2 + 50), validation=tokens / (tokens + 100)), []
    objective = trainer_for(corpus, hidden=4).objective
    objective.validate(lambda: bool(calls.append(True)))
    assert len(corpus.validation) == tokens and len(calls) == objective.validation_batches == batches


# Learning


@pytest.mark.slow
@pytest.mark.parametrize("encoder, attention", ENCODERS[::2] + [ENCODERS[1]])
def test_a_few_dozen_updates_lower_the_loss(corpus, encoder, attention):
    trainer = trainer_for(corpus, encoder=encoder, attention=attention, hidden=24, batch_size=12, steps=60,
                          learning_rate=0.03)
    before = trainer.objective.validate(never).loss
    losses = [trainer.update(step).loss for step in range(60)]
    assert np.mean(losses[-5:]) < 0.7 * losses[0] and trainer.objective.validate(never).loss < 0.7 * before
