"""Teacher forcing: the loss of complete rows, each token predicted from the true tokens before it.

A row is the ids of a text between its begin and its end (`special_tokens.with_bos_eos`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional as F

from charlm.contract import Tokenizer
from charlm.nn.network import Network
from charlm.nn.state import State
from charlm.text.examples import padded

IGNORED = -100                          # the target that F.cross_entropy leaves out


def encode_sources(network: Network, sources: Sequence[np.ndarray],
                   positions: tuple[np.ndarray, np.ndarray] | None = None) -> State:
    """Return the state after encoding sources, one row each; with `positions` (rows, columns) one for each gap (G,)."""
    arrays = padded(sources, 0), np.array([len(ids) for ids in sources]), *(positions or ())
    ids, lengths, *gaps = (torch.from_numpy(values).to(network.head.bias.device) for values in arrays)
    return network.encode(ids, lengths, (gaps[0], gaps[1]) if positions else None)


def inputs_and_targets(rows: Sequence[np.ndarray], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return all tokens of each row but the last, and all but the first, as padded (B, T) tensors."""
    inputs = padded([row[:-1] for row in rows], 0)
    targets = padded([row[1:] for row in rows], IGNORED)
    return torch.from_numpy(inputs).to(device), torch.from_numpy(targets).to(device)


def zero_loss(network: Network) -> torch.Tensor:
    """Return the loss of an empty batch: zero, with a gradient of zero."""
    return 0.0 * network.head.bias.sum()


def teacher_forced_loss(network: Network, state: State, rows: Sequence[np.ndarray], *,
                        label_smoothing: float = 0.0, reduction: str = "mean") -> torch.Tensor:
    """Return the loss in nats of every token of the rows but the first, given a state with one row for each.

    The result is the mean over all tokens or their sum; padding does not count. With `label_smoothing`, this share
    of each target's probability is spread over all tokens (Szegedy et al. 2016, section 7).
    """
    inputs, targets = inputs_and_targets(rows, network.head.bias.device)
    logits, _ = network.step(inputs, state)                             # (B, T, V)
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction=reduction,
                           label_smoothing=label_smoothing)


def unknown_nats(tokenizer: Tokenizer, targets: torch.Tensor) -> float:
    """Return what unknown targets cost on top of p(unk), which is spread evenly over all unknown characters."""
    if tokenizer.unknown_id is None:
        return 0.0
    return tokenizer.unknown_surprisal * int((targets == tokenizer.unknown_id).sum())
