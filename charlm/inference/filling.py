"""Filling gaps in lines, from the text on both sides, several gaps and several alternatives a line.

A line longer than a source of training is filled in several goes, from left to right; what an earlier
go wrote is text to a later one. Not here: gap marks and lines of files (cli/fill.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from charlm.config import SamplingConfig
from charlm.inference.network import Network
from charlm.inference.sampling import Uniforms, choose
from charlm.text.examples import cut_batches, padded
from charlm.text.gaps import LONGEST_SOURCE
from charlm.text.special import MARKS, boundary, mark
from charlm.text.tokenizer import NEWLINE, Tokenizer, decode, tokens_holding

AT_ONCE = 64                            # sources filled side by side
LONGEST_FILL = 64                       # tokens of a gap


def write_gaps(network: Network, tokenizer: Tokenizer, sources: Sequence[np.ndarray], *,
               gaps: Sequence[int], config: SamplingConfig, uniforms: Uniforms,
               banned: Sequence[int] = ()) -> list[list[list[int]]]:
    """Tokens by source, by gap, of sources in which so many gaps are marked, side by side."""
    end, rows = boundary(tokenizer), np.arange(len(sources))
    never = [*tokenizer.never_sampled, *banned, *(mark(tokenizer, gap) for gap in range(MARKS))]
    state = network.encode(padded(sources, 0), np.array([len(source) for source in sources]))
    written: list[list[list[int]]] = [[[]] for _ in sources]
    tokens = np.full(len(sources), mark(tokenizer, 0))
    while len(rows):
        logits, state = network.step(tokens[:, None], state)
        logits = logits[:, 0]
        logits[:, never] = -np.inf
        tokens = choose(logits, uniforms.next()[rows], config)
        for at, row in enumerate(rows):
            fills = written[row]
            if tokens[at] != end and len(fills[-1]) < LONGEST_FILL:
                fills[-1].append(int(tokens[at]))
                continue
            # The end of one gap asks for the next, as in training; that of the last for nothing.
            tokens[at] = mark(tokenizer, len(fills)) if len(fills) < gaps[row] else -1
            fills.append([])
        going = tokens >= 0
        rows, tokens, state = rows[going], tokens[going], state.select(going)
    return [fills[:-1] for fills in written]


class _Chain:
    """One alternative of one line while it is being filled."""

    def __init__(self, parts: list[np.ndarray], key: tuple[int, ...]):
        self.key = key                  # of its random numbers, whatever stands beside it
        self.fills: list[list[int]] = []
        self._done, self._left = parts[0], parts[1:]
        self.goes = 0

    @property
    def open(self) -> bool:
        return bool(self._left)

    def next_go(self, tokenizer: Tokenizer) -> tuple[np.ndarray, int]:
        """A source and how many gaps it has: as many of the next ones as fit with some text around."""
        gaps, between = 1, 0
        while gaps < min(len(self._left), MARKS) \
                and between + len(self._left[gaps - 1]) <= LONGEST_SOURCE // 2:
            between += len(self._left[gaps - 1])
            gaps += 1
        room, right = LONGEST_SOURCE - between, self._left[gaps - 1]
        before = self._done[-max(room - len(right), room // 2):]
        after = right[:room - len(before)]
        pieces = [before]
        for gap in range(gaps):
            pieces += [[mark(tokenizer, gap)], self._left[gap] if gap < gaps - 1 else after]
        return np.concatenate(pieces).astype(np.int64), gaps

    def take(self, fills: list[list[int]]) -> None:
        """What a go wrote becomes text."""
        for fill in fills:
            self.fills.append(fill)
            self._done = np.concatenate([self._done, np.array(fill, np.int64), self._left.pop(0)])
        self.goes += 1


class Filler:
    """A fill model at work."""

    def __init__(self, network: Network, tokenizer: Tokenizer):
        self._network, self._tokenizer = network, tokenizer
        newline = tokenizer.encode(NEWLINE)
        known = tokenizer.unknown_id not in newline.tolist()
        self._newline = newline[:len(newline) * known]      # a line stands between two of them
        self._banned = tokens_holding(tokenizer, NEWLINE)   # and never holds one

    def fill(self, lines: Sequence[Sequence[str]], config: SamplingConfig, *, seed: int,
             numbers: Sequence[int], alternatives: int = 1) -> list[list[list[str]]]:
        """Fillings by line, by alternative, by gap.

        A line is the texts between its gaps: one more than it has gaps. Its number names its random
        numbers, which no other line has a part in.
        """
        chains = []
        for number, texts in zip(numbers, lines):
            parts = [self._tokenizer.encode(text) for text in texts]
            parts[0] = np.concatenate([self._newline, parts[0]])
            parts[-1] = np.concatenate([parts[-1], self._newline])
            chains += [_Chain(parts, (number, alternative)) for alternative in range(alternatives)]
        while going := [chain for chain in chains if chain.open]:
            self._go(going, config, seed)
        texts = [[decode(self._tokenizer, fill) for fill in chain.fills] for chain in chains]
        return [texts[at:at + alternatives] for at in range(0, len(texts), alternatives)]

    def _go(self, chains: list[_Chain], config: SamplingConfig, seed: int) -> None:
        """Fill the next gaps of every chain, sources of like length together."""
        goes = [chain.next_go(self._tokenizer) for chain in chains]
        order = np.argsort([len(source) for source, _ in goes], kind="stable")
        for rows in cut_batches(np.array([len(goes[at][0]) for at in order]), AT_ONCE):
            some = order[rows].tolist()
            sources, gaps = zip(*(goes[at] for at in some))
            uniforms = Uniforms(seed, [(*chains[at].key, chains[at].goes) for at in some])
            written = write_gaps(self._network, self._tokenizer, sources, gaps=gaps, config=config,
                                 uniforms=uniforms, banned=self._banned)
            for at, fills in zip(some, written):
                chains[at].take(fills)
