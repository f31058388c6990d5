"""Writing texts that end by themselves, many side by side: the fillings of gaps, lines.

Not here: how one token is drawn (sampling.py), text that goes on for ever (generation.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from charlm.config import SamplingConfig
from charlm.inference.network import Network
from charlm.inference.sampling import REPEAT_WINDOW, Uniforms, choose
from charlm.inference.state import State


def write_to_ends(network: Network, logits: np.ndarray, state: State, *, end: int, never: Sequence[int],
                  config: SamplingConfig, uniforms: Uniforms, longest: int,
                  recent: np.ndarray) -> list[list[int]]:
    """Tokens of every row until `end`, which is left out, or until there are `longest`.

    Row b begins with a token of logits[b] (B, V) and goes on from its row of the state. Tokens in `never`
    are not written; a repeat penalty looks back at `recent` (B, R), too.
    """
    rows = np.arange(len(logits))
    written: list[list[int]] = [[] for _ in rows]
    for left in range(longest, 0, -1):
        logits[:, never] = -np.inf
        tokens = choose(logits, uniforms.next()[rows], config, recent)
        going = tokens != end
        for row, token in zip(rows[going].tolist(), tokens[going].tolist()):
            written[row].append(token)
        if left == 1 or not going.any():
            break
        if not going.all():
            rows, tokens, state, recent = rows[going], tokens[going], state.select(going), recent[going]
        if config.repeat_penalty != 1:
            recent = np.concatenate([recent, tokens[:, None]], axis=1)[:, -REPEAT_WINDOW:]
        logits, state = network.step(tokens[:, None], state)
        logits = logits[:, 0]
    return written
