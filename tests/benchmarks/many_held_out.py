"""The held-out loss of many networks at once, for `many_networks.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from many_parts import Replay

if TYPE_CHECKING:
    from many_networks import ManyNetworks

LANE_WARMUP, MIN_LANE, MAX_LANES, EVALUATION_WINDOW = 1024, 2048, 256, 64
MAX_LOGITS = 500_000_000                # of one window


class HeldOut:
    """The held-out texts of all models, each read by as many lanes, with carried state and without dropout.

    Every lane reads 1,024 tokens before its part, which do not count, or fewer at the beginning of a text.
    """

    def __init__(self, networks: ManyNetworks, log: Callable[[str], None]):
        self._networks, device = networks, networks.device
        data = [one.data for one in networks.models]
        sizes = np.array([len(one.held_out) for one in data])
        lanes = int(np.clip(sizes.max() // MIN_LANE, 4, MAX_LANES))
        per_token = lanes * len(data) * networks.vocabulary
        self._length = EVALUATION_WINDOW
        while self._length > 1 and self._length * per_token > MAX_LOGITS:
            self._length //= 2
        bounds = np.arange(lanes + 1)[:, None] * sizes // lanes                             # (L + 1, M)
        self.windows = int(-(-(LANE_WARMUP + np.diff(bounds, axis=0).max()) // self._length))
        # Texts begin with the start token, so that the target of position q is entry q + 1.
        pieces = {id(one): np.concatenate([[one.start_id], one.held_out]) for one in data}
        offsets = dict(zip(pieces, np.cumsum([0, *map(len, pieces.values())])[:-1], strict=True))
        self._tokens = torch.as_tensor(np.concatenate(list(pieces.values())), dtype=torch.int32).to(device)
        self._bases = torch.as_tensor([offsets[id(one)] for one in data]).to(device)
        self._last = torch.as_tensor(sizes).to(device)
        self._from, self._to = (torch.as_tensor(part).to(device) for part in (bounds[:-1], bounds[1:]))
        self._sizes = sizes
        self._window = torch.arange(self._length + 1, device=device)[:, None, None]
        self._flat = networks.flat.clone()
        self._views = networks.weights.views(self._flat)
        self._state = torch.zeros(4, lanes, len(data), networks.hidden, device=device)
        self._step = torch.zeros(1, dtype=torch.long, device=device)
        self._sums = torch.zeros(len(data), dtype=torch.float64, device=device)
        self._read = Replay(self._read_window, device, log)

    @torch.no_grad()
    def _read_window(self) -> None:
        """Read the next window of all lanes and add up the nats of what counts."""
        at = self._from - LANE_WARMUP + self._step * self._length + self._window           # (T + 1, L, M)
        ids = self._tokens[torch.minimum(at.clamp(min=0), self._last) + self._bases].long()
        self._state.mul_((at[0] >= self._length)[..., None])    # until the first window that lies in the text
        logits, *_ = self._networks.read(ids[:-1], self._views, self._state, training=False)
        nats = torch.logsumexp(logits, -1) - logits.gather(-1, ids[1:, ..., None])[..., 0]
        counts = (at[:-1] >= self._from) & (at[:-1] < self._to)
        self._sums.add_((nats.double() * counts).sum((0, 1)))
        self._step.add_(1)

    def __call__(self, flat: torch.Tensor) -> np.ndarray:
        """Return the mean nats per token (M,)."""
        self._flat.copy_(flat)
        for tensor in (self._state, self._step, self._sums):
            tensor.zero_()
        for _ in range(self.windows):
            self._read()
        return self._sums.cpu().numpy() / self._sizes
