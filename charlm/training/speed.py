"""The speed of a trainer on this machine, measured just before training, and the steps that fit into a given time."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass

from charlm.training.defaults import validation_interval
from charlm.training.trainer import Trainer

SKIPPED = 2                             # first updates of a measurement, which warm up caches


@dataclass(frozen=True)
class Speed:
    """The seconds of one update and of one validation, as just measured."""

    update: float
    validation: float

    def duration(self, steps: int, window: float, held_out: float) -> float:
        """Return the expected seconds of `steps` updates and their validations (`defaults.validation_interval`)."""
        validations = -(-steps // validation_interval(steps, window, held_out))
        return steps * self.update + validations * self.validation

    def steps_within(self, seconds: float, window: float, held_out: float) -> int:
        """Return the number of steps, at least one, that fit into `seconds`; at times one fewer than could."""
        low, high = 1, max(int(seconds / self.update), 1)
        while low < high:
            middle = (low + high + 1) // 2
            if self.duration(middle, window, held_out) <= seconds:
                low = middle
            else:
                high = middle - 1
        return low


def measure(trainer: Trainer, *, seconds: float, interrupted: Callable[[], bool]) -> Speed:
    """Run a disposable trainer for about `seconds`, then a part of a validation."""
    times: list[float] = []
    began = start = trainer.clock()
    while not times or (len(times) <= SKIPPED or start - began < seconds) and not interrupted():
        trainer.update(len(times))
        now = trainer.clock()
        times.append(now - start)
        start = now
    return Speed(statistics.fmean(times[SKIPPED:] or times), trainer.validation_seconds(seconds / 3, interrupted))
