"""The training loop: a generator of events, independent of terminals and file formats.

    for event in train(trainer, keep=save): ...
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field, replace

import torch

from charlm.errors import DivergedError, StorageError
from charlm.events import Event, Sampled, Saved, Step, Stopped, Validation, Warned
from charlm.history import Recorder
from charlm.training.deadline import MIN_UPDATES, Deadline
from charlm.training.defaults import validation_interval
from charlm.training.objectives.base import ValidationMetrics
from charlm.training.trainer import Trainer, Update
from charlm.training.worker import Calls, Interrupted

CHECKPOINT_EVERY = 60.0                 # seconds
STOPPING = 3.0                          # seconds for the checkpoint, validation and model of an interrupted run
WIND_DOWN = 0.5                         # of the steps up to the best validation
LAST_VALIDATION = 2.0                   # of them, at most, for the validation
Weights = dict[str, torch.Tensor]
Keep = Callable[[Weights, Validation | None], str]
Preview = Callable[[Weights, Validation], str]


@dataclass
class TrainingState:
    """The progress of a run, apart from what its trainer holds."""

    step: int = 0                       # updates done
    best: Validation | None = None
    best_weights: Weights | None = None
    validations_since_best: int = 0
    validated: int = 0                  # step of the latest validation
    seconds: float = 0.0                # trained so far, in all sessions
    loss_sum: float = 0.0               # over the updates since the latest validation, unrounded
    losses: int = 0                     # number of those updates
    history: Recorder = field(default_factory=Recorder)

    @property
    def train_loss(self) -> float | None:
        """The mean loss of the updates since the latest validation; None if there was none."""
        return self.loss_sum / self.losses if self.losses else None

    def without_best(self) -> TrainingState:
        """Return this state without its validations, which do not count on another corpus."""
        return replace(self, best=None, best_weights=None, validations_since_best=0, validated=0, loss_sum=0.0,
                       losses=0)


class _BestModelSaver:
    """Hands the best weights to `keep`, and tries again later if storage fails."""

    def __init__(self, keep: Keep):
        self._keep = keep
        self._unsaved: tuple[Weights, Validation | None] | None = None
        self.path = ""

    def propose(self, weights: Weights, validation: Validation | None) -> None:
        """Replace the weights to save."""
        self._unsaved = (weights, validation)

    def flush(self) -> Iterator[Saved]:
        """Save the weights unless that is done. Raises StorageError."""
        if self._unsaved is not None:
            self.path = self._keep(*self._unsaved)
            self._unsaved = None
            if self.path:
                yield Saved(self.path)

    def try_flush(self) -> Iterator[Saved | Warned]:
        """Save like `flush`, but warn if it fails."""
        try:
            yield from self.flush()
        except StorageError as error:
            yield Warned(f"{error}; trying again later")


class _Pace:
    """The speed of a run: a running mean of the seconds of an update, and the seconds of the last validation."""

    def __init__(self, characters_per_update: float, seconds_before: float, validation: float):
        self._characters, self._seconds_before = characters_per_update, seconds_before
        self._began = self._started = time.monotonic()
        self.update = 0.0               # seconds, a running mean
        self.validation = validation    # seconds of the last one, or as measured before the run
        self.updates = 0                # timed

    def start(self) -> None:
        self._started = time.monotonic()

    def end_update(self) -> None:
        gap = time.monotonic() - self._started
        self.updates += 1
        # The plain mean of the first twenty updates, then one that follows a change within twenty.
        self.update += max(0.05, 1 / self.updates) * (gap - self.update)

    def end_validation(self) -> None:
        self.validation = time.monotonic() - self._started

    def characters_per_second(self) -> float:
        return self._characters / max(self.update, 1e-9)

    def seconds_left(self, updates: int, validations: int) -> float:
        return updates * self.update + validations * self.validation

    def elapsed(self) -> float:
        """Return the seconds trained so far, in all sessions."""
        return self._seconds_before + (time.monotonic() - self._began)


class _CheckpointSaver:
    """Writes checkpoints at intervals; after a failure it tries again when the next one is due."""

    def __init__(self, write: Callable[[TrainingState], None] | None, every: float, clock: Callable[[], float]):
        self._write, self._every, self._clock = write, every, clock
        self._last = clock()

    def is_due(self) -> bool:
        return self._write is not None and self._clock() - self._last >= self._every

    def save(self, state: TrainingState) -> None:
        """Write a checkpoint. Raises StorageError."""
        if self._write is not None:
            self._last = self._clock()
            self._write(state)

    def try_save(self, state: TrainingState) -> Iterator[Warned]:
        """Write a checkpoint, but warn if it fails."""
        try:
            self.save(state)
        except StorageError as error:
            yield Warned(f"{error}; trying again at the next checkpoint")


class _Loop:
    """One run from its current state to its end."""

    def __init__(self, trainer: Trainer, state: TrainingState, best_model: _BestModelSaver,
                 checkpoints: _CheckpointSaver, calls: Calls, deadline: Deadline | None, validation_seconds: float,
                 preview: Preview | None):
        self._trainer, self._state, self._calls, self._preview = trainer, state, calls, preview
        self._best_model, self._checkpoints, self._deadline = best_model, checkpoints, deadline
        task = trainer.objective
        self._interval = validation_interval(trainer.run.steps, task.tokens_per_update, task.validation_tokens)
        self._pace = _Pace(task.characters_per_update, state.seconds, validation_seconds)

    def run(self) -> Iterator[Event]:
        state = self._state
        if state.best is not None and state.best_weights is not None:
            self._best_model.propose(state.best_weights, state.best)
        if not state.step:
            yield from self._checkpoints.try_save(state)    # keeps the number of steps that --minutes led to
        reason, best = (yield from self._steps()), state.best
        if best is None and reason != "interrupted":
            raise DivergedError("the held-out loss was never finite; try a smaller --lr")
        with contextlib.ExitStack() as afterwards:
            # If saving the model fails, the checkpoint is still saved, and the other way round.
            if reason == "interrupted" and state.step:
                began = self._trainer.clock()
                try:
                    self._checkpoints.save(state)       # first, as nothing else could replace it
                except StorageError as error:
                    afterwards.callback(_raise, error)
                # The model takes no longer to save than the checkpoint took.
                best = self._propose_present_weights(STOPPING - 2 * (self._trainer.clock() - began))
            yield from self._best_model.flush()
        path = self._best_model.path
        loss, bits, errors = (best.loss, best.bits_per_character, best.error_rate) if best else (None, None, None)
        yield Stopped(reason, state.step, loss, bits, path, self._pace.elapsed(), errors, self._trainer.task)

    def _steps(self) -> Generator[Event, None, str]:
        """Yield updates with validations between them; return the reason why they ended."""
        try:
            return (yield from self._until_end())
        except Interrupted:
            self._trainer.recover()
            return "interrupted"

    def _until_end(self) -> Generator[Event, None, str]:
        state = self._state
        while True:
            if self._validation_is_due():
                if not (yield from self._validate()):
                    return "interrupted"
                yield from self._best_model.try_flush()
                yield from self._checkpoints.try_save(state)
            elif self._checkpoints.is_due():
                yield from self._checkpoints.try_save(state)
            if self._out_of_patience():
                if state.best is None:
                    return "patience"
                self._wind_down()
            if state.step >= self._trainer.run.total_steps:
                return "patience" if self._winds_down() else "finished"
            if self._calls.interrupted():
                return "interrupted"
            yield self._update()
            state.seconds = self._pace.elapsed()
            if self._calls.interrupted():
                return "interrupted"

    def _validation_is_due(self) -> bool:
        """Return True at every interval and from the last step on, unless this step is validated already."""
        step = self._state.step
        return step != self._state.validated and (step % self._interval == 0 or step >= self._trainer.run.total_steps)

    def _out_of_patience(self) -> bool:
        """Return True at the step where patience runs out; later ones would only lengthen the run again."""
        state, run = self._state, self._trainer.run
        if not 0 < run.patience <= state.validations_since_best or state.step >= run.total_steps:
            return False
        end = _end_out_of_patience(state.step, state.best.step) if state.best else 0
        # A run that is repeated with --replan knows its end before.
        return end < run.total_steps or (state.step, end) in run.lengths

    def _wind_down(self) -> None:
        """Let the rate fall to zero soon, from the best weights: stopping would waste what a shorter plan gains."""
        state, trainer = self._state, self._trainer
        if state.best is None or state.best_weights is None:
            return
        self._deadline = None
        trainer.rewind(state.best_weights)
        end = _end_out_of_patience(state.step, state.best.step)
        if (state.step, end) not in trainer.run.lengths:
            trainer.change_length(state.step, end)

    def _winds_down(self) -> bool:
        """Return whether the run ends where it does because patience ran out, perhaps in an earlier session."""
        run, (start, end) = self._trainer.run, self._trainer.run.lengths[-1]
        bests = range(self._interval, start - run.patience * self._interval + 1, self._interval)
        return run.patience > 0 and end in {_end_out_of_patience(start, best) for best in bests}

    def _update(self) -> Step:
        state, pace = self._state, self._pace
        pace.start()
        update = self._calls.run(lambda commit: self._trainer.update(state.step, commit))
        state.step += 1
        pace.end_update()
        self._record(update)
        self._keep_deadline()
        steps = self._trainer.run.total_steps
        return Step(state.step, steps, update.loss, update.gradient_norm, update.learning_rate,
                    pace.characters_per_second(), pace.seconds_left(steps - state.step, self._validations_left()),
                    update.applied, update.layer_norms)

    def _record(self, update: Update) -> None:
        if update.applied:
            self._state.loss_sum += update.loss
            self._state.losses += 1
            self._state.history.add_update(self._state.step, loss=update.loss, gradient_norm=update.gradient_norm,
                                           learning_rate=update.learning_rate, seconds=self._pace.elapsed(),
                                           layer_norms=update.layer_norms)

    def _validations_left(self) -> int:
        return -(-(self._trainer.run.total_steps - self._state.step) // self._interval)

    def _keep_deadline(self) -> None:
        """Change the length of the run if it would miss its deadline."""
        step, length, pace = self._state.step, self._trainer.run.total_steps, self._pace
        if self._deadline is None or step >= length or pace.updates < MIN_UPDATES \
                or not self._deadline.is_checked(step, length):
            return
        self._trainer.change_length(step, self._deadline.new_length(
            self._trainer.clock(), step=step, length=length,
            seconds=pace.update + pace.validation / self._interval))

    def _validate(self) -> Generator[Event, None, bool]:
        """Score the held-out data and yield the result and a sample; return False if interrupted.

        A validation whose sample is given up counts for nothing, so that a run resumed after it has both.
        """
        state, best = self._state, self._state.best
        self._pace.start()
        metrics = self._calls.run(lambda _: self._trainer.validate(self._calls.interrupted))
        self._pace.end_validation()
        state.seconds = self._pace.elapsed()
        if self._calls.interrupted():
            return False
        validation = replace(_judge(metrics, state.step, best), train_loss=state.train_loss)
        weights = self._trainer.export_weights()
        sample = self._calls.run(lambda _: self._preview(weights, validation) if self._preview else "")
        state.validated, state.loss_sum, state.losses = state.step, 0.0, 0
        state.validations_since_best = 0 if validation.best else state.validations_since_best + 1
        if validation.best:
            state.best, state.best_weights = validation, weights
            self._best_model.propose(weights, validation)
        state.history.add_validation(state.step, loss=validation.loss, error_rate=validation.error_rate,
                                     bits_per_character=validation.bits_per_character)
        if sample:
            state.history.add_sample(state.step, sample)
        yield validation
        if sample:
            yield Sampled(sample)
        return True

    def _propose_present_weights(self, seconds: float) -> Validation | None:
        """Validate an interrupted run if the seconds allow it; propose its weights if they are its best or only ones.

        Return the best validation. The state is left alone, so that where a run is interrupted does not change it.
        """
        state, trainer, validation = self._state, self._trainer, None
        seconds = min(seconds, LAST_VALIDATION)
        if state.validated != state.step and seconds > 0:
            limit = _Limit(trainer.clock, seconds, trainer.objective.validation_batches)
            with contextlib.suppress(Interrupted):
                metrics = self._calls.run(lambda _: trainer.validate(limit.is_over), grace=seconds)
                validation = _judge(metrics, state.step, state.best)
            trainer.recover()
        if validation is not None and validation.best:
            self._best_model.propose(trainer.export_weights(), validation)
            return validation
        if state.best is None:
            self._best_model.propose(trainer.export_weights(), None)
        return state.best


def _end_out_of_patience(step: int, best: int) -> int:
    """Return the step at which a run ends whose patience runs out at `step`: WIND_DOWN of the steps to its best follow.

    >>> _end_out_of_patience(1000, 400)
    1200
    """
    return step + max(int(WIND_DOWN * best), 1)


def _raise(error: Exception) -> None:
    raise error


def _judge(metrics: ValidationMetrics, step: int, best: Validation | None) -> Validation:
    """Return the validation of a step, compared with the best one before."""
    is_best = metrics.is_better_than(
        None if best is None else ValidationMetrics(best.loss, best.bits_per_character, best.error_rate))
    return Validation(step, metrics.loss, metrics.bits_per_character, is_best, metrics.error_rate)


class _Limit:
    """A limit on the seconds of a validation, which is exceeded as soon as its batches so far predict that it will."""

    def __init__(self, clock: Callable[[], float], seconds: float, batches: int):
        self._clock, self._seconds, self._batches = clock, seconds, batches
        self._began, self._done = clock(), 0

    def is_over(self) -> bool:
        """Return True if the validation, asking before each of its batches, will not end in time."""
        expected = (self._clock() - self._began) * max(self._batches / self._done, 1) if self._done else 0.0
        self._done += 1
        return expected > self._seconds


def train(trainer: Trainer, *, keep: Keep, interrupted: Callable[[], bool] = lambda: False,
          state: TrainingState | None = None, checkpoint: Callable[[TrainingState], None] | None = None,
          checkpoint_every: float = CHECKPOINT_EVERY, calls: Calls | None = None, deadline: Deadline | None = None,
          validation_seconds: float = 0.0, preview: Preview | None = None) -> Iterator[Event]:
    """Train until the steps are done, patience runs out or the run is interrupted, keeping the best model.

    When patience runs out, the run goes back to its best weights and lets the rate fall to zero from there.
    `keep(weights, validation)` stores a model and returns its path, or "" if it declines; `validation` is None
    if the run is interrupted before its first one. `checkpoint(state)` stores all that resuming needs: before
    the first update, every `checkpoint_every` seconds, at every validation and at an interruption. A run
    interrupted before its first update keeps no model; later, it validates once more if that takes two seconds
    at most. `calls` makes the long calls, and replaces `interrupted`. A run with a `deadline` changes its
    length to end in time; `validation_seconds` is what one validation will take. `preview(weights, validation)`
    returns a sample after each validation, which is shown and kept in the history.

    Raises DivergedError, and StorageError if the last attempt to store fails.
    """
    return _Loop(trainer, state or TrainingState(), _BestModelSaver(keep),
                 _CheckpointSaver(checkpoint, checkpoint_every, trainer.clock), calls or Calls(interrupted),
                 deadline, validation_seconds, preview).run()
