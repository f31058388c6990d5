"""The loss of a whole held-out text with carried state; the training state is left alone.

A long text is cut into several lanes for speed. Each lane but the first warms up on the text just before its
start, which is read but not counted. On tinyshakespeare the result differs from that of one lane, as in
`charlm eval`, by less than 1e-6 nats.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from torch.nn import functional as F

from charlm.contract import Tokenizer
from charlm.inference.scoring import LOGITS
from charlm.nn.network import Network
from charlm.nn.state import State
from charlm.text.token_cache import TokenCache
from charlm.training.teacher_forcing import unknown_nats

LANE_WARMUP = 512                       # tokens read before a lane, not counted
TOKENS_PER_LANE = 16_384
MAX_LANES = 32
MAX_WINDOW = 1024                       # tokens of a lane read at once


def lane_count(tokens: int) -> int:
    """Return the number of lanes for a held-out text of this many tokens."""
    return min(max(tokens // TOKENS_PER_LANE, 1), MAX_LANES)


def window_length(lanes: int, vocabulary_size: int) -> int:
    """Return the number of tokens that each lane reads at once."""
    return min(max(LOGITS // vocabulary_size // lanes, 1), MAX_WINDOW)


def window_count(tokens: int, vocabulary_size: int) -> int:
    """Return the number of windows in a validation of this many tokens, without warm-up and remainder."""
    lanes = lane_count(tokens)
    return -(-(tokens // lanes) // window_length(lanes, vocabulary_size))


class _HeldOut:
    """A held-out text, read as if the tokenizer's start token preceded it."""

    def __init__(self, tokens: TokenCache, tokenizer: Tokenizer, device: torch.device):
        self._tokens, self._tokenizer, self._device = tokens, tokenizer, device

    def windows(self, starts: list[int], length: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield inputs and targets (B, T) that predict `length` tokens from each start."""
        stride = window_length(len(starts), self._tokenizer.size)
        for at in range(0, length, stride):
            size = min(stride, length - at)
            ids = torch.from_numpy(np.stack([self._with_context(start + at, start + at + size) for start in starts]))
            yield ids[:, :-1].to(self._device), ids[:, 1:].to(self._device)

    def _with_context(self, start: int, stop: int) -> np.ndarray:
        if start:
            return self._tokens.slice(start - 1, stop)
        return np.concatenate([[self._tokenizer.start_id], self._tokens.slice(0, stop)])


@torch.inference_mode()
def held_out_loss(network: Network, tokens: TokenCache, tokenizer: Tokenizer, *,
                  lanes: int | None = None, interrupted: Callable[[], bool] = lambda: False) -> float:
    """Return the mean nats per token, or NaN if interrupted; unknown characters share the probability of unk evenly."""
    lanes = lanes or lane_count(len(tokens))
    window = network.config.window or 1
    lanes = lanes if len(tokens) // lanes >= window else 1
    size, before = _aligned(len(tokens) // lanes, window)
    starts = [lane * size for lane in range(lanes)]
    text = _HeldOut(tokens, tokenizer, network.head.bias.device)
    with network.evaluating():
        state = network.start(1)
        if lanes > 1:
            warm = network.start(lanes - 1)
            for inputs, _ in text.windows([start - before for start in starts[1:]], before):
                _, warm = network.step(inputs, warm)
            state = State.join([state, network.advance_window(warm)])
        total, state = _sum_nats(network, text.windows(starts, size), state, tokenizer, interrupted)
        rest = len(tokens) - lanes * size
        last = state.select(torch.tensor([lanes - 1], device=network.head.bias.device))
        tail, _ = _sum_nats(network, text.windows([lanes * size], rest), last, tokenizer, interrupted)
        return (total + tail) / len(tokens)


def _aligned(size: int, window: int) -> tuple[int, int]:
    """Return a lane's size and warm-up as multiples of the encoder's window, so that windows start as for one lane."""
    size = size // window * window or size
    return size, min(max(LANE_WARMUP, window), size) // window * window


def _sum_nats(network: Network, windows: Iterable[tuple[torch.Tensor, torch.Tensor]], state: State,
              tokenizer: Tokenizer, interrupted: Callable[[], bool]) -> tuple[float, State]:
    """Return the summed nats of the windows' targets, and the state after them."""
    total = 0.0
    for inputs, targets in windows:
        if interrupted():
            return float("nan"), state
        logits, state = network.step(inputs, state)             # (B, T, V)
        total += F.cross_entropy(logits.transpose(0, 1).flatten(0, 1), targets.T.flatten(), reduction="sum").item()
        total += unknown_nats(tokenizer, targets)
    return total, state
