"""Gaps in a text: drawing them, and what an encoder reads and a decoder writes of a text with gaps.

    the text        I t   w a s   t h e   b e s t
    it reads        I t   ⟨0⟩ t h e ⟨1⟩
    it is fed       ⟨0⟩ w a s   ⟨1⟩   b e s t
    it writes       w a s   ⟨end⟩   b e s t ⟨end⟩

Each gap is asked for by its own mark (Raffel et al. 2020, section 3.1.4, with the end written out).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from charlm.text.cache import TokenCache
from charlm.text.special import MARKS, boundary, mark
from charlm.text.tokenizer import Tokenizer, decode

SHORTEST_SOURCE, LONGEST_SOURCE = 16, 128   # tokens of text around gaps, the gaps' own included
TOKENS_A_GAP = 16                       # of text for each gap, at least
MEAN_LENGTH, LONGEST_GAP = 5, 32        # tokens of a gap

HELD_OUT_TEXTS = 1024                   # pieces of a held-out text at most

Gap = tuple[int, int]                   # where it starts and stops


@dataclass(frozen=True)
class Gapped:
    """One text with gaps, as ids."""

    source: np.ndarray                  # what the encoder reads
    read: np.ndarray                    # what the decoder is fed
    written: np.ndarray                 # what it is to write, of equal length
    gaps: int


def draw_gaps(length: int, chance: np.random.Generator) -> list[Gap]:
    """Gaps in a text of so many tokens: at least one, apart from each other, half the text at most."""
    count = 1 + int(chance.integers(min(max(length // TOKENS_A_GAP, 1), MARKS)))
    sizes = 1 + np.minimum(chance.exponential(MEAN_LENGTH, count).astype(int), LONGEST_GAP - 1)
    sizes = np.minimum(sizes, max(length // 2 // count, 1))
    free = length - int(sizes.sum()) - (count - 1)          # tokens beyond the one between two gaps
    before = np.sort(chance.integers(0, max(free, 0) + 1, count))
    starts = before + np.concatenate([[0], np.cumsum(sizes[:-1] + 1)])
    return [(int(start), int(start + size)) for start, size in zip(starts, sizes)]


def cut_gaps(ids: np.ndarray, gaps: list[Gap], tokenizer: Tokenizer) -> Gapped:
    """A text's ids with these gaps, at most MARKS of them, in order."""
    source, read, written, at = [], [], [], 0
    for number, (start, stop) in enumerate(gaps):
        source += [ids[at:start], [mark(tokenizer, number)]]
        read += [[mark(tokenizer, number)], ids[start:stop]]
        written += [ids[start:stop], [boundary(tokenizer)]]
        at = stop
    return Gapped(*(np.concatenate(parts).astype(np.int64)
                    for parts in ([*source, ids[at:]], read, written)), len(gaps))


def held_out_gaps(tokens: TokenCache, tokenizer: Tokenizer) -> list[Gapped]:
    """Evenly spaced pieces of a held-out text, with gaps that are the same each time."""
    chance = np.random.default_rng(0)
    size = min(LONGEST_SOURCE, len(tokens))
    count = min(max(len(tokens) // size, 1), HELD_OUT_TEXTS)
    starts = np.linspace(0, len(tokens) - size, count).astype(np.int64)
    return [cut_gaps(ids, draw_gaps(size, chance), tokenizer) for ids in tokens.ring(starts, size)]


def gap_characters(texts: Iterable[Gapped], tokenizer: Tokenizer) -> int:
    """Characters of all gaps, each end counted as one."""
    end = boundary(tokenizer)
    gaps = (gap for text in texts for gap in np.split(text.written, np.flatnonzero(text.written == end)))
    return sum(len(decode(tokenizer, gap[gap != end].tolist())) for gap in gaps) \
        + sum(text.gaps for text in texts)
