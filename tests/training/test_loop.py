"""The loop: its events, the models and checkpoints it stores, why a run ends, and how it is resumed.

Updates are tested in test_trainer.py, failing disks in test_faulty_runs.py, resumed bits in test_resume_exactness.py.
"""

import itertools
import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from charlm.config import TrainingConfig
from charlm.errors import DivergedError, StorageError
from charlm.events import Saved, Step, Stopped, Validation, Warned
from charlm.training import loop
from charlm.training.deadline import Deadline
from charlm.training.defaults import validation_interval
from charlm.training.loop import TrainingState, train
from charlm.training.objectives.base import ValidationMetrics
from charlm.training.optimizers import rate_factor
from charlm.training.trainer import Update

pytestmark = pytest.mark.usefixtures("one_thread")

ALWAYS = range(1, 1000)


class Toy:
    """A trainer without a network. Every fifth of 50 steps is validated, with these losses; the last one repeats."""

    task = "pairs"

    def __init__(self, *held_out, steps=50, patience=0, replan="", held_out_tokens=1, skipped=(), update_takes=(0.0,),
                 validation_takes=0.0, done=0):
        self.run = TrainingConfig(steps=steps, patience=patience, replan=replan)
        self.objective = SimpleNamespace(tokens_per_update=8, characters_per_update=30,
                                         validation_tokens=held_out_tokens, validation_batches=1)
        self.done, self.validated, self.rewound, self.now = done, [], [], 1000.0
        self._held_out, self._skipped, self._validation_takes = held_out or (1.0,), skipped, validation_takes
        self._update_takes = itertools.chain(update_takes, itertools.repeat(update_takes[-1]))

    def clock(self):
        return self.now

    def update(self, step, commit=lambda: None):
        assert step == self.done < self.run.total_steps
        self.done += 1
        self.now += next(self._update_takes)
        return Update(self.done / 4, self.done / 8, self.done / 16, self.done not in self._skipped)

    def validate(self, interrupted):
        self.validated.append(self.done)
        self.now += self._validation_takes
        number = (self.done * 10 - 1) // self.run.steps
        score = self._held_out[min(number, len(self._held_out) - 1)]
        return score if isinstance(score, ValidationMetrics) else ValidationMetrics(score, 2 * score)

    def change_length(self, step, length):
        if length is not None:
            self.run = replace(self.run, replan=f"{self.run.replan},{step}:{length}".strip(","))

    def rewind(self, weights):
        self.rewound.append((self.done, weights["weight"].item()))

    def recover(self):
        """Nothing is ever given up here."""

    def export_weights(self):
        return {"weight": torch.tensor(self.done)}


@pytest.fixture
def toy(monkeypatch):
    """A function that returns a toy, whose clock becomes that of the loop."""
    def make(*held_out, **options):
        trainer = Toy(*held_out, **options)
        monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=trainer.clock))
        return trainer
    return make


class Storage:
    """Storage that records what it is given, and fails at these calls, counted from 1."""

    def __init__(self, failing=()):
        self._failing, self._calls, self.done = failing, itertools.count(1), []

    def keep(self, weights, validation):
        self._put((weights, validation))
        return "model"

    def save(self, state):
        self._put(replace(state))

    def _put(self, item):
        if next(self._calls) in self._failing:
            raise StorageError("disk full")
        self.done.append(item)

    @property
    def steps(self):
        return [state.step for state in self.done]

    @property
    def losses(self):
        return [validation and validation.loss for _, validation in self.done]


def events_of(trainer, *, keep=lambda weights, validation: "model", **options):
    return list(train(trainer, keep=keep, **options))


def checkpoint_steps(trainer, **options):
    storage = Storage()
    events_of(trainer, checkpoint=storage.save, **options)
    return storage.steps


def only(kind, events):
    return [event for event in events if isinstance(event, kind)]


def same(one, other):
    return all(torch.equal(values, other[name]) for name, values in one.items())


def state_at(step, **changes):
    """Return the state of a toy that has just been validated at this step."""
    return TrainingState(**{"step": step, "best": Validation(5, 0.5, 1.0, True), "validated": step,
                            "best_weights": {"weight": torch.tensor(5)}} | changes)


# Events


