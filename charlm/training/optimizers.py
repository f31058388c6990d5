"""The optimizer and the learning rate of every parameter."""

from __future__ import annotations

from itertools import pairwise

import torch

from charlm.config import TrainingConfig
from charlm.nn.network import Network
from charlm.training.environment import DTYPES
from charlm.training.muon import Muon

MUON_OVER_ADAMW = 10 / 3                # ratio of the learning rates: 0.02 for Muon, 0.006 for AdamW
BETAS = (0.9, 0.99)
_STATE_NAMES: dict[type, set[str]] = {torch.optim.AdamW: {"exp_avg", "exp_avg_sq", "step"}, Muon: {"mean"}}


def rate_factor(step: int, config: TrainingConfig) -> float:
    """Return the learning rate's factor at a step counted from 0: linear warm-up, times linear decay to 0 at the end.

    Where the length of the run changed, the decay continues from the value that it had, towards the new end.

    >>> config = TrainingConfig(steps=100, warmup=0, replan="50:60")
    >>> [rate_factor(step, config) for step in (0, 50, 55, 60)]
    [1.0, 0.5, 0.25, 0.0]
    """
    warmup = min(config.warmup, max(config.steps // 10, 1))
    rising = min(1.0, (step + 1) / warmup) if warmup else 1.0
    decay = 1.0
    for (start, length), (end, _) in pairwise([*config.lengths, (step, 0)]):
        decay *= max(1 - max(min(end, step) - start, 0) / (length - start), 0.0)    # measuring may run past the end
    return rising * decay


class Optimizers:
    """Muon for the matrices of the recurrent layers, fused AdamW for all else; or AdamW for everything."""

    def __init__(self, network: Network, config: TrainingConfig):
        layers = [*network.decoder, *(network.encoder.layers if network.config.has_source else ())]
        matrices = [p for layer in layers for p in layer.parameters() if p.dim() == 2 and config.optimizer == "muon"]
        self._names: dict[torch.Tensor, str] = {parameter: name for name, parameter in network.named_parameters()}
        by_muon = set(map(id, matrices))
        rest = [p for p in network.parameters() if id(p) not in by_muon]
        rate, decay = config.learning_rate, config.weight_decay
        self._all: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(rest, lr=rate, betas=BETAS, weight_decay=decay, fused=True)]
        if matrices:
            self._all.append(Muon(matrices, lr=rate * MUON_OVER_ADAMW, gates=network.config.gates, weight_decay=decay,
                                  dtype=DTYPES[config.precision]))
        self._rates = [optimizer.param_groups[0]["lr"] for optimizer in self._all]

    def prepare(self) -> None:
        """Do the long part of the next step, which changes neither the weights nor the optimizers' state."""
        for optimizer in self._all:
            if isinstance(optimizer, Muon):
                optimizer.prepare()

    def step(self, factor: float) -> float:
        """Apply the gradients at this share of the learning rates; return AdamW's rate."""
        for optimizer, rate in zip(self._all, self._rates, strict=True):
            optimizer.param_groups[0]["lr"] = rate * factor
            optimizer.step()
        return self._rates[0] * factor

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return the state of the optimizers as `<parameter>.<state name>`, by reference."""
        return {f"{self._names[parameter]}.{name}": value for optimizer in self._all
                for parameter, values in optimizer.state.items() for name, value in values.items()}

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """Restore what `tensors` returned, before the first step. Raises ValueError for another run's state."""
        states: dict[str, dict[str, torch.Tensor]] = {}
        for key, value in tensors.items():
            parameter_name, _, name = key.rpartition(".")
            states.setdefault(parameter_name, {})[name] = value
        if states and set(states) != set(self._names.values()):
            raise ValueError("some parameters have optimizer state, others have none")
        for optimizer in self._all:
            for parameter in optimizer.param_groups[0]["params"]:
                if state := states.get(self._names[parameter]):
                    shapes = {name: () if name == "step" else parameter.shape for name in _STATE_NAMES[type(optimizer)]}
                    if {name: value.shape for name, value in state.items()} != shapes:
                        raise ValueError(f"{self._names[parameter]} has the state of another optimizer")
                    optimizer.state[parameter] = {
                        name: value.to(parameter.device).clone() for name, value in state.items()}
