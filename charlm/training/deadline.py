"""Keeping a run with --minutes within its time while the speed of the machine changes.

The run gets another length, and the learning rate falls to zero at the new end (optimizers.rate_factor). Stopping at
the deadline instead would leave a model in the middle of its decay, which is where it gains most.
"""

from __future__ import annotations

from dataclasses import dataclass

TOLERANCE = 0.02                        # of the whole time: what a run may end too early or too late
UNCERTAINTY = 0.1                       # of the time left: a passing change of speed is no reason for another length
CHECKS = 200                            # in a run, at fixed steps, so that all processes of a run check together
MIN_UPDATES = 20                        # timed before the first change


@dataclass(frozen=True)
class Deadline:
    """The time at which a run ends, on the clock of `Trainer.clock`, and the seconds that it has in all."""

    ends_at: float
    seconds: float

    def is_checked(self, step: int, length: int) -> bool:
        """Return whether the length is reconsidered after this many of its steps."""
        return step % max(length // CHECKS, 1) == 0

    def new_length(self, now: float, *, step: int, length: int, seconds: float) -> int | None:
        """Return another number of steps if the run would miss the deadline, else None.

        `seconds` are those of a step, with its share of the validations.
        """
        left = self.ends_at - now
        if abs((length - step) * seconds - left) <= TOLERANCE * self.seconds + UNCERTAINTY * abs(left):
            return None
        # At least one more step, at which the rate is as good as zero.
        return step + max(int(left / seconds), 1)
