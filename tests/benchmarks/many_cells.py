"""Two LSTM layers of M networks at once, forward and backward by hand, for `many_networks.py`.

Tensors are laid out (T, B, M, features): every time step is contiguous for the fused cell, and every product reads
and writes strided views of shape (M, rows, columns) without a copy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch

Cell = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor, torch.Tensor]]
CellBackward = Callable[..., tuple[torch.Tensor, torch.Tensor]]


def plain_cell(given: torch.Tensor, recurrent: torch.Tensor, c: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Return h, c and the activated gates (N, 4H) of an LSTM cell, from both halves of its gates and the old c."""
    i, f, g, o = (given + recurrent).chunk(4, 1)
    i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
    c = f * c + i * g
    return o * c.tanh(), c, torch.cat([i, f, g, o], 1)


def plain_backward(dh: torch.Tensor, dc: torch.Tensor, old: torch.Tensor, new: torch.Tensor,
                   activated: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the gradients of the gates (N, 4H) and of the old c."""
    i, f, g, o = activated.chunk(4, 1)
    squashed = new.tanh()
    dc = dc + dh * o * (1 - squashed * squashed)
    return torch.cat([dc * g * i * (1 - i), dc * old * f * (1 - f), dc * i * (1 - g * g),
                      dh * squashed * o * (1 - o)], 1), dc * f


def fused_cell(given: torch.Tensor, recurrent: torch.Tensor, c: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Return what `plain_cell` returns, by one kernel."""
    return torch.ops.aten._thnn_fused_lstm_cell(given, recurrent, c)


def fused_backward(dh: torch.Tensor, dc: torch.Tensor, old: torch.Tensor, new: torch.Tensor,
                   activated: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what `plain_backward` returns, by one kernel."""
    gates, before, _ = torch.ops.aten._thnn_fused_lstm_cell_backward_impl(dh, dc, old, new, activated, False)
    return gates, before


def find_cell(device: torch.device) -> tuple[Cell, CellBackward, str]:
    """Return the fused cell if it works on this device and agrees with the plain one, which is otherwise returned."""
    plain = plain_cell, plain_backward, "plain cell"
    if device.type != "cuda":
        return plain
    try:
        a, b = torch.randn(2, 6, 32, device=device).unbind()
        c, dh, dc = torch.randn(3, 6, 8, device=device).unbind()
        expected, got = plain_cell(a, b, c), fused_cell(a, b, c)
        pairs = [*zip(expected[:2], got[:2], strict=True),
                 *zip(plain_backward(dh, dc, c, expected[1], expected[2]),
                      fused_backward(dh, dc, c, got[1], got[2]), strict=True)]
        worst = max((one - other).abs().max().item() for one, other in pairs)
        return (fused_cell, fused_backward, "fused cell") if worst < 1e-4 else plain
    except (RuntimeError, AttributeError, TypeError) as error:
        print(f"no fused cell: {error}", flush=True)
        return plain


class Precision:
    """How products are computed: in float32 (on a GPU with TF32 allowed or not), or from bfloat16 into float32."""

    def __init__(self, name: str, device: torch.device):
        self.name = name
        self.low = torch.bfloat16 if name == "bf16" else torch.float32
        self.direct = name == "bf16" and self._has_mixed_product(device)

    def _has_mixed_product(self, device: torch.device) -> bool:
        """Return whether one kernel multiplies bfloat16 matrices into a strided float32 result."""
        try:
            a, b = torch.randn(3, 4, 8, device=device).bfloat16(), torch.randn(3, 8, 16, device=device).bfloat16()
            out = torch.zeros(4, 3, 16, device=device)
            torch.ops.aten.bmm.dtype_out(a, b, torch.float32, out=out.transpose(0, 1))
            return bool(((a.float() @ b.float()).transpose(0, 1) - out).abs().max().item() < 1e-2)
        except (RuntimeError, AttributeError, TypeError, NotImplementedError) as error:
            print(f"no bfloat16 product into float32: {str(error)[:100]}", flush=True)
            return False

    def multiply(self, a: torch.Tensor, b: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        """Write the batched product of a (M, R, K) and b (M, K, C) into out (M, R, C), float32."""
        if self.low == torch.float32:
            return torch.bmm(a, b, out=out)
        if self.direct:
            return torch.ops.aten.bmm.dtype_out(a, b, torch.float32, out=out)
        return out.copy_(torch.bmm(a, b))

    def add_product(self, out: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> None:
        """Add the batched product of a and b to out (M, R, C), float32."""
        if self.low == torch.float32:
            out.baddbmm_(a, b)
        else:
            out.add_(self.multiply(a, b, torch.empty_like(out)))


class Trace(NamedTuple):
    """What the backward pass of a layer needs."""

    x: torch.Tensor                     # (T, B, M, I)
    hidden: torch.Tensor                # (T + 1, B, M, H), from the state before the window on
    cells: list[torch.Tensor]           # of T + 1, each (B * M, H)
    activated: list[torch.Tensor]       # of T, each (B * M, 4H)


def rows(tensor: torch.Tensor) -> torch.Tensor:
    """Return a view (M, T * B, F) of a contiguous tensor (T, B, M, F)."""
    return tensor.flatten(0, 1).transpose(0, 1)


class Layer:
    """One layer's passes with given products and cell."""

    def __init__(self, precision: Precision, cell: Cell, backward: CellBackward):
        self._precision, self._cell, self._backward = precision, cell, backward

    def run(self, x: torch.Tensor, gates: torch.Tensor, recurrent: torch.Tensor,
            state: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor, Trace]:
        """Read the input's share of the gates (T, B, M, 4H); return the last h and c (B, M, H), and the trace."""
        batch, models, hidden = state[0].shape
        low, weights = self._precision.low, recurrent.mT                        # (M, H, 4H)
        h, c = state[0].to(low, copy=True), state[1].reshape(-1, hidden).clone()
        trace, outputs = Trace(x, h, [c], []), [h]
        product = gates.new_empty(batch, models, 4 * hidden)
        for given in gates:
            self._precision.multiply(h.transpose(0, 1), weights, product.transpose(0, 1))
            last, c, activated = self._cell(given.view(-1, 4 * hidden), product.view(-1, 4 * hidden), c)
            h = last.view(batch, models, hidden).to(low)
            outputs.append(h)
            trace.cells.append(c)
            trace.activated.append(activated)
        return last.view_as(state[0]), c.view_as(state[1]), trace._replace(hidden=torch.stack(outputs))

    def run_back(self, gradient: torch.Tensor, trace: Trace, recurrent: torch.Tensor) -> torch.Tensor:
        """Return the gradient of the gates (T, B, M, 4H), given that of the outputs (T, B, M, H), which it changes."""
        steps, batch, models, hidden = gradient.shape
        found: list[torch.Tensor] = []
        dc = torch.zeros_like(trace.cells[0])
        for t in reversed(range(steps)):
            if found:
                self._precision.add_product(gradient[t].transpose(0, 1), found[-1].transpose(0, 1), recurrent)
            gates, dc = self._backward(gradient[t].view(-1, hidden), dc, trace.cells[t], trace.cells[t + 1],
                                       trace.activated[t])
            found.append(gates.view(batch, models, 4 * hidden).to(self._precision.low))
        return torch.stack(found[::-1])
