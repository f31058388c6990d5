"""Which optimizer moves which parameter, and how fast at which step."""

from __future__ import annotations

import torch

from charlm.config import TrainingConfig
from charlm.nn.network import Network
from charlm.training.muon import Muon

MUON_OVER_ADAMW = 10 / 3                # Muon's rate over AdamW's: 0.02 beside 0.006
BETAS = (0.9, 0.99)
_CARRIED = {torch.optim.AdamW: {"exp_avg", "exp_avg_sq", "step"}, Muon: {"mean"}}


def rate_factor(step: int, config: TrainingConfig) -> float:
    """The learning rate's factor at a step counted from 0: warm-up, then down to 0 at `steps`.

    >>> rate_factor(100, TrainingConfig(steps=100))
    0.0
    """
    warmup = min(config.warmup, max(config.steps // 10, 1))
    rising = min(1.0, (step + 1) / warmup) if warmup else 1.0
    return rising * max(1 - step / config.steps, 0.0)   # a measurement may run past the end


class Optimizers:
    """Muon on the recurrent layers' matrices, fused AdamW on all else; or AdamW on everything."""

    def __init__(self, network: Network, config: TrainingConfig):
        self._config = config
        layers = [*network.decoder, *(network.encoder.layers if network.config.has_source else ())]
        matrices = [p for layer in layers for p in layer.parameters() if p.dim() == 2]
        if config.optimizer == "adamw":
            matrices = []
        self._names = {parameter: name for name, parameter in network.named_parameters()}
        chosen = set(map(id, matrices))
        rest = [p for p in network.parameters() if id(p) not in chosen]
        rate, decay = config.learning_rate, config.weight_decay
        self._all = [torch.optim.AdamW(rest, lr=rate, betas=BETAS, weight_decay=decay, fused=True)]
        if matrices:
            self._all.append(Muon(matrices, lr=rate * MUON_OVER_ADAMW,
                                  gates=network.config.gates, weight_decay=decay))
        self._rates = [optimizer.param_groups[0]["lr"] for optimizer in self._all]

    def step(self, step: int) -> float:
        """Apply the gradients at the rate of this step; return AdamW's rate."""
        factor = rate_factor(step, self._config)
        for optimizer, rate in zip(self._all, self._rates):
            optimizer.param_groups[0]["lr"] = rate * factor
            optimizer.step()
        return self._rates[0] * factor

    def tensors(self) -> dict[str, torch.Tensor]:
        """All that the optimizers carry from step to step: `<parameter>.<what>`, by reference."""
        return {f"{self._names[parameter]}.{what}": value for optimizer in self._all
                for parameter, values in optimizer.state.items() for what, value in values.items()}

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """The inverse of `tensors`, into optimizers that have not yet made a step.

        Raises ValueError for those of other optimizers or parameters.
        """
        owned: dict[str, dict[str, torch.Tensor]] = {}
        for name, value in tensors.items():
            parameter, _, what = name.rpartition(".")
            owned.setdefault(parameter, {})[what] = value
        if owned and set(owned) != set(self._names.values()):
            raise ValueError("some parameters were moved, others never")
        for optimizer in self._all:
            for parameter in optimizer.param_groups[0]["params"]:
                if values := owned.get(self._names[parameter]):
                    if set(values) != _CARRIED[type(optimizer)] or any(
                            value.shape != (() if what == "step" else parameter.shape)
                            for what, value in values.items()):
                        raise ValueError(f"{self._names[parameter]} is moved by another optimizer")
                    optimizer.state[parameter] = {
                        what: value.to(parameter.device).clone() for what, value in values.items()}

    def zero_grad(self) -> None:
        for optimizer in self._all:
            optimizer.zero_grad(set_to_none=True)
