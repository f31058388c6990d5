"""Teacher forcing: what a network is to write, fed to it token by token, whatever it would have written."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional as F

from charlm.nn.network import Network
from charlm.text.examples import padded

_IGNORED = -100                         # a target that F.cross_entropy leaves out


def forced_loss(network: Network, sources: Sequence[np.ndarray], targets: Sequence[np.ndarray], *,
                boundary: int, places: tuple[np.ndarray, np.ndarray] | None = None,
                label_smoothing: float = 0.0, reduction: str = "mean") -> torch.Tensor:
    """Loss of every target's tokens and its end, given its source, or the place in one.

    The mean over all tokens, or their sum. Padding counts nowhere.
    """
    device = network.head.bias.device

    def tensor(values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(values).to(device)

    lengths = np.array([len(ids) for ids in sources])
    state = network.encode(tensor(padded(sources, 0)), tensor(lengths),
                           places and (tensor(places[0]), tensor(places[1])))
    read = padded([np.concatenate([[boundary], ids]) for ids in targets], boundary)
    written = padded([np.concatenate([ids, [boundary]]) for ids in targets], _IGNORED)
    logits, _ = network.step(tensor(read), state)                       # (B, T, V)
    return F.cross_entropy(logits.flatten(0, 1), tensor(written).flatten(),
                           ignore_index=_IGNORED, label_smoothing=label_smoothing, reduction=reduction)
