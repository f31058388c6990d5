"""The training loop as a generator of records: repeatable, clipped, sturdy, and able to learn."""

import itertools
import math

import numpy as np
import pytest
import torch

from charlm.config import ModelConfig, SamplingConfig, TrainingConfig
from charlm.errors import DivergedError, StorageError
from charlm.inference.generation import generate
from charlm.inference.network import Network as NumpyNetwork
from charlm.inference.text_scoring import score_carried
from charlm.records import Saved, Step, Stopped, Validation, Warned
from charlm.training.objective import Score
from charlm.training.plan import validation_interval
from charlm.training.loop import train
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


def kept_in(kept):
    return lambda weights, validation: kept.append((weights, validation)) or "model"


def records_of(trainer, *, keep=lambda weights, validation: "model", interrupted=lambda: False):
    return list(train(trainer, keep=keep, interrupted=interrupted))


def never():
    return False


def only(kind, records):
    return [record for record in records if isinstance(record, kind)]


def same(one, other):
    return all(torch.equal(values, other[name]) for name, values in one.items())


def losses_of(trainer, held_out):
    """Make a trainer's validations give these losses, one after the other, and the last for ever."""
    values = itertools.chain(held_out, itertools.repeat(held_out[-1]))
    trainer.objective.validate = lambda interrupted: Score(next(values), 0.0)
    return trainer


# Repeatable


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_same_seed_gives_the_same_bits(corpus, cell, optimizer):
    runs = []
    for _ in range(2):
        trainer = trainer_for(corpus, cell=cell, optimizer=optimizer, seed=5)
        runs.append(([trainer.update(step) for step in range(8)], trainer.network.weights()))
    assert runs[0][0] == runs[1][0] and same(runs[0][1], runs[1][1])


def test_building_a_trainer_seeds_everything_it_draws(corpus):
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


def test_a_run_ends_with_the_weights_of_its_updates_alone(corpus):
    run, plain = trainer_for(corpus, dropout=0.5), trainer_for(corpus, dropout=0.5)
    torch.manual_seed(0)
    assert len(only(Validation, records_of(run))) > 1
    torch.manual_seed(0)
    for step in range(20):
        plain.update(step)
    assert same(run.network.weights(), plain.network.weights())


def test_validation_agrees_with_numpys_carried_score(corpus):
    trainer = trainer_for(corpus, steps=40)
    for step in range(40):
        trainer.update(step)
    weights = {name: values.numpy() for name, values in trainer.network.weights().items()}
    held_out = corpus.validation.slice(0, len(corpus.validation))
    scores = score_carried(NumpyNetwork(trainer.network.config, weights), corpus.tokenizer, [held_out])
    assert trainer.objective.validate(never).loss == pytest.approx(np.concatenate(list(scores)).mean(), abs=1e-5)


# What an update does


def norm_of_gradients(trainer):
    return math.sqrt(sum(float(p.grad.double().square().sum()) for p in trainer.network.parameters()))


def test_clip_bounds_the_gradient_and_the_reported_norm_is_from_before(corpus):
    free, clipped = trainer_for(corpus, clip=0.0), trainer_for(corpus, clip=1e-3)
    torch.manual_seed(1)
    expected = free.update(0).gradient_norm
    torch.manual_seed(1)
    reported = clipped.update(0).gradient_norm
    assert reported == expected == pytest.approx(norm_of_gradients(free), rel=1e-5)
    assert norm_of_gradients(clipped) == pytest.approx(1e-3, rel=1e-2) and expected > 0.01


def test_clip_leaves_a_small_gradient_alone(corpus):
    trainer = trainer_for(corpus, clip=1e6)
    norm = trainer.update(0).gradient_norm
    assert norm_of_gradients(trainer) == pytest.approx(norm, rel=1e-5)


def test_clip_value_bounds_every_entry(corpus):
    free, clipped = trainer_for(corpus, clip=0.0), trainer_for(corpus, clip=0.0, clip_value=1e-3)
    for trainer in (free, clipped):
        torch.manual_seed(1)
        trainer.update(0)
    for wide, narrow in zip(free.network.parameters(), clipped.network.parameters()):
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
    for (_, after), (before, _) in zip(seen, seen[1:]):
        for mine, yours in zip(itertools.chain(*after.layers), itertools.chain(*before.layers)):
            assert torch.equal(mine, yours) and not yours.requires_grad
    assert not any(part.any() for part in itertools.chain(*seen[0][0].layers))


# Losses that are not finite


def poison(trainer, bad_steps, value=math.nan):
    """Make the logits of these steps (counted from 0) worthless."""
    step, count = trainer.network.step, itertools.count()

    def poisoned(tokens, state):
        logits, after = step(tokens, state)
        return (logits * value if next(count) in bad_steps else logits), after

    trainer.network.step = poisoned
    trainer.objective.validate = lambda interrupted: Score(1.0, 0.0)
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