def test_a_run_reports_every_step_and_validates_at_its_intervals(runner_of):
    runner, storage = runner_of("text", steps=23), Storage()
    events = events_of(runner.trainer(), keep=storage.keep)
    interval = validation_interval(23, 4 * 8, len(runner.corpus.validation))
    assert 1 < interval < 23
    assert [event.step for event in only(Step, events)] == list(range(1, 24))
    validations = only(Validation, events)
    assert [event.step for event in validations] == sorted({*range(interval, 24, interval), 23})
    assert [validation for _, validation in storage.done] == [event for event in validations if event.best]
    assert isinstance(events[-1], Stopped)
    assert (events[-1].reason, events[-1].step, events[-1].path) == ("finished", 23, "model")
    assert events[-1].loss == min(event.loss for event in validations)


def test_a_run_ends_with_the_weights_of_its_updates_alone(runner_of):
    runner = runner_of("text", dropout=0.5)
    run, plain = runner.trainer(), runner.trainer()
    torch.manual_seed(0)
    assert len(only(Validation, events_of(run, checkpoint=Storage().save, checkpoint_every=0.0))) > 1
    torch.manual_seed(0)
    for step in range(30):
        plain.update(step)
    assert same(run.network.weights(), plain.network.weights())


def test_a_step_event_reports_its_update(toy):
    third = only(Step, events_of(toy()))[2]
    assert (third.step, third.steps) == (3, 50)
    assert (third.loss, third.gradient_norm, third.learning_rate) == (0.75, 0.375, 0.1875)


def test_a_skipped_update_is_reported_as_skipped(toy):
    steps = only(Step, events_of(toy(skipped=(4, 5))))
    assert [event.step for event in steps if not event.updated] == [4, 5]


def test_validations_and_the_end_report_loss_bits_and_error_rate(toy):
    events = events_of(toy(ValidationMetrics(3.0, 4.0, 0.25), ValidationMetrics(5.0, 6.0, 0.5)))
    assert only(Validation, events)[:2] == [Validation(5, 3.0, 4.0, True, 0.25, 0.75),
                                            Validation(10, 5.0, 6.0, False, 0.5, 2.0)]
    assert events[-1] == Stopped("finished", 50, 3.0, 4.0, "model", 0.0, 0.25, "pairs")


def test_a_training_loss_is_the_mean_since_the_validation_before(toy):
    losses = [event.train_loss for event in only(Validation, events_of(toy(skipped=(4, 5, *range(11, 16)))))]
    assert losses[:4] == [0.5, 2.0, None, 4.5]


@pytest.mark.parametrize("interrupted, expected", [
    (False, ["checkpoint", "Step", "Validation", "keep", "Saved", "checkpoint", "Stopped"]),
    (True, ["checkpoint", "Step", "checkpoint", "keep", "Saved", "Stopped"])])
def test_a_checkpoint_follows_the_model_but_comes_first_at_an_interruption(toy, interrupted, expected):
    seen, trainer = [], toy(steps=1)
    for event in train(trainer, keep=lambda *_: seen.append("keep") or "model",
                        checkpoint=lambda _: seen.append("checkpoint"),
                        interrupted=lambda: interrupted and trainer.done == 1):
        seen.append(type(event).__name__)
    assert seen == expected


# Time


def test_seconds_left_cover_updates_and_validations_and_fall_to_zero(toy):
    steps = only(Step, events_of(toy(steps=23, update_takes=[3.0], validation_takes=7.0)))
    left = {event.step: event.seconds_left for event in steps}
    assert (left[1], left[3]) == (66.0, 60.0)               # before the first validation
    assert (left[4], left[21], left[22], left[23]) == (19 * 3 + 7 * 7, 13.0, 10.0, 0.0)
    assert all(after < before for before, after in itertools.pairwise(list(left.values())[3:]))


def test_characters_per_second_are_a_running_mean(toy):
    steps = only(Step, events_of(toy(update_takes=[3.0, 23.0, 4.0])))
    assert [event.characters_per_second for event in steps[:3]] == pytest.approx([30 / 3, 30 / 13, 30 / 10])


@pytest.mark.parametrize("factor", [2.0, 3.0, 0.5])
@pytest.mark.parametrize("changed", [0.1, 0.5, 0.8])
def test_a_run_ends_at_its_deadline_although_the_speed_changes(toy, factor, changed):
    steps, seconds = 1000, 1000 + 10 * 5
    trainer = toy(steps=steps, update_takes=[1.0] * int(changed * steps) + [factor], validation_takes=5.0)
    stopped = events_of(trainer, deadline=Deadline(trainer.now + seconds, seconds), validation_seconds=5.0)[-1]
    assert stopped.reason == "finished" and stopped.seconds == pytest.approx(seconds, rel=0.03)
    rates = [rate_factor(step, trainer.run) for step in range(stopped.step + 1)]
    assert rates[-1] == 0 < rates[-2] < 0.02 and rates == sorted(rates[:50]) + sorted(rates[50:], reverse=True)


