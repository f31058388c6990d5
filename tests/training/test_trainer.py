"""Updates of one run: repeatable, clipped, robust to losses that are not finite, and able to learn.

Their number, and what is stored between them, is tested in test_loop.py.
"""

import itertools
import math

import numpy as np
import pytest
import torch

from charlm.config import ModelConfig, SamplingConfig, TrainingConfig
from charlm.errors import DivergedError
from charlm.inference.generation import generate
from charlm.inference.network import Network as NumpyNetwork
from charlm.inference.text_scoring import score_carried
from charlm.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("one_thread")

PANGRAM = "the quick brown fox jumps over the lazy dog\n" * 12


@pytest.fixture
def corpus(corpus_of):
    return corpus_of(PANGRAM)


def trainer_for(corpus, *, cell="lstm", hidden=12, **options):
    run = TrainingConfig(**{"steps": 20, "batch_size": 4, "bptt": 8, "dropout": 0.2, "warmup": 2} | options)
    model = ModelConfig(corpus.tokenizer.size, cell=cell, embedding_size=6, hidden_size=hidden)
    return Trainer(corpus, model, run, device="cpu")


def never():
    return False


def same(one, other):
    return all(torch.equal(values, other[name]) for name, values in one.items())


# Repeatable


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_same_seed_gives_the_same_bits(corpus, cell, optimizer):
    runs = []
    for _ in range(2):
        trainer = trainer_for(corpus, cell=cell, optimizer=optimizer, seed=5)
        runs.append(([trainer.update(step) for step in range(8)], trainer.network.weights()))
    assert runs[0][0] == runs[1][0] and same(runs[0][1], runs[1][1])


def test_bfloat16_follows_float32_and_stores_everything_in_float32(corpus):
    losses = {}
    for precision in ("float32", "bfloat16"):
        trainer = trainer_for(corpus, precision=precision, dropout=0.0)
        losses[precision] = [trainer.update(step).loss for step in range(20)]
    assert losses["float32"] != losses["bfloat16"]
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.02)
    assert losses["bfloat16"][-1] < losses["bfloat16"][0] - 0.1
    assert {value.dtype for value in trainer.tensors().values()} == {torch.float32}


def test_validation_is_in_float32_whatever_the_precision_of_training(corpus):
    metrics = [trainer_for(corpus, precision=precision).validate(never) for precision in ("float32", "bfloat16")]
    assert metrics[0] == metrics[1]


def test_building_a_trainer_seeds_torch(corpus):
    runs = []
    for noise in range(2):
        torch.rand(1 + noise)
        trainer = trainer_for(corpus, seed=5, dropout=0.5)
        runs.append([trainer.update(step) for step in range(5)])
    assert runs[0] == runs[1]


def test_another_seed_gives_other_weights(corpus):
    first, second = (trainer_for(corpus, seed=seed).network.weights() for seed in (5, 6))
    assert not torch.equal(first["decoder.0.weight_hh_l0"], second["decoder.0.weight_hh_l0"])


def test_validation_changes_nothing_that_training_reads(corpus):
    plain, watched = trainer_for(corpus, dropout=0.5), trainer_for(corpus, dropout=0.5)
    torch.manual_seed(0)
    expected = [plain.update(step) for step in range(10)]
    torch.manual_seed(0)
    seen = []
    for step in range(10):
        before = watched.network.weights()
        assert watched.objective.validate(never).finite
        assert same(before, watched.network.weights()) and watched.network.training
        seen.append(watched.update(step))
    assert seen == expected and same(plain.network.weights(), watched.network.weights())


def test_validation_agrees_with_numpys_carried_score(corpus):
    trainer = trainer_for(corpus, steps=40)
    for step in range(40):
        trainer.update(step)
    weights = {name: values.numpy() for name, values in trainer.network.weights().items()}
    held_out = corpus.validation.slice(0, len(corpus.validation))
    scores = score_carried(NumpyNetwork(trainer.network.config, weights), corpus.tokenizer, [held_out])
    assert trainer.objective.validate(never).loss == pytest.approx(np.concatenate(list(scores)).mean(), abs=1e-5)


