"""Gaps in a text: drawing them, and what an encoder reads and a decoder writes of a text with gaps.

    the text        I t   w a s   t h e   b e s t
    is read as      I t   ⟨gap⟩ t h e ⟨gap⟩
    is written as   w a s   ⟨end⟩       and      ⎵ b e s t ⟨end⟩

Each gap is written by itself, begun from what the encoder made of its place.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from charlm.text.special_tokens import mask_id
from charlm.text.token_cache import TokenCache
from charlm.text.tokenizers.base import Tokenizer, decode

MIN_SOURCE, MAX_SOURCE = 16, 128   # tokens of text around gaps, the gaps' own included
TOKENS_A_GAP = 16                       # of text for each gap, at least
MEAN_MAX_GAP, MAX_GAP = 8, 32       # tokens of the longest gap in a batch of texts
HELD_OUT_TEXTS = 1024                   # pieces of a held-out text at most

Gap = tuple[int, int]                   # where it starts and stops


@dataclass(frozen=True)
class Gapped:
    """One text with gaps, as ids."""

    source: np.ndarray                  # what the encoder reads
    positions: np.ndarray                  # where the gaps stand in it
    gaps: list[np.ndarray]              # what is missing there


def draw_max_length(chance: np.random.Generator) -> int:
    """How long gaps may get in one batch of texts, mostly a few tokens.

    Drawn once for all of them, so that short gaps are not padded to the length of a long one.
    """
    return 1 + min(int(chance.exponential(MEAN_MAX_GAP)), MAX_GAP - 1)


def draw_gaps(length: int, chance: np.random.Generator, *, longest: int) -> list[Gap]:
    """Gaps in a text of so many tokens: at least one, apart from each other, half the text at most."""
    count = 1 + int(chance.integers(max(length // TOKENS_A_GAP, 1)))
    sizes = chance.integers(1, longest + 1, count)
    sizes = np.minimum(sizes, max(length // 2 // count, 1))
    free = length - int(sizes.sum()) - (count - 1)          # tokens beyond the one between two gaps
    before = np.sort(chance.integers(0, max(free, 0) + 1, count))
    starts = before + np.concatenate([[0], np.cumsum(sizes[:-1] + 1)])
    return [(int(start), int(start + size)) for start, size in zip(starts, sizes)]


def cut_gaps(ids: np.ndarray, gaps: list[Gap], tokenizer: Tokenizer) -> Gapped:
    """A text's ids with these gaps, in order."""
    starts, stops = zip(*gaps)
    pieces = [ids[stop:start] for stop, start in zip((0, *stops), (*starts, len(ids)))]
    source = np.concatenate([pieces[0], *(np.concatenate([[mask_id(tokenizer)], piece]) for piece in pieces[1:])])
    return Gapped(source.astype(np.int64), np.flatnonzero(source == mask_id(tokenizer)),
                  [ids[start:stop].astype(np.int64) for start, stop in gaps])


def held_out_gaps(tokens: TokenCache, tokenizer: Tokenizer) -> list[Gapped]:
    """Evenly spaced pieces of a held-out text, with gaps that are the same each time."""
    chance = np.random.default_rng(0)
    size = min(MAX_SOURCE, len(tokens))
    count = min(max(len(tokens) // size, 1), HELD_OUT_TEXTS)
    starts = np.linspace(0, len(tokens) - size, count).astype(np.int64)
    return [cut_gaps(ids, draw_gaps(size, chance, longest=draw_max_length(chance)), tokenizer)
            for ids in tokens.ring(starts, size)]


def count_gap_characters(texts: Iterable[Gapped], tokenizer: Tokenizer) -> int:
    """Characters of all gaps, each end counted as one."""
    return sum(len(decode(tokenizer, one.tolist())) + 1 for text in texts for one in text.gaps)


def gap_positions(texts: list[Gapped]) -> tuple[np.ndarray, np.ndarray]:
    """Rows and positions of every gap of a batch of texts."""
    return (np.repeat(np.arange(len(texts)), [len(text.positions) for text in texts]),
            np.concatenate([text.positions for text in texts]))