def test_a_run_at_its_planned_speed_keeps_its_length(toy):
    trainer = toy(steps=1000, update_takes=[0.98, 1.02] * 500, validation_takes=5.0)
    events_of(trainer, deadline=Deadline(trainer.now + 1050, 1050), validation_seconds=5.0)
    assert trainer.run.replan == ""


def test_time_between_events_counts_for_the_run_but_not_for_its_speed(toy):
    trainer, events = toy(update_takes=[3.0]), []
    for event in train(trainer, keep=lambda *_: "model"):
        events.append(event)
        trainer.now += 100.0
    steps = only(Step, events)
    assert {event.characters_per_second for event in steps} == {10.0}
    assert steps[-2].seconds_left == 3.0
    assert events[-1].seconds == 50 * 3 + (50 + 10 + 1) * 100


def test_the_seconds_of_a_run_include_those_of_earlier_sessions(toy):
    trainer = toy(update_takes=[3.0], validation_takes=7.0, done=5)
    assert events_of(trainer, state=state_at(5, seconds=100.0))[-1].seconds == 100 + 45 * 3 + 9 * 7


def test_a_checkpoint_has_the_seconds_of_all_sessions(toy):
    storage = Storage()
    trainer = toy(held_out_tokens=math.inf, update_takes=[3.0], done=5)
    events_of(trainer, state=state_at(5, seconds=100.0), checkpoint=storage.save, checkpoint_every=3.0)
    assert [(state.step, state.seconds) for state in storage.done[:3]] == [(6, 103.0), (7, 106.0), (8, 109.0)]


# Models


def test_only_better_models_are_stored(toy):
    storage = Storage()
    events = events_of(toy(3.0, 2.0, 2.5, math.nan, 2.0, 1.0), keep=storage.keep)
    assert [event.best for event in only(Validation, events)][:7] == [True, True, False, False, False, True, False]
    assert len(only(Saved, events)) == 3 and storage.losses == [3.0, 2.0, 1.0]


def test_fewer_errors_are_better_whatever_the_loss(toy):
    storage = Storage()
    metrics = (1.0, 0.5), (3.0, 0.25), (2.0, 0.5), (2.5, 0.25)
    events_of(toy(*(ValidationMetrics(loss, 1.0, errors) for loss, errors in metrics)), keep=storage.keep)
    assert storage.losses == [1.0, 3.0, 2.5]


def test_the_best_model_is_stored_not_the_last(runner_of):
    trainer, storage, weights = runner_of("text", steps=60).trainer(), Storage(), {}
    losses = itertools.chain([3.0, 1.0], itertools.repeat(2.0))
    trainer.objective.validate = lambda interrupted: ValidationMetrics(next(losses), 0.0)
    for event in train(trainer, keep=storage.keep):
        if isinstance(event, Validation):
            weights[event.step] = trainer.network.weights()
    kept, validation = storage.done[-1]
    assert same(kept, weights[validation.step]) and validation.loss == 1.0
    assert not same(kept, trainer.network.weights())


def test_a_declined_model_is_not_reported(toy):
    events = events_of(toy(), keep=lambda weights, validation: "")
    assert not only(Saved, events) and events[-1].path == ""


def test_a_resumed_run_stores_its_best_model_again(toy):
    storage = Storage()
    events = events_of(toy(2.0, done=10), keep=storage.keep, state=state_at(10))
    (weights, validation), = storage.done
    assert weights == {"weight": torch.tensor(5)} and validation == Validation(5, 0.5, 1.0, True)
    assert (events[-1].loss, events[-1].path) == (0.5, "model")


# Held-out losses that are not finite


@pytest.mark.parametrize("patience", [0, 2])
def test_a_held_out_loss_that_is_never_finite_ends_the_run(toy, patience):
    storage = Storage()
    with pytest.raises(DivergedError, match="held-out"):
        events_of(toy(math.nan, patience=patience), keep=storage.keep)
    assert not storage.done


