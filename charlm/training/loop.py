"""The training loop: a generator of records that knows no terminal and no file format.

    for record in train(trainer, keep=save): ...
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch

from charlm.errors import DivergedError, StorageError
from charlm.events import Event, Saved, Step, Stopped, Validation, Warned
from charlm.training.defaults import validation_interval
from charlm.training.objectives.base import ValidationMetrics
from charlm.training.trainer import Trainer

CHECKPOINT_EVERY = 60.0                 # seconds


@dataclass
class TrainingState:
    """How far a run has come, beside what its trainer carries."""

    step: int = 0                       # updates done
    best: Validation | None = None
    best_weights: dict[str, torch.Tensor] | None = None
    validations_since_best: int = 0                 # validations
    validated: int = 0                  # the step of the last one
    seconds: float = 0.0                # of sessions before this one

    def without_best(self) -> TrainingState:
        """The same, but for what was measured on the text before."""
        return replace(self, best=None, best_weights=None, validations_since_best=0, validated=0)


class _BestModelSaver:
    """Hands the best weights so far to `keep`, and tries again later when storage fails."""

    def __init__(self, keep: Callable[[dict, Validation | None], str]):
        self._keep = keep
        self._unsaved: tuple | None = None
        self.path = ""

    def take(self, weights: dict, validation: Validation | None) -> None:
        """These weights are now the ones to be kept."""
        self._unsaved = (weights, validation)

    def flush(self) -> Iterator[Saved]:
        """Write what is not yet written; raises StorageError."""
        if self._unsaved is not None:
            self.path = self._keep(*self._unsaved)
            self._unsaved = None
            if self.path:
                yield Saved(self.path)

    def try_flush(self) -> Iterator[Saved | Warned]:
        """Like `flush`, but a failure is a warning."""
        try:
            yield from self.flush()
        except StorageError as error:
            yield Warned(f"{error}; trying again later")


class _Pace:
    """How fast the run goes: a running mean of the time of an update; validations stand apart."""

    def __init__(self, characters_per_update: float):
        self._characters = characters_per_update
        self._began = self._last = time.monotonic()
        self._mean = self._validation = 0.0

    def start_update(self) -> None:
        self._last = time.monotonic()

    def end_update(self) -> None:
        gap = time.monotonic() - self._last
        self._mean = self._mean + 0.05 * (gap - self._mean) if self._mean else gap

    def end_validation(self) -> None:
        self._validation = time.monotonic() - self._last

    def characters_per_second(self) -> float:
        return self._characters / max(self._mean, 1e-9)

    def seconds_left(self, updates: int, validations: int) -> float:
        return updates * self._mean + validations * self._validation

    def elapsed(self) -> float:
        return time.monotonic() - self._began


class _Saver:
    """Writes checkpoints when they are due; a failure is a warning, and tried again when next due."""

    def __init__(self, write: Callable[[TrainingState], None] | None, every: float, clock: Callable[[], float]):
        self._write, self._every, self._clock = write, every, clock
        self._last = clock()

    def is_due(self) -> bool:
        return self._write is not None and self._clock() - self._last >= self._every

    def save(self, standing: TrainingState) -> None:
        """Raises StorageError."""
        if self._write is not None:
            self._last = self._clock()
            self._write(standing)

    def try_save(self, standing: TrainingState) -> Iterator[Warned]:
        try:
            self.save(standing)
        except StorageError as error:
            yield Warned(f"{error}; trying again at the next checkpoint")


class _Loop:
    """One run from where it stands to its end."""

    def __init__(self, trainer: Trainer, standing: TrainingState, keeper: _BestModelSaver, saver: _Saver,
                 interrupted: Callable[[], bool]):
        self._trainer, self._standing, self._keeper, self._saver = trainer, standing, keeper, saver
        self._interrupted = interrupted
        objective = trainer.objective
        self._interval = validation_interval(trainer.run.steps, objective.tokens_per_update,
                                             objective.validation_tokens)
        self._pace = _Pace(objective.characters_per_update)
        self._before = standing.seconds

    def run(self) -> Iterator[Event]:
        standing = self._standing
        if standing.best is not None:
            self._keeper.take(standing.best_weights, standing.best)
        if not standing.step:
            yield from self._saver.try_save(standing)   # so that a plan made by the clock cannot be lost
        reason = yield from self._steps()
        if standing.best is None and reason != "interrupted":
            raise DivergedError("the held-out loss was never finite; try a smaller --lr")
        if standing.best is None and standing.step:
            self._keeper.take(self._trainer.export_weights(), None)
        with contextlib.ExitStack() as afterwards:
            # Neither a failing checkpoint nor a failing model keeps the other from being tried.
            if reason == "interrupted" and standing.step:
                afterwards.callback(self._saver.save, standing)
            yield from self._keeper.flush()
        best = standing.best
        yield Stopped(reason, standing.step, best and best.loss, best and best.bits_per_character,
                      self._keeper.path, self._elapsed(), best and best.error_rate, self._trainer.task)

    def _elapsed(self) -> float:
        return self._before + self._pace.elapsed()

    def _steps(self) -> Iterator[Event]:
        """Updates, and validations between them; returns why they ended."""
        standing = self._standing
        while True:
            if self._validation_is_due():
                if not (yield from self._validate()):
                    return "interrupted"
                yield from self._keeper.try_flush()
                yield from self._saver.try_save(standing)
            elif self._saver.is_due():
                yield from self._saver.try_save(standing)
            if self._out_of_patience():
                return "patience"
            if standing.step >= self._trainer.run.steps:
                return "finished"
            if self._interrupted():
                return "interrupted"
            yield self._update()
            standing.seconds = self._elapsed()
            if self._interrupted():
                return "interrupted"

    def _validation_is_due(self) -> bool:
        """Also of a run that was interrupted just before one, or is now to be shorter than it is."""
        step = self._standing.step
        return step != self._standing.validated and (
            step % self._interval == 0 or step >= self._trainer.run.steps)

    def _out_of_patience(self) -> bool:
        run = self._trainer.run
        return bool(run.patience) and self._standing.validations_since_best >= run.patience \
            and self._standing.step < run.steps

    def _update(self) -> Step:
        standing, steps, pace = self._standing, self._trainer.run.steps, self._pace
        pace.start_update()
        update = self._trainer.update(standing.step)
        standing.step += 1
        pace.end_update()
        left = steps - standing.step
        return Step(standing.step, steps, update.loss, update.gradient_norm, update.learning_rate,
                    pace.characters_per_second(), pace.seconds_left(left, -(-left // self._interval)),
                    update.applied)

    def _validate(self) -> Iterator[Event]:
        """ValidationMetrics the held-out part; returns False when that was interrupted."""
        standing = self._standing
        self._pace.start_update()
        score = self._trainer.validate(self._interrupted)
        self._pace.end_validation()
        standing.seconds = self._elapsed()
        if self._interrupted():
            return False
        best = standing.best
        is_best = score.is_better_than(best and ValidationMetrics(best.loss, best.bits_per_character, best.error_rate))
        standing.validated = standing.step
        validation = Validation(standing.step, score.loss, score.bits_per_character, is_best, score.error_rate)
        standing.validations_since_best = 0 if is_best else standing.validations_since_best + 1
        if is_best:
            standing.best, standing.best_weights = validation, self._trainer.export_weights()
            self._keeper.take(standing.best_weights, validation)
        yield validation
        return True


def train(trainer: Trainer, *, keep: Callable[[dict, Validation | None], str],
          interrupted: Callable[[], bool] = lambda: False, standing: TrainingState | None = None,
          checkpoint: Callable[[TrainingState], None] | None = None,
          checkpoint_every: float = CHECKPOINT_EVERY) -> Iterator[Event]:
    """Run to the end, to lost patience or to an interruption, keeping the best model.

    `keep(weights, validation)` stores a model and returns where, or "" if it did not want it;
    `validation` is None for a run interrupted before its first one. `checkpoint(standing)` stores all that
    the run goes on from: before the first update, from time to time, at every validation and at an
    interruption. Interrupted before the first update, no model is kept. Raises DivergedError, and StorageError
    when the last try to store failed too.
    """
    loop = _Loop(trainer, standing or TrainingState(), _BestModelSaver(keep), _Saver(checkpoint, checkpoint_every, trainer.clock),
                 interrupted)
    return loop.run()
