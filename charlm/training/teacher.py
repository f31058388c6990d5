"""Teacher forcing: what a network is to write, fed to it token by token, whatever it would have written."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional as F

from charlm.nn.network import Network
from charlm.text.examples import padded

_IGNORED = -100                         # a target that F.cross_entropy leaves out


def forced_loss(network: Network, sources: Sequence[np.ndarray], read: Sequence[np.ndarray],
                written: Sequence[np.ndarray], **how) -> torch.Tensor:
    """Loss of the tokens `written`, one after each of `read`, given each row's source.

    `how` goes to F.cross_entropy; its default is the mean over all tokens. Padding counts nowhere.
    """
    device = network.head.bias.device

    def tensor(rows: Sequence[np.ndarray], filler: int) -> torch.Tensor:
        return torch.from_numpy(padded(rows, filler)).to(device)

    lengths = torch.tensor([len(ids) for ids in sources], device=device)
    state = network.encode(tensor(sources, 0), lengths)
    logits, _ = network.step(tensor(read, 0), state)                    # (B, T, V)
    return F.cross_entropy(logits.flatten(0, 1), tensor(written, _IGNORED).flatten(),
                           ignore_index=_IGNORED, **how)