def test_an_interruption_before_a_finite_held_out_loss_stores_a_model(toy):
    trainer, storage = toy(math.nan), Storage()
    stopped = events_of(trainer, keep=storage.keep, interrupted=lambda: trainer.done == 12)[-1]
    assert (stopped.reason, stopped.loss, stopped.path) == ("interrupted", None, "model")
    assert storage.done == [({"weight": torch.tensor(12)}, None)]


# Patience


def test_a_run_out_of_patience_decays_briefly_from_its_best_weights(toy):
    storage, trainer = Storage(), toy(3.0, 2.0, 2.5, 2.4, 0.1, patience=2)
    events = events_of(trainer, keep=storage.keep)
    assert trainer.rewound == [(20, 10)] and trainer.run.replan == "20:25"      # half of ten steps
    assert rate_factor(19, trainer.run) > rate_factor(24, trainer.run) > rate_factor(25, trainer.run) == 0
    assert [(event.step, event.loss) for event in only(Validation, events)][3:] == [(20, 2.4), (25, 0.1)]
    assert (events[-1].reason, events[-1].loss, events[-1].step) == ("patience", 0.1, 25)
    assert storage.losses == [3.0, 2.0, 0.1]


def test_a_decay_without_improvement_keeps_the_best_model(toy):
    storage = Storage()
    stopped = events_of(toy(3.0, 2.0, 2.5, 2.4, 2.3, patience=2), keep=storage.keep)[-1]
    assert (stopped.loss, stopped.step, storage.losses) == (2.0, 25, [3.0, 2.0])


def test_a_run_that_knows_its_end_from_replan_makes_the_same_steps(toy):
    held_out = 3.0, 2.0, 2.5, 2.4, 0.1
    first, again = toy(*held_out, patience=2), toy(*held_out, patience=2)
    again.run = replace(again.run, replan="20:25")
    assert events_of(first)[-1] == events_of(again)[-1]
    assert (again.rewound, again.run) == (first.rewound, first.run)


def test_a_better_validation_restores_patience(toy):
    events = events_of(toy(3.0, 3.5, 2.0, 2.5, 1.0, 1.5, 1.6, patience=2))
    assert (events[-1].reason, events[-1].step) == ("patience", 35 + 12)


def test_patience_of_zero_never_runs_out(toy):
    assert events_of(toy(1.0, 2.0, patience=0))[-1].reason == "finished"


def test_a_run_out_of_patience_at_its_last_step_is_finished(toy):
    stopped = events_of(toy(*range(9, 0, -1), 2, patience=1))[-1]
    assert (stopped.reason, stopped.step, stopped.loss) == ("finished", 50, 1)


@pytest.mark.parametrize("validations_since_best, more", [(0, 3), (1, 2), (2, 1), (3, 0)])
def test_patience_counts_across_a_resumption(toy, validations_since_best, more):
    trainer = toy(2.0, patience=3, done=20)
    events = events_of(trainer, state=state_at(20, validations_since_best=validations_since_best))
    assert [event.step for event in only(Validation, events)][:-1] == [25, 30, 35][:more]
    assert (events[-1].reason, events[-1].step) == ("patience", 20 + 5 * more + 2)


# Resumptions


def resume_from(state, make, *held_out, **options):
    return events_of(make(*held_out, done=state.step, **options), state=state)


def test_a_run_interrupted_at_any_step_continues_as_if_uninterrupted(toy):
    held_out = 3.0, 2.0, 2.5, 2.4, 1.0, 5.0, 4.0, 3.0
    whole = events_of(toy(*held_out, patience=2))
    assert (whole[-1].reason, whole[-1].step) == ("patience", 20 + 5)
    for step in range(1, 25):
        trainer, storage = toy(*held_out, patience=2), Storage()
        before = events_of(trainer, checkpoint=storage.save,
                           interrupted=lambda trainer=trainer, step=step: trainer.done == step)
        after = resume_from(storage.done[-1], toy, *held_out, patience=2, replan=trainer.run.replan)
        assert (before[-1].reason, before[-1].step) == ("interrupted", step)
        assert only(Step | Validation, before + after) == only(Step | Validation, whole), step
        assert after[-1] == whole[-1], step


