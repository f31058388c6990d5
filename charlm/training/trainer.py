"""The training loop: a generator of records that knows no terminal and no file format.

    for record in train(corpus, model, run, keep=save): ...
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from charlm.config import ModelConfig, TrainingConfig
from charlm.errors import DivergedError, StorageError
from charlm.nn.network import Network
from charlm.records import Record, Saved, Step, Stopped, Validation, Warned
from charlm.text.prepare import Corpus
from charlm.training.lanes import Lanes
from charlm.training.optimizers import Optimizers
from charlm.training.plan import validation_interval
from charlm.training.validation import held_out_loss, window_count

MOST_FAILURES = 3                       # updates in a row without a finite loss and gradient


@dataclass(frozen=True)
class Update:
    """What one update did."""

    loss: float
    gradient_norm: float                # before clipping
    learning_rate: float
    applied: bool                       # False: skipped, the loss or gradient was not finite


class Trainer:
    """Network, optimizers and lanes of one run, advanced one update at a time.

    Building one seeds torch: the same corpus, configurations and machine give the same bits.
    """

    def __init__(self, corpus: Corpus, model: ModelConfig, run: TrainingConfig, *, device: str):
        torch.manual_seed(run.seed)
        self.corpus, self.run = corpus, run
        self.device = torch.device(device)
        self.network = Network(model, dropout=run.dropout).to(self.device)
        self.network.train()
        self._optimizers = Optimizers(self.network, run)
        self._lanes = Lanes(corpus.train, batch_size=run.batch_size, bptt=run.bptt)
        self._state = self.network.start(run.batch_size)
        self._parameters = list(self.network.parameters())
        self._failures = 0

    def update(self, step: int) -> Update:
        """One update; steps count from 0. A window without a finite loss and gradient is skipped.

        Raises DivergedError when that happens three times in a row.
        """
        inputs, targets = self._lanes.window(step)
        logits, state = self.network.step(inputs.to(self.device), self._state)
        loss = F.cross_entropy(logits.transpose(0, 1).flatten(0, 1),
                               targets.to(self.device).T.flatten())
        self._optimizers.zero_grad()
        loss.backward()
        norm = self._clip()
        value = loss.item()
        if not (math.isfinite(value) and math.isfinite(norm)):
            self._count_failure(step)
            return Update(value, norm, 0.0, False)
        self._failures = 0
        self._state = state.detach()
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

    def validate(self, interrupted: Callable[[], bool] = lambda: False) -> float:
        """Nats per token of the held-out part, training state untouched."""
        return held_out_loss(self.network, self.corpus.validation, self.corpus.tokenizer,
                             interrupted=interrupted)

    def validation_seconds(self, limit: float, interrupted: Callable[[], bool]) -> float:
        """What a validation takes, estimated from as many windows as fit into `limit` seconds."""
        read, began = 0, time.monotonic()
        held_out = self.corpus.validation

        def enough() -> bool:
            nonlocal read
            if read and (time.monotonic() - began > limit or interrupted()):
                return True
            read += 1
            return False

        self.validate(enough)
        elapsed = time.monotonic() - began
        windows = window_count(len(held_out), self.corpus.tokenizer.size)
        return elapsed * max(windows / read, 1.0)


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

    `keep(weights, validation)` stores a model and returns where, or "" if it did not want it; `validation` is None for a run
    interrupted before its first one. Interrupted before the first update, nothing is kept. Raises DivergedError, and StorageError when the last try to
    store failed too.
    """
    run, corpus = trainer.run, trainer.corpus
    window = run.batch_size * run.bptt
    interval = validation_interval(run.steps, window, len(corpus.validation))
    pace = _Pace(window * corpus.train_characters / len(corpus.train))
    bits = len(corpus.validation) / corpus.validation_characters / math.log(2)
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
        held_out = trainer.validate(interrupted)
        pace.end_validation()
        if interrupted():
            reason = "interrupted"
            break
        is_best = math.isfinite(held_out) and (best is None or held_out < best.loss)
        validation = Validation(step, held_out, held_out * bits, is_best)
        yield validation
        since_best = 0 if is_best else since_best + 1
        if is_best:
            best = validation
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
                  keeper.path, pace.elapsed())
