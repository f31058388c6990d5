"""How many steps fit into a time: the speed of a trainer, measured just before it is used."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from charlm.training.defaults import validation_interval

SKIPPED = 2                             # first updates of a measurement, which warm up caches


class Updates(Protocol):
    """What a measurement needs of a trainer."""

    def clock(self) -> float: ...

    def update(self, step: int) -> object: ...

    def validation_seconds(self, limit: float, interrupted: Callable[[], bool]) -> float: ...


@dataclass(frozen=True)
class Speed:
    """Seconds that one update and one validation take on this machine, just now."""

    update: float
    validation: float

    def duration(self, steps: int, window: float, held_out: float) -> float:
        """Expected seconds of a whole run."""
        validations = -(-steps // validation_interval(steps, window, held_out))
        return steps * self.update + validations * self.validation

    def steps_within(self, seconds: float, window: float, held_out: float) -> int:
        """Steps whose expected duration just fits into `seconds`; at least one.

        Where one more step brings one more validation, slightly more might have fitted.
        """
        low, high = 1, max(int(seconds / self.update), 1)
        while low < high:
            middle = (low + high + 1) // 2
            if self.duration(middle, window, held_out) <= seconds:
                low = middle
            else:
                high = middle - 1
        return low


def measure(trainer: Updates, *, seconds: float, interrupted: Callable[[], bool]) -> Speed:
    """Run a trainer that will be thrown away for about this long, and a piece of a validation."""
    times: list[float] = []
    clock = trainer.clock
    began = start = clock()
    while not times or (len(times) <= SKIPPED or start - began < seconds) and not interrupted():
        trainer.update(len(times))
        now = clock()
        times.append(now - start)
        start = now
    return Speed(statistics.fmean(times[SKIPPED:] or times),
                 trainer.validation_seconds(seconds / 3, interrupted))