@pytest.mark.parametrize("validating", [False, True])
def test_a_run_interrupted_before_a_validation_resumes_with_it(toy, validating):
    trainer, storage = toy(), Storage()
    events = events_of(trainer, checkpoint=storage.save,
                         interrupted=lambda: bool(trainer.validated) if validating else trainer.done == 5)
    assert trainer.validated == ([5, 5] if validating else [5])     # the last one is for the model alone
    assert not only(Validation, events) and storage.steps == [0, 5]
    again = resume_from(storage.done[-1], toy)
    assert [event.step for event in only(Step | Validation, again)[:7]] == [5, 6, 7, 8, 9, 10, 10]
    assert [event.step for event in only(Validation, again)] == list(range(5, 51, 5))


def test_a_run_resumed_after_a_validation_does_not_repeat_it(toy):
    storage = Storage()
    events_of(toy(), checkpoint=storage.save)
    assert storage.steps[1] == 5
    assert isinstance(resume_from(storage.done[1], toy)[0], Step)


@pytest.mark.parametrize("done", [50, 53])
def test_a_run_with_no_steps_left_ends_at_once(toy, done):
    events = events_of(toy(done=done), state=state_at(done))
    assert [type(event) for event in events] == [Saved, Stopped]
    assert (events[-1].reason, events[-1].step, events[-1].loss) == ("finished", done, 0.5)


def test_a_run_shortened_below_its_step_is_validated_at_once(toy):
    trainer = toy(1.5, steps=20, done=33)
    events = events_of(trainer, state=TrainingState(step=33))
    assert trainer.validated == [33]
    assert (events[-1].reason, events[-1].step, events[-1].loss) == ("finished", 33, 1.5)


def test_earlier_validations_do_not_count_on_another_corpus(toy):
    state = state_at(40).without_best()
    events = events_of(toy(2.5, done=40, patience=3), state=state)
    assert [event.best for event in events if isinstance(event, Validation)] == [True, False, False]
    assert (events[-1].step, events[-1].loss) == (50, 2.5)


# Interruptions


def after_the_first_update():
    """Return a function that reports an interruption from its second call on."""
    return itertools.chain([False], itertools.repeat(True)).__next__


def test_an_interruption_before_the_first_update_stores_no_model(toy):
    kept, saved = Storage(), Storage()
    stopped, = events_of(toy(), keep=kept.keep, checkpoint=saved.save, interrupted=lambda: True)
    assert (stopped.reason, stopped.step, stopped.path, stopped.next_command) == ("interrupted", 0, "", "")
    assert not kept.done and saved.steps == [0]


def test_an_interruption_with_no_time_to_validate_stores_a_model(runner_of, monkeypatch):
    monkeypatch.setattr(loop, "LAST_VALIDATION", 0.0)
    storage, trainer = Storage(), runner_of("text").trainer()
    last = events_of(trainer, keep=storage.keep, interrupted=after_the_first_update())[-1]
    (weights, validation), = storage.done
    assert validation is None and same(weights, trainer.network.weights())
    assert (last.reason, last.step, last.path) == ("interrupted", 1, "model")
    assert last.loss is None and last.bits_per_character is None


def test_a_later_interruption_leaves_the_best_model_so_far(toy):
    trainer, storage = toy(3.0, 2.0, 2.5, 2.0), Storage()
    last = events_of(trainer, keep=storage.keep, interrupted=lambda: trainer.done == 17)[-1]
    assert (last.reason, last.step, last.loss) == ("interrupted", 17, 2.0) and storage.losses == [3.0, 2.0]


@pytest.mark.parametrize("reached, kept", [(1.5, [3.0, 2.0, 1.5]), (2.5, [3.0, 2.0])])
def test_an_interrupted_run_keeps_what_it_reached_if_that_is_its_best(toy, reached, kept):
    trainer, storage, saved = toy(3.0, 2.0, reached), Storage(), Storage()
    last = events_of(trainer, keep=storage.keep, checkpoint=saved.save, interrupted=lambda: trainer.done == 12)[-1]
    assert (last.loss, storage.losses, trainer.validated) == (kept[-1], kept, [5, 10, 12])
    assert (saved.done[-1].best.loss, saved.done[-1].validated) == (2.0, 10)    # for a resumed run nothing happened


@pytest.mark.parametrize("batches, asked", [(1, 2), (3, 2), (8, 1)])
def test_the_last_validation_ends_as_soon_as_it_would_take_too_long(toy, batches, asked):
    trainer, answers = toy(), []
    trainer.objective.validation_batches = batches

    def validate(is_over):
        while not is_over() and len(answers) < 2:
            answers.append(False)
            trainer.now += 0.5
        return ValidationMetrics(1.0 if len(answers) == 2 else math.nan, 2.0)

    trainer.validate = validate
    last = events_of(trainer, interrupted=lambda: trainer.done == 1)[-1]
    assert len(answers) == asked and (last.loss is None) == (asked == 1)