def test_bits_per_character_are_summed_nats_over_characters_and_ln_2(corpus_of):
    corpus = corpus_of("né à là, où ça\n" * 40, tokenizer="byte")
    score = trainer_for(corpus).validate(never)
    nats = score.loss * len(corpus.validation)
    assert len(corpus.validation) > corpus.validation_characters
    assert score.bits_per_character == pytest.approx(nats / corpus.validation_characters / math.log(2))


# What an update does


def norm_of_gradients(trainer):
    return math.sqrt(sum(float(p.grad.double().square().sum()) for p in trainer.network.parameters()))


def test_clip_bounds_the_gradient_and_the_norm_is_reported_unclipped(corpus):
    free, clipped = trainer_for(corpus, clip=0.0), trainer_for(corpus, clip=1e-3)
    torch.manual_seed(1)
    expected = free.update(0).gradient_norm
    torch.manual_seed(1)
    reported = clipped.update(0).gradient_norm
    assert reported == expected == pytest.approx(norm_of_gradients(free), rel=1e-5)
    assert norm_of_gradients(clipped) == pytest.approx(1e-3, rel=1e-2) and expected > 0.01


def test_every_layer_reports_the_norm_of_its_gradient_before_clipping(corpus):
    free, clipped = trainer_for(corpus, clip=0.0), trainer_for(corpus, clip=1e-3)
    norms = free.update(0).layer_norms
    squares = dict.fromkeys(("embedding", *(f"decoder {number + 1}" for number in range(len(free.network.decoder))),
                             "head"), 0.0)
    for name, parameter in free.network.named_parameters():
        first, second, *_ = name.split(".")
        squares[f"decoder {int(second) + 1}" if first == "decoder" else first] += float(
            parameter.grad.double().square().sum())
    assert list(norms) == list(squares) and clipped.update(0).layer_norms == norms
    assert norms == pytest.approx({name: math.sqrt(square) for name, square in squares.items()}, rel=1e-5)


def test_clip_leaves_a_small_gradient_alone(corpus):
    trainer = trainer_for(corpus, clip=1e6)
    norm = trainer.update(0).gradient_norm
    assert norm_of_gradients(trainer) == pytest.approx(norm, rel=1e-5)


def test_clip_value_bounds_every_entry(corpus):
    free, clipped = trainer_for(corpus, clip=0.0), trainer_for(corpus, clip=0.0, clip_value=1e-3)
    for trainer in (free, clipped):
        torch.manual_seed(1)
        trainer.update(0)
    for wide, narrow in zip(free.network.parameters(), clipped.network.parameters(), strict=True):
        assert torch.equal(narrow.grad, wide.grad.clip(-1e-3, 1e-3))
    assert max(p.grad.abs().max() for p in free.network.parameters()) > 1e-3


def test_loss_is_of_the_window_in_nats_per_token(corpus):
    trainer = trainer_for(corpus, dropout=0.0)
    with torch.no_grad():
        trainer.network.head.weight.zero_()
    assert trainer.update(0).loss == pytest.approx(math.log(corpus.tokenizer.size), rel=1e-6)


def test_state_is_carried_from_window_to_window(corpus):
    trainer, seen = trainer_for(corpus), []
    step = trainer.network.step

    def spy(tokens, state):
        logits, after = step(tokens, state)
        seen.append((state, after))
        return logits, after

    trainer.network.step = spy
    for number in range(3):
        trainer.update(number)
    for (_, after), (before, _) in itertools.pairwise(seen):
        for old, new in zip(itertools.chain(*after.layers), itertools.chain(*before.layers), strict=True):
            assert torch.equal(old, new) and not new.requires_grad
    assert not any(part.any() for part in itertools.chain(*seen[0][0].layers))


# Losses that are not finite


