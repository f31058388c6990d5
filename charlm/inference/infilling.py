"""Filling gaps in lines, from the text on both sides, several gaps and several alternatives a line.

Gaps are filled from left to right: what was written in one is text to the next, which reads the line
anew. Not here: gap marks and lines of files (cli/fill.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from charlm.config import SamplingConfig
from charlm.inference.generation import sample_until_end
from charlm.inference.network import Network
from charlm.inference.sampling import Uniforms
from charlm.text.examples import batch_by_length, padded
from charlm.text.gap_sampling import MAX_SOURCE
from charlm.text.special_tokens import eos_id, mask_id
from charlm.text.tokenizers.base import NEWLINE, Tokenizer, decode, tokens_containing

GAPS_AT_ONCE = 64                            # gaps filled side by side
MAX_FILL = 64                       # tokens


def fill_gaps(network: Network, tokenizer: Tokenizer, sources: Sequence[np.ndarray],
               positions: tuple[np.ndarray, np.ndarray], *, config: SamplingConfig, uniforms: Uniforms,
               banned: Sequence[int] = ()) -> list[list[int]]:
    """Tokens for each of the positions in these sources, rows and positions (G,) each, side by side."""
    end, gaps = eos_id(tokenizer), len(positions[0])
    state = network.encode(padded(sources, 0), np.array([len(source) for source in sources]), positions)
    logits, state = network.step(np.full((gaps, 1), end), state)
    return sample_until_end(network, logits[:, 0], state, end=end, banned=[*tokenizer.unsampleable_ids, *banned],
                         config=config, uniforms=uniforms, max_length=MAX_FILL,
                         recent=np.zeros((gaps, 0), np.intp))


class _Chain:
    """One alternative of one line while its gaps are filled, one after the other."""

    def __init__(self, parts: list[np.ndarray], key: tuple[int, ...]):
        self.key = key                  # of its random numbers, whatever stands beside it
        self.fills: list[list[int]] = []
        self._done, self._left = parts[0], parts[1:]

    @property
    def open(self) -> bool:
        return bool(self._left)

    def next_gap(self, mark: int) -> tuple[np.ndarray, int]:
        """The text around the next gap, gaps still to come marked in it, and where the gap stands."""
        after = self._left[0][:MAX_SOURCE]
        for part in self._left[1:]:
            if len(after) >= MAX_SOURCE:
                break
            after = np.concatenate([after, [mark], part[:MAX_SOURCE]])
        half = MAX_SOURCE // 2
        before = self._done[-max(MAX_SOURCE - len(after), half):]
        after = after[:MAX_SOURCE - len(before)]
        return np.concatenate([before, [mark], after]).astype(np.int64), len(before)

    def take(self, fill: list[int]) -> None:
        """What was written becomes text."""
        self.fills.append(fill)
        self._done = np.concatenate([self._done, np.array(fill, np.int64), self._left.pop(0)])


class Infiller:
    """A fill model at work."""

    def __init__(self, network: Network, tokenizer: Tokenizer):
        self._network, self._tokenizer = network, tokenizer
        newline = tokenizer.encode(NEWLINE)
        known = tokenizer.unknown_id not in newline.tolist()
        self._newline = newline[:len(newline) * known]      # a line stands between two of them
        self._banned = tokens_containing(tokenizer, NEWLINE)   # and never holds one

    def fill(self, lines: Sequence[Sequence[str]], config: SamplingConfig, *, seed: int,
             line_numbers: Sequence[int], alternatives: int = 1) -> list[list[list[str]]]:
        """Fillings by line, by alternative, by gap.

        A line is the texts between its gaps: one more than it has gaps. Its number names its random
        numbers, which no other line has a part in.
        """
        chains = []
        for number, texts in zip(line_numbers, lines):
            parts = [self._tokenizer.encode(text) for text in texts]
            parts[0] = np.concatenate([self._newline, parts[0]])
            parts[-1] = np.concatenate([parts[-1], self._newline])
            chains += [_Chain(parts, (number, alternative)) for alternative in range(alternatives)]
        while going := [chain for chain in chains if chain.open]:
            self._fill_next(going, config, seed)
        texts = [[decode(self._tokenizer, fill) for fill in chain.fills] for chain in chains]
        return [texts[at:at + alternatives] for at in range(0, len(texts), alternatives)]

    def _fill_next(self, chains: list[_Chain], config: SamplingConfig, seed: int) -> None:
        """Fill the next gap of every chain, sources of like length together."""
        found = [chain.next_gap(mask_id(self._tokenizer)) for chain in chains]
        order = np.argsort([len(source) for source, _ in found], kind="stable")
        for rows in batch_by_length(np.array([len(found[at][0]) for at in order]), GAPS_AT_ONCE):
            some = order[rows].tolist()
            positions = np.arange(len(some)), np.array([found[at][1] for at in some])
            uniforms = Uniforms(seed, [(*chains[at].key, len(chains[at].fills)) for at in some])
            written = fill_gaps(self._network, self._tokenizer, [found[at][0] for at in some], positions,
                                 config=config, uniforms=uniforms, banned=self._banned)
            for at, fill in zip(some, written):
                chains[at].take(fill)
