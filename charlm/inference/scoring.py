"""How surprising a text is: nats per token, with carried state or in cold windows.

Not here: bits per character of a file and its printing (cli/evaluate.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from charlm.inference.network import Network
from charlm.inference.state import State
from charlm.text.examples import padded
from charlm.text.special import boundary
from charlm.text.tokenizer import Tokenizer

WINDOW = 512                            # tokens read at once
LOGITS = 4_000_000                      # numbers held at once, whatever the vocabulary: 16 MB


def surprisals(logits: np.ndarray, targets: np.ndarray, tokenizer: Tokenizer) -> np.ndarray:
    """-log p of each target in nats, float64: logits (..., V), targets (...).

    An unknown token costs p(unk) spread evenly over all unknown characters.
    """
    largest = logits.max(axis=-1, keepdims=True)
    normaliser = np.log(np.exp(logits - largest).sum(axis=-1, dtype=np.float64)) + largest[..., 0]
    nats = normaliser - np.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
    if tokenizer.unknown_id is not None:
        nats[targets == tokenizer.unknown_id] += tokenizer.unknown_surprisal
    return nats


def forced_nats(network: Network, tokenizer: Tokenizer, targets: Sequence[np.ndarray],
                state: State) -> tuple[float, int]:
    """Summed -log p of targets and their ends from a state with a row for each; how many tokens."""
    end = boundary(tokenizer)
    rows = padded([np.concatenate([[end], ids, [end]]) for ids in targets], end)
    nats = _score_rows(network, tokenizer, rows[:, :-1], rows[:, 1:], state)
    lengths = np.array([len(ids) + 1 for ids in targets])
    return float(nats[np.arange(nats.shape[1]) < lengths[:, None]].sum()), int(lengths.sum())


def _regroup(pieces: Iterable[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """The ids of all pieces, in arrays of `size`; the last may be shorter."""
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


def score_carried(network: Network, tokenizer: Tokenizer,
                  pieces: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Nats of every token of one long text, in order, its state carried from start to end."""
    state, before = network.start(1), tokenizer.start_id
    for targets in _regroup(pieces, min(WINDOW, max(LOGITS // tokenizer.size, 1))):
        inputs = np.concatenate([[before], targets[:-1]])
        logits, state = network.step(inputs[None], state)
        yield surprisals(logits[0], targets, tokenizer)
        before = targets[-1]


def score_windows(network: Network, tokenizer: Tokenizer, pieces: Iterable[np.ndarray], *,
                  window: int) -> Iterator[np.ndarray]:
    """Nats of every token when each window of so many tokens starts from an empty state.

    The only context a window has beyond itself is the token before it, as when windows are cut at
    random from a text (Karpathy's char-rnn and nanoGPT evaluate so).
    """
    before = tokenizer.start_id
    rows = max(LOGITS // tokenizer.size // min(window, WINDOW), 1)
    for block in _regroup(pieces, rows * window):
        ids = np.concatenate([[before], block])
        before = block[-1]
        whole = len(block) // window * window
        for start, stop in ((0, whole), (whole, len(block))):
            if start < stop:
                width = min(window, stop - start)
                rows = [ids[shift + start:shift + stop].reshape(-1, width) for shift in (0, 1)]
                yield _score_rows(network, tokenizer, *rows, network.start(len(rows[0]))).ravel()


def _score_rows(network: Network, tokenizer: Tokenizer, inputs: np.ndarray, targets: np.ndarray,
                state: State) -> np.ndarray:
    """Nats of the targets (B, T), read from this state on in strides that bound the logits held."""
    nats = np.empty(inputs.shape)
    stride = min(WINDOW, max(LOGITS // tokenizer.size // len(inputs), 1))
    for start in range(0, inputs.shape[1], stride):
        now = slice(start, start + stride)
        logits, state = network.step(inputs[:, now], state)
        nats[:, now] = surprisals(logits, targets[:, now], tokenizer)
    return nats
