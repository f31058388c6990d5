"""Muon for recurrent matrices: Nesterov momentum, orthogonalised gate by gate (Jordan 2024).

A recurrent matrix is a stack of gate blocks with no reason to share singular vectors, so each block is
orthogonalised separately; all blocks of one shape form one batch.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch

# The first two optimal polynomials of Amsel, Persson, Musco and Gower 2025 ("The Polar Express", algorithm 1).
# After 2 passes over tinyshakespeare they reach 1.470 nats per token; three of Jordan's steps reach 1.475 and
# cost half as much again.
POLYNOMIALS = ((8.28721201814563, -23.595886519098837, 17.300387312530933),
               (4.107059111542203, -2.9478499167379106, 0.5448431082926601))
_SAFETY = 1.02                          # the polynomials need a spectral norm just below one


class Orthogonaliser:
    """Moves all singular values of blocks of one shape towards one, by x → ax + b(xxᵀ)x + c(xxᵀ)²x."""

    def __init__(self, shape: tuple[int, int, int], like: torch.Tensor, dtype: torch.dtype):
        count, rows, columns = shape
        self._tall = rows > columns
        short, long = sorted((rows, columns))
        # Buffers are kept: allocating them at every step costs a quarter of the time.
        self.blocks = like.new_empty(count, rows, columns)
        self._x, self._next = (like.new_empty(count, short, long, dtype=dtype) for _ in range(2))
        self._gram, self._polynomial = (like.new_empty(count, short, short, dtype=dtype) for _ in range(2))

    def __call__(self) -> torch.Tensor:
        """Return `blocks` (N, rows, columns) orthogonalised, in the working precision, valid until the next call."""
        x, following = self._x, self._next
        norm = torch.linalg.vector_norm(self.blocks, dim=(-2, -1), keepdim=True)
        torch.div(self.blocks.mT if self._tall else self.blocks, norm * _SAFETY + 1e-7, out=x)
        for a, b, c in POLYNOMIALS:
            gram = torch.bmm(x, x.mT, out=self._gram)
            torch.baddbmm(gram, gram, gram, beta=b, alpha=c, out=self._polynomial)
            torch.baddbmm(x, self._polynomial, x, beta=a, out=following)
            x, following = following, x
        return x.mT if self._tall else x


class Muon(torch.optim.Optimizer):
    """Orthogonalised Nesterov momentum for matrices of `gates` stacked blocks each (Jordan 2024).

    `dtype` is the precision of the orthogonalisation; momentum and weights keep that of the parameters.
    """

    def __init__(self, parameters: Iterable[torch.Tensor], *, lr: float, gates: int, momentum: float = 0.95,
                 weight_decay: float = 0.0, dtype: torch.dtype = torch.float32):
        super().__init__(parameters, {"lr": lr, "gates": gates, "momentum": momentum, "weight_decay": weight_decay})
        self._dtype = dtype
        self._orthogonalisers: dict[tuple[int, int, int], Orthogonaliser] = {}

    @torch.no_grad()
    def step(self) -> None:                         # type: ignore[override]  # no closure
        """Apply the gradients; parameters without one are left alone."""
        for group in self.param_groups:
            by_shape = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape[parameter.shape].append(parameter)
            for members in by_shape.values():
                self._update(members, group)

    def _update(self, members: list[torch.Tensor], group: dict[str, Any]) -> None:
        """Update parameters of one shape."""
        gates, columns = group["gates"], members[0].shape[1]
        shape = (gates * len(members), len(members[0]) // gates, columns)
        if shape not in self._orthogonalisers:
            self._orthogonalisers[shape] = Orthogonaliser(shape, members[0], self._dtype)
        orthogonaliser = self._orthogonalisers[shape]
        for parameter, blocks in zip(members, orthogonaliser.blocks.split(gates), strict=True):
            self._write_momentum(parameter, parameter.grad, group["momentum"], blocks.view_as(parameter))
        # A tall block has fewer singular values than rows: scale its rows up to unit size.
        rate = group["lr"] * max(1.0, shape[1] / columns) ** 0.5
        for parameter, update in zip(members, orthogonaliser().split(gates), strict=True):
            # Weight decay is decoupled from the gradient (Loshchilov and Hutter 2019).
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
            parameter.unflatten(0, (gates, -1)).add_(update, alpha=-rate)

    def _write_momentum(self, parameter: torch.Tensor, gradient: Any, momentum: float, out: torch.Tensor) -> None:
        """Update the running mean of the gradient; write the Nesterov mixture to `out`."""
        state = self.state[parameter]
        if not state:
            state["mean"] = torch.zeros_like(parameter)
        mean = state["mean"].lerp_(gradient, 1 - momentum)
        torch.lerp(gradient, mean, momentum, out=out)