def test_a_checkpoint_that_took_long_leaves_no_time_for_a_validation(toy):
    trainer = toy()
    events_of(trainer, checkpoint=lambda _: setattr(trainer, "now", trainer.now + 2), checkpoint_every=math.inf,
              interrupted=lambda: trainer.done == 1)
    assert not trainer.validated


def test_an_interrupted_validation_does_not_count(runner_of, monkeypatch):
    monkeypatch.setattr(loop, "LAST_VALIDATION", 0.0)
    trainer, storage, validating = runner_of("text").trainer(), Storage(), []
    validate = trainer.objective.validate
    trainer.objective.validate = lambda interrupted: validating.append(True) or validate(interrupted)
    events = events_of(trainer, keep=storage.keep, interrupted=lambda: bool(validating))
    assert not only(Validation, events) and events[-1].reason == "interrupted"
    assert storage.losses == [None]


def test_a_validation_sees_an_interruption_while_it_runs(toy):
    trainer, answers, signals = toy(), [], []

    def validate(interrupted):
        answers.append(interrupted())
        signals.append("a signal")
        answers.append(interrupted())
        return ValidationMetrics(math.nan, math.nan)

    trainer.validate = validate
    assert events_of(trainer, interrupted=lambda: bool(signals))[-1].reason == "interrupted"
    assert answers[:2] == [False, True]


def test_an_interruption_between_two_updates_is_noticed_before_the_second(toy):
    trainer, seen = toy(), []
    for event in train(trainer, keep=lambda *_: "model", interrupted=lambda: len(only(Validation, seen)) == 1):
        seen.append(event)
    assert (seen[-1].reason, seen[-1].step, trainer.done) == ("interrupted", 5, 5)


def test_a_model_stored_after_an_interruption_is_reported(toy):
    assert only(Saved, events_of(toy(), interrupted=after_the_first_update())) == [Saved("model")]


# Checkpoints


@pytest.mark.parametrize("every, steps", [(9, [0, 3, 6, 9, 12, 14]), (10, [0, 4, 8, 12, 14]), (43, [0, 14])])
def test_checkpoints_are_due_by_the_clock(toy, every, steps):
    trainer = toy(steps=14, held_out_tokens=math.inf, update_takes=[3.0])
    assert checkpoint_steps(trainer, checkpoint_every=every) == steps


def test_a_validation_writes_a_checkpoint_and_restarts_its_clock(toy):
    expected = [0] + [step for five in range(0, 50, 5) for step in (five + 4, five + 5)]
    assert checkpoint_steps(toy(update_takes=[3.0]), checkpoint_every=10) == expected
    assert checkpoint_steps(toy(update_takes=[3.0]), checkpoint_every=16) == list(range(0, 51, 5))


def test_checkpoints_use_the_clock_of_the_trainer(toy):
    trainer = toy(steps=14, held_out_tokens=math.inf)
    trainer.clock = lambda: 4.0 * trainer.done
    assert checkpoint_steps(trainer, checkpoint_every=10) == [0, 3, 6, 9, 12, 14]


def test_a_checkpoint_due_at_a_validation_is_written_once(toy):
    assert checkpoint_steps(toy(), checkpoint_every=0.0)[-10:] == list(range(41, 51))


def test_checkpoints_are_a_minute_apart_by_default(toy):
    assert checkpoint_steps(toy(held_out_tokens=math.inf, update_takes=[3.0])) == [0, 20, 40, 50]


def test_the_checkpoint_of_a_validation_includes_its_result_and_weights(toy):
    storage = Storage()
    events_of(toy(2.0, 3.0, 1.0), checkpoint=storage.save)
    assert [(state.validated, state.validations_since_best, state.best and state.best.step, state.best_weights)
            for state in storage.done[:4]] == [
        (0, 0, None, None), (5, 0, 5, {"weight": torch.tensor(5)}), (10, 1, 5, {"weight": torch.tensor(5)}),
        (15, 0, 15, {"weight": torch.tensor(15)})]


def test_a_new_run_begins_with_a_checkpoint_and_a_resumed_one_does_not(toy):
    assert checkpoint_steps(toy())[:2] == [0, 5]
    assert checkpoint_steps(toy(done=5), state=state_at(5))[:2] == [10, 15]


