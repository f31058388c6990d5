"""Teacher forcing: the loss of whole texts of which every token is predicted from the true ones before it.

A text is with_bos_eos: its ids between its begin and its end (`special.with_bos_eos`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional as F

from charlm.nn.network import Network
from charlm.nn.state import State
from charlm.text.examples import padded

IGNORED = -100                          # a target that F.cross_entropy leaves out


def encoded(network: Network, sources: Sequence[np.ndarray],
            positions: tuple[np.ndarray, np.ndarray] | None = None) -> State:
    """The state of a decoder that is to write what belongs to these sources, or to positions in them."""
    device = network.head.bias.device

    def tensor(values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(values).to(device)

    lengths = np.array([len(ids) for ids in sources])
    return network.encode(tensor(padded(sources, 0)), tensor(lengths),
                          positions and (tensor(positions[0]), tensor(positions[1])))


def inputs_and_targets(rows: Sequence[np.ndarray], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """What is read and what is to be predicted of with_bos_eos rows, (B, T) each, padded."""
    read = padded([row[:-1] for row in rows], 0)
    written = padded([row[1:] for row in rows], IGNORED)
    return torch.from_numpy(read).to(device), torch.from_numpy(written).to(device)


def zero_loss(network: Network) -> torch.Tensor:
    """The loss of no rows at all, which has a gradient of zero."""
    return 0.0 * network.head.bias.sum()


def teacher_forced_loss(network: Network, state: State, rows: Sequence[np.ndarray], *,
                label_smoothing: float = 0.0, reduction: str = "mean") -> torch.Tensor:
    """Loss of every token of with_bos_eos rows but the first, read from a state with a row for each.

    The mean over all tokens, or their sum. Padding counts nowhere.
    """
    inputs, targets = inputs_and_targets(rows, network.head.bias.device)
    logits, _ = network.step(inputs, state)                             # (B, T, V)
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED,
                           label_smoothing=label_smoothing, reduction=reduction)
