"""A run advanced one update at a time; the loop (loop.py) decides when to update, validate and save."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from charlm.config import ModelConfig, TrainingConfig
from charlm.errors import DivergedError
from charlm.nn.layers import layer_name
from charlm.nn.network import Network
from charlm.registry import OBJECTIVES, implementation
from charlm.tasks import DEFAULT
from charlm.text.corpora import Corpus
from charlm.training.distributed import SINGLE_PROCESS, ProcessGroup
from charlm.training.ema import WeightAverage
from charlm.training.objectives.base import Objective, ValidationMetrics
from charlm.training.optimizers import Optimizers, rate_factor
from charlm.training.shards import Shards

MAX_FAILURES = 3                        # consecutive updates without a finite loss and gradient


@dataclass(frozen=True)
class Update:
    """The outcome of one update."""

    loss: float                         # nats per token
    gradient_norm: float                # before clipping
    learning_rate: float
    applied: bool                       # False if skipped: the loss or gradient was not finite
    layer_norms: dict[str, float] = field(default_factory=dict)     # of the gradient before clipping, by layer


def step_seed(seed: int, step: int, share: int) -> int:
    """Return the seed of one step for one share of its batch. Reseeding every step leaves no RNG state to store."""
    return int(np.random.SeedSequence([seed, step, share]).generate_state(1, np.uint64)[0] >> np.uint64(1))


class Trainer:
    """The network, objective and optimizers of one run; the same corpus, options and machine give the same bits."""

    def __init__(self, corpus: Corpus, model: ModelConfig, run: TrainingConfig, *,
                 device: str, task: str = DEFAULT, process_group: ProcessGroup = SINGLE_PROCESS):
        torch.manual_seed(run.seed)
        self.run, self.task, self._group = run, task, process_group
        self.network = Network(model, dropout=run.dropout).to(torch.device(device))
        self.network.train()
        make = implementation(OBJECTIVES, task)
        self._shards = Shards(self.network, lambda network, shard: make(corpus, run, network, shard), process_group,
                              batch_size=run.batch_size, threads=torch.get_num_threads(),
                              accumulate=run.accumulate)
        self.objective: Objective = self._shards.objectives[0]
        self._optimizers = Optimizers(self.network, run)
        self._average = WeightAverage(self.network, run.averaging)
        self._parameters = list(self.network.parameters())
        self._layer_of = [layer_name(name) for name, _ in self.network.named_parameters()]
        self.layer_names = list(dict.fromkeys(self._layer_of))
        # Without the cache of weights in bfloat16, which all threads would share.
        self._autocast = functools.partial(torch.autocast, torch.device(device).type, torch.bfloat16,
                                           enabled=run.precision == "bfloat16", cache_enabled=False)
        self.failures = 0               # updates skipped since the last applied one

    def load_initial_weights(self, weights: dict[str, np.ndarray]) -> None:
        """Start from these weights instead of random ones; call it before the first update."""
        self.network.load_weights(weights)
        self._average = WeightAverage(self.network, self.run.averaging)

    def rewind(self, weights: dict[str, torch.Tensor]) -> None:
        """Go on from weights that `export_weights` returned. The optimizer and the lanes stay as they are."""
        self.network.load_weights(weights)
        self._average = WeightAverage(self.network, self.run.averaging)

    def update(self, step: int, commit: Callable[[], None] = lambda: None) -> Update:
        """Run one update, counted from 0, or skip it if not finite. Raises DivergedError at the third skip in a row.

        `commit` is called once all that takes long is done, before anything changes that `tensors` returns. If it
        raises, nothing has changed.
        """
        seed = functools.partial(step_seed, self.run.seed, step)
        loss, gradients = self._shards.gradients(step, seed, self._autocast)
        for parameter, gradient in zip(self._parameters, gradients, strict=True):
            parameter.grad = gradient
        value = self._group.sum_gradients(self._parameters, loss)
        norm, layer_norms = self._clip()
        finite = math.isfinite(value) and math.isfinite(norm)
        if finite:
            self._optimizers.prepare()
        commit()
        if not finite:
            self._count_failure(step)
            return Update(value, norm, 0.0, False, layer_norms)
        self.failures = 0
        self._shards.commit()
        rate = self._optimizers.step(rate_factor(step, self.run))
        self._average.update(step)
        return Update(value, norm, rate, True, layer_norms)

    def _clip(self) -> tuple[float, dict[str, float]]:
        """Clip the gradients as configured; return the global norm and each layer's norm before clipping."""
        names, gradients = zip(*((name, parameter.grad) for name, parameter in zip(
            self._layer_of, self._parameters, strict=True) if parameter.grad is not None), strict=True)
        each = torch.stack(torch._foreach_norm(gradients))
        total = torch.linalg.vector_norm(each)
        torch.nn.utils.clip_grads_with_norm_(self._parameters, self.run.clip or math.inf, total)
        if self.run.clip_value:
            torch.nn.utils.clip_grad_value_(self._parameters, self.run.clip_value)
        *norms, norm = torch.cat([each, total[None]]).tolist()
        squares = dict.fromkeys(self.layer_names, 0.0)
        for name, value in zip(names, norms, strict=True):
            squares[name] += value * value
        return norm, {name: math.sqrt(square) for name, square in squares.items()}

    def _count_failure(self, step: int) -> None:
        self.failures += 1
        if self.failures == MAX_FAILURES:
            raise DivergedError(f"no finite loss in {MAX_FAILURES} updates up to step {step + 1}; "
                                "try a smaller --lr or --clip")

    def validate(self, interrupted: Callable[[], bool]) -> ValidationMetrics:
        """Score the held-out data with the weights that `export_weights` returns; the loss is NaN if interrupted."""
        with self._average.swapped_in():
            # Every process scores everything; the main process's figures count.
            return self._group.broadcast(self.objective.validate(interrupted))

    def recover(self) -> None:
        """Give the network its own weights back after a validation that was given up."""
        self._average.swap_out()

    def export_weights(self) -> dict[str, torch.Tensor]:
        """Return a copy of the weights for a model file: the averaged ones if the run averages."""
        return {**self.network.weights(), **self._average.weights()}

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return everything that an update depends on, apart from step and corpus."""
        parts = {"weights": self.network.weights(), "average": self._average.tensors(),
                 "optimizer": self._optimizers.tensors(), "objective": self._shards.tensors()}
        return {f"{part}.{name}": value for part, values in parts.items() for name, value in values.items()}

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """Restore what `tensors` returned. Raises KeyError, ValueError or RuntimeError for tensors of another run."""
        def part(name: str) -> dict[str, torch.Tensor]:
            return {key.removeprefix(f"{name}."): value for key, value in tensors.items() if key.startswith(f"{name}.")}

        self.network.load_weights(part("weights"))
        self._average.restore(part("average"))
        self._optimizers.restore(part("optimizer"))
        self._shards.restore(part("objective"))

    def change_length(self, step: int, length: int | None) -> None:
        """Let the run, at this step, end after another number of steps, the main process's; None changes nothing."""
        if (length := self._group.broadcast(length)) is not None:
            replan = ",".join(filter(None, (self.run.replan, f"{step}:{length}")))
            self.run = replace(self.run, replan=replan)

    def clock(self) -> float:
        """Return the main process's clock in seconds, the same in all processes."""
        return self._group.clock()

    def validation_seconds(self, limit: float, interrupted: Callable[[], bool]) -> float:
        """Return the estimated seconds of a validation, from as many of its batches as fit into `limit` seconds."""
        scored, began = 0, self.clock()

        def enough() -> bool:
            nonlocal scored
            if scored and (self.clock() - began > limit or interrupted()):
                return True
            scored += 1
            return False

        self.objective.validate(enough)
        return (self.clock() - began) * max(self.objective.validation_batches / scored, 1.0)