def poison(trainer, bad_steps, value=math.nan):
    """Multiply the logits of these steps, counted from 0, by a value that is not finite."""
    step, count = trainer.network.step, itertools.count()

    def poisoned(tokens, state):
        logits, after = step(tokens, state)
        return (logits * value if next(count) in bad_steps else logits), after

    trainer.network.step = poisoned
    return trainer


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_an_update_without_a_finite_loss_is_skipped(corpus, value):
    trainer = poison(trainer_for(corpus), {3, 4}, value)
    for step in range(3):
        trainer.update(step)
    before = trainer.network.weights()
    for step in (3, 4):
        update = trainer.update(step)
        assert not math.isfinite(update.loss) and not update.applied
        assert same(before, trainer.network.weights())
    update = trainer.update(5)
    assert math.isfinite(update.loss) and math.isfinite(update.gradient_norm) and update.applied
    assert not same(before, trainer.network.weights())
    assert all(values.isfinite().all() for values in trainer.network.weights().values())


def test_three_skipped_updates_in_a_row_end_the_run(corpus):
    trainer = poison(trainer_for(corpus), {3, 4, 6, 7, 8})
    with pytest.raises(DivergedError, match="step 9"):
        for step in range(20):
            trainer.update(step)
    assert step == 8


def test_a_finite_update_resets_the_count_of_skipped_ones(corpus):
    trainer = poison(trainer_for(corpus), {0, 1, 3, 4, 6, 7})
    assert [step for step in range(20) if not trainer.update(step).applied] == [0, 1, 3, 4, 6, 7]


def test_a_gradient_that_is_not_finite_is_skipped_too(corpus):
    trainer = trainer_for(corpus)
    before = trainer.network.weights()
    trainer.network.head.bias.register_hook(lambda gradient: gradient * math.inf)
    update = trainer.update(0)
    assert math.isfinite(update.loss) and not math.isfinite(update.gradient_norm) and not update.applied
    assert same(before, trainer.network.weights())


def test_a_learning_rate_of_zero_is_not_a_skipped_update(corpus):
    trainer = trainer_for(corpus, learning_rate=0.0)
    assert all(trainer.update(step).applied for step in range(20))


# Learning


@pytest.mark.parametrize("cell, optimizer", [
    ("lstm", "muon"), *(pytest.param(cell, optimizer, marks=pytest.mark.slow) for cell, optimizer in
                        [("lstm", "adamw"), ("gru", "muon"), ("gru", "adamw"), ("rnn", "muon"), ("rnn", "adamw")])])
def test_it_learns_namaskar(corpus_of, cell, optimizer):
    # Cut between words, so that the training text is seamless when read as a ring.
    corpus = corpus_of("namaskar\n" * 64, validation=1 / 8)
    trainer = trainer_for(corpus, cell=cell, optimizer=optimizer, hidden=24, steps=300, bptt=16, dropout=0.0,
                          learning_rate=0.01)
    updates = [trainer.update(step) for step in range(300)]
    assert max(update.loss for update in updates[-5:]) < 0.02 < 1.5 < updates[0].loss
    weights = {name: values.numpy() for name, values in trainer.export_weights().items()}
    network = NumpyNetwork(trainer.network.config, weights)
    prompt = corpus.tokenizer.encode("namaskar\nnam")
    for options in (SamplingConfig(temperature=0), SamplingConfig(temperature=0.5)):
        pieces = generate(network, corpus.tokenizer, prompt, options, length=24, seed=0)
        assert "".join(piece for _, piece in pieces) == "askar\nnamaskar\nnamaskar\n"


# Given up


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_an_update_that_may_not_commit_changes_nothing_that_is_saved(corpus, optimizer):
    plain, interrupted = (trainer_for(corpus, optimizer=optimizer, averaging=0.9) for _ in range(2))

    def give_up():
        raise InterruptedError

    for step in range(3):
        with pytest.raises(InterruptedError):
            interrupted.update(step, give_up)
        before = {name: values.clone() for name, values in plain.tensors().items()}
        assert same(before, interrupted.tensors()) and before.keys() == interrupted.tensors().keys()
        assert plain.update(step) == interrupted.update(step)


def test_a_validation_that_was_given_up_leaves_the_weights_as_they_were(corpus):
    trainer = trainer_for(corpus, averaging=0.9)
    for step in range(3):
        trainer.update(step)
    before, exported = trainer.network.weights(), trainer.export_weights()
    with trainer._average.swapped_in():             # as a thread leaves it that is still validating
        assert not same(before, trainer.network.weights())
        assert same(exported, trainer.export_weights())
        trainer.recover()
        assert same(before, trainer.network.weights())
