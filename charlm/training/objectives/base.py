"""What a task asks of a network: a loss to lower at each step, and how good it is on held-out data.

The trainer and its loop know only this; stream.py, lines.py, pairs.py and fill.py are the tasks.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch


@dataclass(frozen=True)
class ValidationMetrics:
    """How good a network is on held-out data."""

    loss: float                         # nats per token
    bits_per_character: float
    error_rate: float | None = None     # share of targets not written exactly, where the task has any

    @property
    def finite(self) -> bool:
        return math.isfinite(self.loss)

    def is_better_than(self, other: ValidationMetrics | None) -> bool:
        """Fewer errors, or as many and a lower loss."""
        if other is None or not self.finite:
            return self.finite
        return (self.error_rate or 0, self.loss) < (other.error_rate or 0, other.loss)


class Objective(Protocol):
    """One task on one corpus with one network, over the steps of a run."""

    tokens_per_update: float            # that are predicted, on average
    characters_per_update: float        # of the training text, on average
    updates_per_epoch: float
    validation_tokens: float            # what one validation costs, in tokens predicted
    validation_batches: int              # calls of `interrupted` in one validation
    stateful: bool                       # whether an update goes on from where the one before it ended

    def loss(self, step: int) -> torch.Tensor:
        """The loss to lower at a step counted from 0, as a scalar: this process's part of its mean."""

    def commit(self) -> None:
        """The latest loss was finite and its gradient is applied: go on from there."""

    def tensors(self) -> dict[str, torch.Tensor]:
        """What is carried from one update to the next, beside the weights."""

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """The inverse of `tensors`."""

    def validate(self, interrupted: Callable[[], bool]) -> ValidationMetrics:
        """The whole held-out part, training state untouched; a loss of NaN when interrupted."""


class StatelessObjective:
    """What objectives share whose batches have nothing to do with each other: nothing is carried on."""

    stateful = False

    def commit(self) -> None:
        """Nothing to go on from."""

    def tensors(self) -> dict[str, torch.Tensor]:
        return {}

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """Nothing was carried."""
