"""A running mean of the weights, which is what is validated and kept (Polyak and Juditsky 1992)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from charlm.nn.network import Network

WARMUP = 10                              # updates after which the mean begins to be as slow as wished


class WeightAverage:
    """The exponential mean of a network's parameters; none at all with a decay of 0."""

    def __init__(self, network: Network, decay: float):
        self._parameters = dict(network.named_parameters())
        self._decay = decay
        self._mean = {name: value.detach().clone() for name, value in self._parameters.items()} if decay else {}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after the update of a step counted from 0.

        At first the mean is of few weights, so it moves faster: by 1 / (step + WARMUP) at least.
        """
        weight = max(1 - self._decay, 1 / (step + WARMUP))
        for name, mean in self._mean.items():
            mean.lerp_(self._parameters[name], weight)

    @contextmanager
    def swapped_in(self) -> Iterator[None]:
        """While active the network has the mean weights in the place of its own."""
        own = {name: self._parameters[name].data for name in self._mean}
        for name, mean in self._mean.items():
            self._parameters[name].data = mean
        try:
            yield
        finally:
            for name, data in own.items():
                self._parameters[name].data = data

    def tensors(self) -> dict[str, torch.Tensor]:
        return self._mean

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """The inverse of `tensors`. Raises ValueError for those of another network or decay."""
        if {name: mean.shape for name, mean in self._mean.items()} != {
                name: value.shape for name, value in tensors.items()}:
            raise ValueError("the averaged weights are of another run")
        for name, mean in self._mean.items():
            mean.copy_(tensors[name])
