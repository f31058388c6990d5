"""The interface between a task (text.py, lines.py, pairs.py, infill.py) and the trainer."""

from __future__ import annotations

import abc
import copy
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch

from charlm.config import TrainingConfig
from charlm.nn.network import Network
from charlm.nn.state import State
from charlm.training.distributed import Shard
from charlm.training.teacher_forcing import teacher_forced_loss, zero_loss


@dataclass(frozen=True)
class ValidationMetrics:
    """The quality of a network on held-out data."""

    loss: float                         # nats per token
    bits_per_character: float
    error_rate: float | None = None     # share of targets not written exactly, where the task has any

    @property
    def finite(self) -> bool:
        """Return True if the loss is a finite number."""
        return math.isfinite(self.loss)

    def is_better_than(self, other: ValidationMetrics | None) -> bool:
        """Return True if there are fewer errors than in `other`, or equally many and a lower loss."""
        if other is None or not self.finite:
            return self.finite
        return (self.error_rate or 0, self.loss) < (other.error_rate or 0, other.loss)


class Objective(abc.ABC):
    """One task on one corpus with one network, over the steps of a run; here without state between updates."""

    tokens_per_update: float            # predicted tokens, on average
    characters_per_update: float        # characters of the training text, on average
    updates_per_epoch: float
    validation_tokens: float            # cost of one validation, in predicted tokens
    validation_batches: int             # calls of `interrupted` in one validation
    stateful = False                    # True if an update starts from the state in which the last one ended

    def __init__(self, network: Network, run: TrainingConfig, shard: Shard):
        self._network, self._run, self.shard = network, run, shard
        self.state: State | None = None         # carried from one update to the next; None before the first applied one

    def on(self, shard: Shard) -> Objective:
        """Return a copy of this objective for another shard of every batch; call it before the first update."""
        other = copy.copy(self)
        other.shard = shard
        return other

    @abc.abstractmethod
    def loss(self, step: int) -> torch.Tensor:
        """Return the scalar loss of a step, counted from 0: this share's part of the mean in nats per token."""

    def commit(self) -> None:           # noqa: B027
        """Keep the state in which the latest loss ended: its gradient was finite and is applied."""

    @abc.abstractmethod
    def validate(self, interrupted: Callable[[], bool]) -> ValidationMetrics:
        """Score all held-out data without touching the training state; the loss is NaN if interrupted."""

    def _share_of_mean(self, rows: list[np.ndarray], start: Callable[[], State], *, tokens: int) -> torch.Tensor:
        """Return a shard's summed loss over the tokens of the whole batch; `start` returns the state before them."""
        if not rows:
            return zero_loss(self._network)
        return teacher_forced_loss(self._network, start(), rows, label_smoothing=self._run.label_smoothing,
                                   reduction="sum") / tokens


@torch.inference_mode()
def held_out_metrics(network: Network, batches: Iterable[list], nats: Callable[[list], float], *, tokens: float,
                     characters: int, interrupted: Callable[[], bool]) -> ValidationMetrics:
    """Return the metrics of batches that have `tokens` and `characters` in all; `nats` scores one batch."""
    total = 0.0
    with network.evaluating():
        for batch in batches:
            if interrupted():
                return ValidationMetrics(math.nan, math.nan)
            total += nats(batch)
    return ValidationMetrics(total / tokens, total / math.log(2) / characters)
