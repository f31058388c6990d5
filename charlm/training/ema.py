"""A running mean of the weights, which is what is validated and stored (Polyak and Juditsky 1992)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from charlm.nn.network import Network

WARMUP = 10                             # the first update moves the mean by 1 / WARMUP


class WeightAverage:
    """The exponential moving average of a network's parameters; with a decay of 0 it holds nothing."""

    def __init__(self, network: Network, decay: float):
        self._parameters = dict(network.named_parameters())
        self._decay = decay
        self._current: dict[str, torch.Tensor] = {}     # the network's own weights while it has the mean ones
        self._mean = {name: value.detach().clone() for name, value in self._parameters.items()} if decay else {}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Include the weights after the update of a step, counted from 0."""
        # Early means cover few updates, so they move faster.
        weight = max(1 - self._decay, 1 / (step + WARMUP))
        for name, mean in self._mean.items():
            mean.lerp_(self._parameters[name], weight)

    @contextmanager
    def swapped_in(self) -> Iterator[None]:
        """Give the network the mean weights within the context, and its current ones back afterwards."""
        self._current = {name: self._parameters[name].data for name in self._mean}
        for name, mean in self._mean.items():
            self._parameters[name].data = mean
        try:
            yield
        finally:
            self.swap_out()

    def swap_out(self) -> None:
        """Give the network its current weights back, if `swapped_in` is active; in another thread, for example."""
        for name, data in self._current.items():
            self._parameters[name].data = data

    def weights(self) -> dict[str, torch.Tensor]:
        """Return a copy of the mean of every parameter on the CPU, by name; empty without a decay."""
        return {name: mean.detach().cpu().clone() for name, mean in self._mean.items()}

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return the mean of every parameter by name, by reference."""
        return self._mean

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """Copy the means that `tensors` returned. Raises ValueError for another network or no decay."""
        if {name: mean.shape for name, mean in self._mean.items()} != {name: t.shape for name, t in tensors.items()}:
            raise ValueError("the averaged weights are of another run")
        for name, mean in self._mean.items():
            mean.copy_(tensors[name])
