"""Filling gaps in lines, from left to right; for each gap the encoder reads the line again, with the text so far."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from charlm.config import SamplingConfig
from charlm.contract import IntArray, Network, Tokenizer
from charlm.inference.generation import sample_until_end
from charlm.inference.sampling import Uniforms
from charlm.inference.scoring import encode_sources
from charlm.text.examples import batch_by_length
from charlm.text.gap_sampling import MAX_SOURCE
from charlm.text.special_tokens import eos_id, mask_id
from charlm.text.tokenizers.base import NEWLINE, decode, tokens_containing

GAPS_AT_ONCE = 64                       # gaps filled side by side
MAX_FILL = 64                           # tokens


def fill_gaps(network: Network, tokenizer: Tokenizer, sources: Sequence[IntArray],
              positions: tuple[IntArray, IntArray], *, config: SamplingConfig, uniforms: Uniforms,
              banned: Sequence[int] = ()) -> list[list[int]]:
    """Return the tokens for each of the gaps at `positions`, source rows (G,) and token positions (G,)."""
    end, gaps = eos_id(tokenizer), len(positions[0])
    logits, state = network.step(np.full((gaps, 1), end), encode_sources(network, sources, positions))
    return sample_until_end(network, logits[:, 0], state, end=end, banned=[*tokenizer.unsampleable_ids, *banned],
                            config=config, uniforms=uniforms, max_length=MAX_FILL, recent=np.zeros((gaps, 0), np.intp))


class _PartlyFilled:
    """One alternative of one line, with some of its gaps filled."""

    def __init__(self, texts: list[IntArray], key: tuple[int, ...]):
        self.key = key                  # of its random numbers
        self.fills: list[list[int]] = []
        self._before, self.after = texts[0], texts[1:]      # the text around the gaps that are left

    def next_gap(self, mask: int) -> tuple[IntArray, int]:
        """Return the text around the next gap, with all gaps left as masks, and the gap's position in it."""
        after = self.after[0][:MAX_SOURCE]
        for text in self.after[1:]:
            if len(after) >= MAX_SOURCE:
                break
            after = np.concatenate([after, [mask], text[:MAX_SOURCE]])
        before = self._before[-max(MAX_SOURCE - len(after), MAX_SOURCE // 2):]
        after = after[:MAX_SOURCE - len(before)]
        return np.concatenate([before, [mask], after]).astype(np.int64), len(before)

    def add_fill(self, fill: list[int]) -> None:
        """Insert the fill into the text as the next gap."""
        self.fills.append(fill)
        self._before = np.concatenate([self._before, np.array(fill, np.int64), self.after.pop(0)])


class Infiller:
    """Fills the gaps in lines with a fill model."""

    def __init__(self, network: Network, tokenizer: Tokenizer):
        self._network, self._tokenizer = network, tokenizer
        newline = tokenizer.encode(NEWLINE)
        known = tokenizer.unknown_id not in newline.tolist()
        self._newline = newline[:len(newline) * known]          # a line is read between two line breaks
        self._banned = tokens_containing(tokenizer, NEWLINE)    # and never contains one

    def fill(self, lines: Sequence[Sequence[str]], config: SamplingConfig, *, seed: int,
             line_numbers: Sequence[int], alternatives: int = 1) -> list[list[list[str]]]:
        """Return the fills by line, by alternative, by gap.

        A line is the list of texts between its gaps, one more than there are gaps. Its random numbers are seeded with
        its line number, so that its fills do not depend on the other lines.
        """
        alternatives_by_line = []
        for number, texts in zip(line_numbers, lines, strict=True):
            ids = [self._tokenizer.encode(text) for text in texts]
            ids[0] = np.concatenate([self._newline, ids[0]])
            ids[-1] = np.concatenate([ids[-1], self._newline])
            alternatives_by_line.append([_PartlyFilled(ids, (number, at)) for at in range(alternatives)])
        everything = [partial for line in alternatives_by_line for partial in line]
        while unfinished := [partial for partial in everything if partial.after]:
            self._fill_next(unfinished, config, seed)
        return [[[decode(self._tokenizer, fill) for fill in partial.fills] for partial in line]
                for line in alternatives_by_line]

    def _fill_next(self, lines: list[_PartlyFilled], config: SamplingConfig, seed: int) -> None:
        """Fill the next gap of every line, sources of similar length together."""
        gaps = [line.next_gap(mask_id(self._tokenizer)) for line in lines]
        order = np.argsort([len(source) for source, _ in gaps], kind="stable")
        for rows in batch_by_length(np.array([len(gaps[index][0]) for index in order]), GAPS_AT_ONCE):
            batch = order[rows].tolist()
            positions = np.arange(len(batch)), np.array([gaps[index][1] for index in batch])
            uniforms = Uniforms(seed, [(*lines[index].key, len(lines[index].fills)) for index in batch])
            fills = fill_gaps(self._network, self._tokenizer, [gaps[index][0] for index in batch], positions,
                              config=config, uniforms=uniforms, banned=self._banned)
            for index, fill in zip(batch, fills, strict=True):
                lines[index].add_fill(fill)
