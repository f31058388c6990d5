"""The reach of a loss: its gradient with respect to the hidden state some steps before.

It vanishes in a plain recurrent network and less in one with gates (Hochreiter 1991; Bengio, Simard and Frasconi 1994).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from charlm.nn.network import Network
from charlm.nn.state import State

WARM_UP = 100                           # tokens read before, so that no state is an empty one


def gradient_norms(network: Network, windows: torch.Tensor, steps: int) -> NDArray[np.float64]:
    """Return the norms (steps,) of the gradient of a loss with respect to the state 1, 2, … steps tokens before it.

    `windows` (B, T) has at least steps + 1 tokens a row. The loss is that of the last one; the norm is over the hidden
    states of all layers, h or h and c, and averaged over the rows.
    """
    split = windows.shape[1] - steps - 1
    network.eval()
    with torch.no_grad():
        state = network.start(len(windows))
        if split:
            _, state = network.step(windows[:, :split], state)
    # Copies, because all layers of an empty state are one tensor.
    layers = tuple(tuple(part.clone().requires_grad_() for part in layer) for layer in state.layers)
    states = [State(layers, state.memory, state.window_tokens)]
    for at in range(split, windows.shape[1] - 1):
        logits, state = network.step(windows[:, at:at + 1], states[-1])
        states.append(state)
    loss = F.cross_entropy(logits[:, 0], windows[:, -1], reduction="sum")
    parts = [[part for layer in state.layers for part in layer] for state in states[-2::-1]]
    gradients = iter(torch.autograd.grad(loss, [part for found in parts for part in found]))
    return np.array([torch.cat([next(gradients)[0] for _ in found], dim=1).norm(dim=1).mean().item()
                     for found in parts])
