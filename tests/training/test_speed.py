"""The number of steps that fit into a time, and the measurement of the speed."""

import itertools
import time
from types import SimpleNamespace

import pytest

from charlm.training.speed import Speed, measure

VALIDATION = 1.0                        # seconds


def never():
    return False


def trainer_of(update):
    return SimpleNamespace(update=update, clock=time.monotonic,
                           validation_seconds=lambda limit, interrupted: VALIDATION)


def test_duration_counts_updates_and_validations():
    assert Speed(0.5, 3.0).duration(100, 1000, 1) == 100 * 0.5 + 10 * 3
    assert Speed(0.5, 3.0).duration(100, 10, 10 ** 6) == 100 * 0.5 + 3


@pytest.mark.parametrize("speed, seconds, held_out", list(itertools.product(
    (Speed(0.01, 0.0), Speed(0.01, 0.3), Speed(1.0, 20.0)), (5.0, 60.0, 1000.0), (50, 100_000))))
def test_steps_within_a_time_fit_it_and_nearly_fill_it(speed, seconds, held_out):
    steps = speed.steps_within(seconds, 64, held_out)
    assert steps == 1 or speed.duration(steps, 64, held_out) <= seconds
    # Another tenth of the steps does not fit, give or take one update and one validation.
    assert speed.duration(int(1.1 * steps) + 2, 64, held_out) > seconds - 2 * (speed.update + speed.validation)


def test_without_validations_every_second_is_spent():
    assert Speed(0.5, 0.0).steps_within(60, 64, 100) == 120
    assert Speed(0.5, 0.0).steps_within(0.1, 64, 100) == 1
    assert Speed(0.5, 0.0).steps_within(-5, 64, 100) == 1


def test_measuring_ignores_the_first_updates():
    costs, clock, steps, limits = itertools.chain([50.0, 30.0], itertools.repeat(2.0)), [0.0], [], []

    def update(step):
        steps.append(step)
        clock[0] += next(costs)

    trainer = SimpleNamespace(update=update, clock=lambda: clock[0],
                              validation_seconds=lambda limit, interrupted: limits.append(limit) or 7.0)
    assert measure(trainer, seconds=90.0, interrupted=never) == Speed(2.0, 7.0)
    assert steps == [0, 1, 2, 3, 4, 5, 6]                   # 50 + 30 + 5 * 2 seconds
    assert limits == [30.0]


def test_measuring_takes_at_least_one_update_that_counts():
    steps = []
    measure(trainer_of(steps.append), seconds=0.0, interrupted=never)
    assert steps == [0, 1, 2]


def test_measuring_stops_when_interrupted():
    done = []
    trainer = trainer_of(done.append)
    speed = measure(trainer, seconds=1e9, interrupted=lambda: len(done) >= 2)
    assert len(done) == 2 and speed.update >= 0


def test_an_interruption_before_the_first_update_is_not_an_error():
    trainer = trainer_of(lambda step: None)
    speed = measure(trainer, seconds=1.0, interrupted=lambda: True)
    assert speed.update >= 0 and speed.validation == VALIDATION
