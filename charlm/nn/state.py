"""What a network carries from one window to the next."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class State:
    """The recurrent state of every layer: a tuple of (1, B, H) tensors each (h, or h and c)."""

    layers: tuple[tuple[torch.Tensor, ...], ...]

    def detach(self) -> State:
        """The same values, cut off from what made them: the truncation of truncated BPTT."""
        return State(tuple(tuple(part.detach() for part in layer) for layer in self.layers))

    def select(self, rows: torch.Tensor) -> State:
        """The state of these batch rows, in this order; rows may repeat."""
        return State(tuple(tuple(part[:, rows] for part in layer) for layer in self.layers))

    @staticmethod
    def join(states: list[State]) -> State:
        """Several states as one batch, rows in order."""
        layers = zip(*(state.layers for state in states))
        return State(tuple(tuple(torch.cat(parts, dim=1) for parts in zip(*layer)) for layer in layers))
