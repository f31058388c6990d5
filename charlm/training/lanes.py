"""Windows for truncated BPTT: the corpus as a ring, read by evenly spaced lanes.

Lane b starts b/B of the way round and reads on for ever. After one epoch it stands where lane b+1
began, so a carried state stays true across epochs and window borders fall elsewhere each time round.
Where every lane stands follows from the step number alone.
"""

from __future__ import annotations

import numpy as np
import torch

from charlm.text.cache import TokenCache


class Lanes:
    """`batch_size` lanes over a token cache, in windows of `bptt` tokens."""

    def __init__(self, tokens: TokenCache, *, batch_size: int, bptt: int, share: slice = slice(None)):
        """Of the `batch_size` lanes those of a share are read here."""
        self._tokens = tokens
        self._bptt = bptt
        self._starts = (np.arange(batch_size, dtype=np.int64) * len(tokens) // batch_size)[share]

    def window(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs and targets (B, T) of a step, counted from 0; targets are inputs one later."""
        ids = torch.from_numpy(self._tokens.ring(self._starts + step * self._bptt, self._bptt + 1))
        return ids[:, :-1], ids[:, 1:]
