"""The distance in a text that the gradient of a loss reaches back.

The gradient that an error sends to the state k steps before it shrinks or grows about geometrically in k: it vanishes
or explodes (Bengio, Simard and Frasconi 1994). A gate that stays open passes it on (Hochreiter and Schmidhuber 1997).
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from charlm.contract import IntArray
from charlm.errors import CorpusError
from charlm.nn.network import Network
from charlm.nn.state import State

ROWS = 16                               # places in a text
BEFORE = 100                            # tokens that are read before the steps, so that the state is a usual one


def spread_rows(ids: IntArray, steps: int) -> IntArray:
    """Return evenly spaced stretches (B, T) of a text (N,), each with at most `steps` + 1 tokens after those before.

    Raises CorpusError for a text of less than three tokens.
    """
    if len(ids) < 3:
        raise CorpusError("the text is too short for gradients; at least 3 tokens are needed")
    length = min(len(ids), BEFORE + steps + 1)
    starts = np.unique(np.linspace(0, len(ids) - length, ROWS).astype(int))
    return np.stack([ids[start:start + length] for start in starts])


def gradient_reach(network: Network, tokens: torch.Tensor, steps: int) -> np.ndarray:
    """Return the norm of a loss's gradient with respect to the state 1, 2, ..., `steps` steps before it, (steps,).

    Row b of `tokens`, (B, T) with T > `steps`, is a stretch of text, and the loss is that of its last token. The state
    is the hidden state of all layers; norms are means over the rows, in nats per unit of state. The tokens before the
    last `steps` + 1 are only read.
    """
    if tokens.shape[1] <= steps:
        raise ValueError(f"{steps} steps need more than {tokens.shape[1]} tokens")
    tokens = tokens[tokens[:, -1] < network.config.vocabulary_size]     # a label is read and never written
    first = tokens.shape[1] - 1 - steps
    with network.evaluating(), torch.enable_grad():
        state = _read(network, tokens[:, :first])
        states = []
        for time in range(first, first + steps):
            state = _differentiable(state)
            states.append([part for layer in state.layers for part in layer])
            logits, state = network.step(tokens[:, time:time + 1], state)
        loss = F.cross_entropy(logits[:, 0], tokens[:, -1], reduction="sum")    # rows do not affect each other
        flat = torch.autograd.grad(loss, [part for parts in states for part in parts])
    count = len(states[0])
    norms = [torch.cat(flat[at:at + count], dim=2).norm(dim=2).mean() for at in range(0, len(flat), count)]
    return np.array([float(norm) for norm in reversed(norms)])


@torch.no_grad()
def _read(network: Network, tokens: torch.Tensor) -> State:
    """Return the state after tokens (B, T), of which there may be none."""
    state = network.start(len(tokens))
    return network.step(tokens, state)[1].detach() if tokens.shape[1] else state


def _differentiable(state: State) -> State:
    """Return the state with layers that gradients can be taken of: those without a history become leaves."""
    layers = tuple(tuple(part if part.requires_grad else part.detach().clone().requires_grad_() for part in layer)
                   for layer in state.layers)
    return State(layers, state.memory, state.window_tokens)
