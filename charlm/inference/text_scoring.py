"""Surprisal of one long text: nats of every token, with carried state or in independent windows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from charlm.contract import FloatArray, IntArray, Network, Tokenizer
from charlm.inference.parallel import map_in_order
from charlm.inference.scoring import LOGITS, WINDOW, score_rows, token_nats


def regroup(pieces: Iterable[IntArray], size: int) -> Iterator[IntArray]:
    """Yield the ids of all pieces in arrays of `size`; the last may be shorter."""
    held, count = [], 0
    for piece in pieces:
        held.append(piece)
        count += len(piece)
        if count >= size:
            joined = np.concatenate(held)
            whole = count // size * size
            yield from joined[:whole].reshape(-1, size)
            held, count = [joined[whole:]], count - whole
    if count:
        yield np.concatenate(held)


class StatefulReader:
    """Reads one text piece by piece and carries the state from the first token to the last."""

    def __init__(self, network: Network, tokenizer: Tokenizer):
        self._network, self._tokenizer = network, tokenizer
        self._state, self._before = network.start(1), tokenizer.start_id
        self._window = min(WINDOW, max(LOGITS // tokenizer.size, 1))

    def nats(self, ids: IntArray) -> FloatArray:
        """Read the next piece (T,); return the nats of every token, (T,)."""
        nats = np.empty(len(ids))
        for start in range(0, len(ids), self._window):
            targets = ids[start:start + self._window]
            inputs = np.concatenate([[self._before], targets[:-1]])
            logits, self._state = self._network.step(inputs[None], self._state)
            nats[start:start + self._window] = token_nats(logits[0], targets, self._tokenizer)
            self._before = targets[-1]
        return nats


def score_carried(network: Network, tokenizer: Tokenizer, pieces: Iterable[IntArray]) -> Iterator[FloatArray]:
    """Yield the nats of every token of one long text, in order, carrying the state from start to end."""
    return map(StatefulReader(network, tokenizer).nats, regroup(pieces, WINDOW))


def score_windows(network: Network, tokenizer: Tokenizer, pieces: Iterable[IntArray], *,
                  window: int, workers: int = 1) -> Iterator[FloatArray]:
    """Yield the nats of every token if each window follows one token alone, as Karpathy's char-rnn and nanoGPT do."""
    def blocks() -> Iterator[IntArray]:
        before = tokenizer.start_id
        for block in regroup(pieces, max(LOGITS // tokenizer.size // window, 1) * window):
            yield np.concatenate([[before], block]).astype(np.int64)
            before = block[-1]

    def score(ids: IntArray) -> FloatArray:
        windows = [ids[start:start + window + 1] for start in range(0, len(ids) - 1, window)]
        return np.concatenate(score_rows(network, tokenizer, windows))

    return (nats for _, nats in map_in_order(score, blocks(), workers=workers))
