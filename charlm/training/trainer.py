"""One run advanced one update at a time: network, objective, optimizers, averaged weights.

Not here: how many updates, validations and savings there are (loop.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from charlm.config import ModelConfig, TrainingConfig
from charlm.errors import DivergedError
from charlm.nn.network import Network
from charlm.training.distributed import ProcessGroup
from charlm.training.ema import WeightAverage
from charlm.training.objectives.base import Objective, ValidationMetrics
from charlm.training.objectives.infill import InfillObjective
from charlm.training.objectives.lines import LinesObjective
from charlm.training.objectives.pairs import PairsObjective
from charlm.training.objectives.text import TextObjective
from charlm.training.optimizers import Optimizers
from charlm.training.options import AnyCorpus

MAX_FAILURES = 3                       # updates in a row without a finite loss and gradient
OBJECTIVES = {"stream": TextObjective, "lines": LinesObjective, "pairs": PairsObjective, "fill": InfillObjective}


@dataclass(frozen=True)
class Update:
    """What one update did."""

    loss: float
    gradient_norm: float                # before clipping
    learning_rate: float
    applied: bool                       # False: skipped, the loss or gradient was not finite


def step_seed(seed: int, step: int, rank: int) -> int:
    """What chance a step has: a number of its own, so that no generator's state need ever be saved."""
    return int(np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)[0] >> np.uint64(1))


class Trainer:
    """Network, objective and optimizers of one run.

    Building one seeds torch: the same corpus, configurations and machine give the same bits.
    """

    def __init__(self, corpus: AnyCorpus, model: ModelConfig, run: TrainingConfig, *,
                 device: str, task: str = "stream", world: ProcessGroup = ProcessGroup()):
        torch.manual_seed(run.seed)
        self.run, self.task, self.world = run, task, world
        self.network = Network(model, dropout=run.dropout).to(torch.device(device))
        self.network.train()
        self.objective: Objective = OBJECTIVES[task](corpus, run, self.network, world)
        self._optimizers = Optimizers(self.network, run)
        self._average = WeightAverage(self.network, run.averaging)
        self._parameters = list(self.network.parameters())
        self.failures = 0               # updates skipped since the last applied one

    def load_initial_weights(self, weights: dict[str, np.ndarray]) -> None:
        """These weights instead of random ones, before the first update."""
        self.network.load_weights(weights)
        self._average = WeightAverage(self.network, self.run.averaging)

    def update(self, step: int) -> Update:
        """One update; steps count from 0. A batch without a finite loss and gradient is skipped.

        Raises DivergedError when that happens three times in a row.
        """
        torch.manual_seed(step_seed(self.run.seed, step, self.world.rank))
        loss = self.objective.loss(step)
        self._optimizers.zero_grad()
        loss.backward()
        value = self.world.sum_gradients(self._parameters, loss)
        norm = self._clip()
        if not (math.isfinite(value) and math.isfinite(norm)):
            self._count_failure(step)
            return Update(value, norm, 0.0, False)
        self.failures = 0
        self.objective.commit()
        rate = self._optimizers.step(step)
        self._average.update(step)
        return Update(value, norm, rate, True)

    def _clip(self) -> float:
        """Clip the gradients as the run says; return their global norm before that."""
        limit = self.run.clip or math.inf
        norm = torch.nn.utils.clip_grad_norm_(self._parameters, limit).item()
        if self.run.clip_value:
            torch.nn.utils.clip_grad_value_(self._parameters, self.run.clip_value)
        return norm

    def _count_failure(self, step: int) -> None:
        self.failures += 1
        if self.failures == MAX_FAILURES:
            raise DivergedError(f"no finite loss in {MAX_FAILURES} updates up to step {step + 1}; "
                                "try a smaller --lr or --clip")

    def validate(self, interrupted: Callable[[], bool]) -> ValidationMetrics:
        """The held-out part, scored with the weights that would be kept."""
        with self._average.swapped_in():
            # Every process scores all of it, and the first one's figures count.
            return self.world.broadcast(self.objective.validate(interrupted))

    def export_weights(self) -> dict[str, torch.Tensor]:
        """A copy of the weights as a model has them: the averaged ones, where the run averages."""
        with self._average.swapped_in():
            return self.network.weights()

    def tensors(self) -> dict[str, torch.Tensor]:
        """All that an update depends on beside step and corpus, by name."""
        parts = {"weights": self.network.weights(), "average": self._average.tensors(),
                 "optimizer": self._optimizers.tensors(), "objective": self.objective.tensors()}
        return {f"{part}.{name}": value for part, values in parts.items() for name, value in values.items()}

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """The inverse of `tensors`. Raises KeyError, ValueError, RuntimeError for those of another run."""
        def part(name: str) -> dict[str, torch.Tensor]:
            return {key.removeprefix(f"{name}."): value for key, value in tensors.items()
                    if key.startswith(f"{name}.")}

        self.network.load_weights(part("weights"))
        self._average.restore(part("average"))
        self._optimizers.restore(part("optimizer"))
        self.objective.restore(part("objective"))

    def clock(self) -> float:
        """Seconds, the same in all processes."""
        return self.world.clock()

    def validation_seconds(self, limit: float, interrupted: Callable[[], bool]) -> float:
        """What a validation takes, estimated from as many pieces as fit into `limit` seconds."""
        read, began = 0, self.clock()

        def enough() -> bool:
            nonlocal read
            if read and (self.clock() - began > limit or interrupted()):
                return True
            read += 1
            return False

        self.objective.validate(enough)
        return (self.clock() - began) * max(self.objective.validation_batches / read, 1.0)