def test_a_skipped_update_is_reported_as_such(corpus):
    steps = only(Step, records_of(poison(trainer_for(corpus), {3, 4})))
    assert [record.step for record in steps if not record.updated] == [4, 5]


def test_three_skipped_updates_in_a_row_end_the_run(corpus):
    records = train(poison(trainer_for(corpus), {3, 4, 6, 7, 8}), keep=lambda *_: "model")
    with pytest.raises(DivergedError, match="step 9"):
        for record in records:
            last = record
    assert last.step == 8


def test_a_finite_update_in_between_forgives_the_skipped_ones(corpus):
    records = records_of(poison(trainer_for(corpus), {0, 1, 3, 4, 6, 7}))
    assert records[-1].reason == "finished"


def test_a_gradient_that_is_not_finite_is_skipped_too(corpus):
    trainer = trainer_for(corpus)
    before = trainer.network.weights()
    trainer.network.head.bias.register_hook(lambda gradient: gradient * math.inf)
    update = trainer.update(0)
    assert math.isfinite(update.loss) and not math.isfinite(update.gradient_norm) and not update.applied
    assert same(before, trainer.network.weights())


def test_a_held_out_loss_that_is_never_finite_ends_the_run(corpus):
    kept = []
    with pytest.raises(DivergedError, match="held-out"):
        records_of(losses_of(trainer_for(corpus), [math.nan]), keep=kept_in(kept))
    assert not kept


# The run


def test_a_run_reports_every_step_and_validates_at_its_intervals(corpus):
    kept = []
    records = records_of(trainer_for(corpus, steps=23, patience=0), keep=kept_in(kept))
    interval = validation_interval(23, 4 * 8, len(corpus.validation))
    assert 1 < interval < 23
    assert [record.step for record in only(Step, records)] == list(range(1, 24))
    validations = only(Validation, records)
    assert [record.step for record in validations] == sorted({*range(interval, 24, interval), 23})
    assert [validation for _, validation in kept] == [record for record in validations if record.best]
    assert isinstance(records[-1], Stopped)
    assert (records[-1].reason, records[-1].step, records[-1].path) == ("finished", 23, "model")
    assert records[-1].loss == min(record.loss for record in validations)


def test_only_a_better_validation_is_kept(corpus):
    kept = []
    trainer = losses_of(trainer_for(corpus, steps=60), [3.0, 2.0, 2.5, math.nan, 2.0, 1.0])
    records = records_of(trainer, keep=kept_in(kept))
    assert [record.best for record in only(Validation, records)][:6] == [True, True, False, False, False, True]
    assert len(only(Saved, records)) == 3 and [validation.loss for _, validation in kept] == [3.0, 2.0, 1.0]


def test_the_model_kept_is_the_best_one_not_the_last(corpus):
    kept = []
    trainer = losses_of(trainer_for(corpus, steps=60), [3.0, 1.0, 2.0])
    weights = {}
    for record in train(trainer, keep=kept_in(kept)):
        if isinstance(record, Validation):
            weights[record.step] = trainer.network.weights()
    assert same(kept[-1][0], weights[kept[-1][1].step]) and kept[-1][1].loss == 1.0
    assert not same(kept[-1][0], trainer.network.weights())


def test_bits_per_character_are_summed_nats_over_characters_and_ln_2(corpus_of):
    corpus = corpus_of("né à là, où ça\n" * 40, tokenizer="byte")
    record = only(Validation, records_of(trainer_for(corpus)))[0]
    nats = record.loss * len(corpus.validation)
    assert len(corpus.validation) > corpus.validation_characters
    assert record.bits_per_character == pytest.approx(nats / corpus.validation_characters / math.log(2))


def test_lost_patience_stops_the_run(corpus):
    kept = []
    trainer = losses_of(trainer_for(corpus, steps=200, patience=2), [3.0, 2.0, 2.5, 2.4, 0.1])
    records = records_of(trainer, keep=kept_in(kept))
    assert [record.loss for record in only(Validation, records)] == [3.0, 2.0, 2.5, 2.4]
    assert (records[-1].reason, records[-1].loss) == ("patience", 2.0)
    assert records[-1].step < 200 and kept[-1][1].loss == 2.0


def test_patience_of_zero_never_runs_out(corpus):
    trainer = losses_of(trainer_for(corpus, steps=60, patience=0), [1.0, 2.0])
    assert records_of(trainer)[-1].reason == "finished"


# Interruptions


def after_the_first_update():
    """An interruption that is noticed when it is asked about for the second time."""
    return itertools.chain([False], itertools.repeat(True)).__next__


def test_an_interruption_before_the_first_update_keeps_nothing(corpus):
    kept = []
    stopped, = records_of(trainer_for(corpus), keep=kept_in(kept), interrupted=lambda: True)
    assert (stopped.reason, stopped.step, stopped.path, stopped.next_command) == ("interrupted", 0, "", "")
    assert not kept


