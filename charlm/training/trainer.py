"""The training loop: a generator of records that knows no terminal and no file format.

    for record in train(corpus, model, run, keep=save): ...
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from charlm.config import ModelConfig, TrainingConfig
from charlm.errors import DivergedError, StorageError
from charlm.nn.network import Network
from charlm.records import Record, Saved, Step, Stopped, Validation, Warned
from charlm.training.choices import AnyCorpus
from charlm.training.fill import Fill
from charlm.training.lines import Lines
from charlm.training.objective import Objective
from charlm.training.optimizers import Optimizers
from charlm.training.pairs import Pairs
from charlm.training.plan import validation_interval
from charlm.training.stream import Stream

MOST_FAILURES = 3                       # updates in a row without a finite loss and gradient


@dataclass(frozen=True)
class Update:
    """What one update did."""

    loss: float
    gradient_norm: float                # before clipping
    learning_rate: float
    applied: bool                       # False: skipped, the loss or gradient was not finite


OBJECTIVES = {"stream": Stream, "lines": Lines, "pairs": Pairs, "fill": Fill}


class Trainer:
    """Network, objective and optimizers of one run, advanced one update at a time.

    Building one seeds torch: the same corpus, configurations and machine give the same bits.
    """

    def __init__(self, corpus: AnyCorpus, model: ModelConfig, run: TrainingConfig, *,
                 device: str, task: str = "stream"):
        torch.manual_seed(run.seed)
        self.run, self.task = run, task
        self.network = Network(model, dropout=run.dropout).to(torch.device(device))
        self.network.train()
        self.objective: Objective = OBJECTIVES[task](corpus, run, self.network)
        self._optimizers = Optimizers(self.network, run)
        self._parameters = list(self.network.parameters())
        self._failures = 0

    def update(self, step: int) -> Update:
        """One update; steps count from 0. A batch without a finite loss and gradient is skipped.

        Raises DivergedError when that happens three times in a row.
        """
        loss = self.objective.loss(step)
        self._optimizers.zero_grad()
        loss.backward()
        norm = self._clip()
        value = loss.item()
        if not (math.isfinite(value) and math.isfinite(norm)):
            self._count_failure(step)
            return Update(value, norm, 0.0, False)
        self._failures = 0
        self.objective.accept()
        return Update(value, norm, self._optimizers.step(step), True)

    def _clip(self) -> float:
        """Clip the gradients as the run says; return their global norm before that."""
        limit = self.run.clip or math.inf
        norm = torch.nn.utils.clip_grad_norm_(self._parameters, limit).item()
        if self.run.clip_value:
            torch.nn.utils.clip_grad_value_(self._parameters, self.run.clip_value)
        return norm

    def _count_failure(self, step: int) -> None:
        self._failures += 1
        if self._failures == MOST_FAILURES:
            raise DivergedError(f"no finite loss in {MOST_FAILURES} updates up to step {step + 1}; "
                                "try a smaller --lr or --clip")

    def validation_seconds(self, limit: float, interrupted: Callable[[], bool]) -> float:
        """What a validation takes, estimated from as many pieces as fit into `limit` seconds."""
        read, began = 0, time.monotonic()

        def enough() -> bool:
            nonlocal read
            if read and (time.monotonic() - began > limit or interrupted()):
                return True
            read += 1
            return False

        self.objective.validate(enough)
        return (time.monotonic() - began) * max(self.objective.validation_pieces / read, 1.0)


class _Keeper:
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
            yield Warned(f"{error}; trying again at the next validation")


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


def train(trainer: Trainer, *, keep: Callable[[dict, Validation | None], str],
          interrupted: Callable[[], bool] = lambda: False) -> Iterator[Record]:
    """Run to the end, to lost patience or to an interruption, keeping the best model.

    `keep(weights, validation)` stores a model and returns where, or "" if it did not want it;
    `validation` is None for a run interrupted before its first one. Interrupted before the first
    update, nothing is kept. Raises DivergedError, and StorageError when the last try to store failed too.
    """
    run, objective = trainer.run, trainer.objective
    interval = validation_interval(run.steps, objective.tokens_per_update, objective.validation_tokens)
    pace = _Pace(objective.characters_per_update)
    keeper, best, since_best, reason, step = _Keeper(keep), None, 0, "finished", 0
    while step < run.steps:
        if interrupted() and not step:
            reason = "interrupted"
            break
        pace.start_update()
        update = trainer.update(step)
        step += 1
        pace.end_update()
        left = run.steps - step
        yield Step(step, run.steps, update.loss, update.gradient_norm, update.learning_rate,
                   pace.characters_per_second(), pace.seconds_left(left, -(-left // interval)), update.applied)
        if interrupted():
            reason = "interrupted"
            break
        if step % interval and step < run.steps:
            continue
        pace.start_update()
        score = objective.validate(interrupted)
        pace.end_validation()
        if interrupted():
            reason = "interrupted"
            break
        is_best = score.better_than(best)
        validation = Validation(step, score.loss, score.bits_per_character, is_best, score.error_rate)
        yield validation
        since_best = 0 if is_best else since_best + 1
        if is_best:
            best = score
            keeper.take(trainer.network.weights(), validation)
        yield from keeper.try_flush()
        if run.patience and since_best >= run.patience and step < run.steps:
            reason = "patience"
            break
    if best is None and reason != "interrupted":
        raise DivergedError("the held-out loss was never finite; try a smaller --lr")
    if best is None and step:
        keeper.take(trainer.network.weights(), None)
    yield from keeper.flush()
    yield Stopped(reason, step, best and best.loss, best and best.bits_per_character,
                  keeper.path, pace.elapsed(), best and best.error_rate, trainer.task)