def test_an_interruption_right_after_resuming_stores_model_and_checkpoint(toy):
    kept, saved = Storage(), Storage()
    stopped = events_of(toy(done=3), keep=kept.keep, checkpoint=saved.save, interrupted=lambda: True,
                         state=TrainingState(step=3))[-1]
    assert (stopped.reason, stopped.step) == ("interrupted", 3)
    assert kept.losses == [1.0] and saved.steps == [3]


# Storage that fails


def test_a_storage_failure_is_a_warning_and_the_next_model_is_stored(toy):
    storage = Storage(failing=[1])
    events = events_of(toy(3.0, 2.0), keep=storage.keep)
    assert [type(event) for event in events if not isinstance(event, Step | Validation)] == [Warned, Saved, Stopped]
    assert only(Warned, events) == [Warned("disk full; trying again later")]
    assert storage.losses == [2.0]


def test_a_model_that_could_not_be_stored_is_stored_at_the_end(toy):
    storage = Storage(failing=range(1, 11))
    events = events_of(toy(1.0, 2.0), keep=storage.keep)
    assert len(only(Validation, events)) == len(only(Warned, events)) == 10 and storage.losses == [1.0]
    assert events[-2:] == [Saved("model"), events[-1]] and events[-1].path == "model"


def test_storing_is_retried_at_the_next_validation(toy):
    events = events_of(toy(1.0, 2.0), keep=Storage(failing=[1]).keep)
    saved, = only(Saved, events)
    _, second, third, *_ = only(Validation, events)
    assert events.index(second) < events.index(saved) < events.index(third)


@pytest.mark.parametrize("interrupted", [False, True])
def test_storage_that_always_fails_is_an_error(toy, interrupted):
    with pytest.raises(StorageError, match="disk full"):
        events_of(toy(), keep=Storage(ALWAYS).keep,
                   interrupted=after_the_first_update() if interrupted else lambda: False)


def test_a_failed_checkpoint_is_one_warning_and_leaves_the_weights_alone(runner_of):
    runner = runner_of("text", dropout=0.3)
    plain, warned, storage = runner.trainer(), runner.trainer(), Storage(failing=[1])
    events_of(plain)
    events = events_of(warned, checkpoint=storage.save)
    assert only(Warned, events) == [Warned("disk full; trying again at the next checkpoint")] == events[:1]
    assert events[-1].reason == "finished" and storage.done
    assert same(plain.network.weights(), warned.network.weights())


def test_a_failed_checkpoint_is_retried_when_the_next_is_due(toy):
    storage = Storage(failing=[2])
    trainer = toy(steps=14, held_out_tokens=math.inf, update_takes=[3.0])
    events = events_of(trainer, checkpoint=storage.save, checkpoint_every=10)
    assert storage.steps == [0, 8, 12, 14]
    assert [type(event) for event in events[3:5]] == [Step, Warned] and events[3].step == 4
    assert len(only(Warned, events)) == 1


def test_a_checkpoint_failing_at_an_interruption_leaves_the_model_stored(toy):
    storage, seen, trainer = Storage(), [], toy()
    with pytest.raises(StorageError, match="disk full"):
        for event in train(trainer, keep=storage.keep, checkpoint=Storage(ALWAYS).save,
                            interrupted=lambda: trainer.done == 3):
            seen.append(event)
    assert storage.losses == [1.0]
    assert seen[-1] == Saved("model") and not only(Stopped, seen)


def test_a_model_failing_at_an_interruption_leaves_the_checkpoint_stored(toy):
    storage, trainer = Storage(), toy()
    with pytest.raises(StorageError, match="disk full"):
        events_of(trainer, keep=Storage(ALWAYS).keep, checkpoint=storage.save,
                   interrupted=lambda: trainer.done == 3)
    assert storage.steps == [0, 3]


def test_a_model_failing_at_the_end_is_in_the_checkpoint(toy):
    storage, seen = Storage(), []
    with pytest.raises(StorageError, match="disk full"):
        for event in train(toy(), keep=Storage(ALWAYS).keep, checkpoint=storage.save):
            seen.append(event)
    assert not only(Saved, seen) and not only(Stopped, seen)
    assert storage.steps[-1] == 50 and storage.done[-1].best_weights == {"weight": torch.tensor(5)}