def test_an_interruption_before_the_first_validation_keeps_a_model(corpus):
    kept, trainer = [], trainer_for(corpus)
    records = records_of(trainer, keep=kept_in(kept), interrupted=after_the_first_update())
    (weights, validation), = kept
    assert validation is None and same(weights, trainer.network.weights())
    last = records[-1]
    assert (last.reason, last.step, last.path) == ("interrupted", 1, "model")
    assert last.loss is None and last.bits_per_character is None


def test_an_interruption_later_keeps_the_best_model_so_far(corpus):
    kept, seen = [], []
    trainer = losses_of(trainer_for(corpus, steps=200), [3.0, 2.0, 2.5, 2.0])
    for record in train(trainer, keep=kept_in(kept), interrupted=lambda: len(only(Validation, seen)) == 3):
        seen.append(record)
    assert seen[-1].reason == "interrupted" and seen[-1].loss == 2.0
    assert [validation.loss for _, validation in kept] == [3.0, 2.0]


def test_an_interruption_during_a_validation_is_not_a_validation(corpus):
    trainer, validating = trainer_for(corpus), []
    validate = trainer.objective.validate
    trainer.objective.validate = lambda interrupted: validating.append(True) or validate(interrupted)
    kept = []
    records = records_of(trainer, keep=kept_in(kept), interrupted=lambda: bool(validating))
    assert not only(Validation, records) and records[-1].reason == "interrupted"
    assert [validation for _, validation in kept] == [None]


# Storage


def failing(times, kept):
    """A `keep` whose first tries fail."""
    tries = itertools.count()

    def keep(weights, validation):
        if next(tries) < times:
            raise StorageError("disk full")
        kept.append((weights, validation))
        return "model"
    return keep


def test_failing_storage_is_a_warning_and_the_next_better_model_is_stored(corpus):
    kept = []
    records = records_of(losses_of(trainer_for(corpus), [3.0, 2.0]), keep=failing(1, kept))
    kinds = [type(record) for record in records]
    assert [kind for kind in kinds if kind not in (Step, Validation)] == [Warned, Saved, Stopped]
    assert "disk full" in only(Warned, records)[0].message
    assert [validation.loss for _, validation in kept] == [2.0]


def test_a_model_that_could_not_be_stored_is_stored_at_the_end(corpus):
    kept = []
    validations = len(only(Validation, records_of(losses_of(trainer_for(corpus, patience=0), [1.0, 2.0]))))
    trainer = losses_of(trainer_for(corpus, patience=0), [1.0, 2.0])
    records = records_of(trainer, keep=failing(validations, kept))
    assert [validation.loss for _, validation in kept] == [1.0]
    assert records[-2:] == [Saved("model"), records[-1]] and records[-1].path == "model"


def test_the_next_validation_tries_to_store_again(corpus):
    trainer = losses_of(trainer_for(corpus, steps=60), [1.0, 2.0])
    records = records_of(trainer, keep=failing(1, []))
    validations = only(Validation, records)
    assert len(validations) > 2
    assert records.index(only(Saved, records)[0]) < records.index(validations[2])


@pytest.mark.parametrize("interrupted", [False, True])
def test_storage_that_fails_to_the_end_is_an_error(corpus, interrupted):
    with pytest.raises(StorageError, match="disk full"):
        records_of(trainer_for(corpus), keep=failing(10 ** 6, []),
                   interrupted=after_the_first_update() if interrupted else lambda: False)


def test_a_model_stored_after_an_interruption_is_reported(corpus):
    assert only(Saved, records_of(trainer_for(corpus), interrupted=after_the_first_update())) == [Saved("model")]


def test_a_learning_rate_of_zero_is_not_a_skipped_update(corpus):
    assert all(record.updated for record in only(Step, records_of(trainer_for(corpus, learning_rate=0.0))))


# Learning


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_it_learns_namaskar(corpus_of, cell, optimizer):
    # Cut between words, so that the ring of the learned part has no seam to guess at.
    corpus, kept = corpus_of("namaskar\n" * 64, validation=1 / 8), []
    trainer = trainer_for(corpus, cell=cell, optimizer=optimizer, hidden=24, steps=300, bptt=16, dropout=0.0,
                          learning_rate=0.01)
    steps = only(Step, records_of(trainer, keep=kept_in(kept)))
    assert max(record.loss for record in steps[-5:]) < 0.02 < 1.5 < steps[0].loss
    network = NumpyNetwork(trainer.network.config, {name: values.numpy() for name, values in kept[-1][0].items()})
    prompt = corpus.tokenizer.encode("namaskar\nnam")
    for options in (SamplingConfig(temperature=0), SamplingConfig(temperature=0.5)):
        pieces = generate(network, corpus.tokenizer, prompt, options, length=24, seed=0)
        assert "".join(piece for _, piece in pieces) == "askar\nnamaskar\nnamaskar\n"
