"""Texts with gaps: sampling the gaps, and splitting a text into an encoder's source and what a decoder writes.

    the text            I t   w a s   t h e   b e s t
    the source          I t   ⟨mask⟩ t h e ⟨mask⟩
    the decoder writes  w a s   ⟨eos⟩       and      ⎵ b e s t ⟨eos⟩

Each gap is written independently, starting from the encoder's output at its position.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from charlm.contract import IntArray, Tokenizer
from charlm.text.special_tokens import mask_id
from charlm.text.token_cache import TokenCache
from charlm.text.tokenizers.base import decode

MIN_SOURCE, MAX_SOURCE = 16, 128        # tokens of a text, its gaps included
TOKENS_PER_GAP = 16                     # tokens of text for each gap, at least
MEAN_MAX_GAP, MAX_GAP = 8, 32           # tokens of the longest gap in a batch of texts
MAX_HELD_OUT_TEXTS = 1024               # pieces of a held-out text

Gap = tuple[int, int]                   # start and stop


@dataclass(frozen=True)
class Gapped:
    """One text with gaps, as ids."""

    source: IntArray                    # what the encoder reads
    positions: IntArray                 # of the gaps in the source
    gaps: list[IntArray]                # what the decoder writes for each


def draw_max_length(rng: np.random.Generator) -> int:
    """Draw the maximum length of gaps, mostly short; once for a batch, as short gaps would be padded to a long one."""
    return 1 + min(int(rng.exponential(MEAN_MAX_GAP)), MAX_GAP - 1)


def draw_gaps(length: int, rng: np.random.Generator, *, max_length: int) -> list[Gap]:
    """Draw one or more gaps in a text of `length` tokens. They do not touch and are at most half the text."""
    count = 1 + int(rng.integers(max(length // TOKENS_PER_GAP, 1)))
    sizes = rng.integers(1, max_length + 1, count)
    sizes = np.minimum(sizes, max(length // 2 // count, 1))
    free = length - int(sizes.sum()) - (count - 1)          # tokens except for one between two gaps
    before = np.sort(rng.integers(0, max(free, 0) + 1, count))
    starts = before + np.concatenate([[0], np.cumsum(sizes[:-1] + 1)])
    return [(int(start), int(start + size)) for start, size in zip(starts, sizes, strict=True)]


def cut_gaps(ids: IntArray, gaps: list[Gap], tokenizer: Tokenizer) -> Gapped:
    """Cut these gaps, which are in order, out of a text's ids."""
    starts, stops = zip(*gaps, strict=True)
    pieces = [ids[stop:start] for stop, start in zip((0, *stops), (*starts, len(ids)), strict=True)]
    source = np.concatenate([pieces[0], *(np.concatenate([[mask_id(tokenizer)], piece]) for piece in pieces[1:])])
    return Gapped(source.astype(np.int64), np.flatnonzero(source == mask_id(tokenizer)),
                  [ids[start:stop].astype(np.int64) for start, stop in gaps])


def held_out_gaps(tokens: TokenCache, tokenizer: Tokenizer) -> list[Gapped]:
    """Return evenly spaced pieces of a held-out text with gaps, which are the same for every call."""
    rng = np.random.default_rng(0)
    size = min(MAX_SOURCE, len(tokens))
    count = min(max(len(tokens) // size, 1), MAX_HELD_OUT_TEXTS)
    starts = np.linspace(0, len(tokens) - size, count).astype(np.int64)
    return [cut_gaps(ids, draw_gaps(size, rng, max_length=draw_max_length(rng)), tokenizer)
            for ids in tokens.ring(starts, size)]


def count_gap_characters(texts: Iterable[Gapped], tokenizer: Tokenizer) -> int:
    """Return the number of characters of all gaps, counting each end as one."""
    return sum(len(decode(tokenizer, gap.tolist())) + 1 for text in texts for gap in text.gaps)


def gap_positions(texts: list[Gapped]) -> tuple[IntArray, IntArray]:
    """Return the rows and the positions of all gaps of a batch of texts."""
    return (np.repeat(np.arange(len(texts)), [len(text.positions) for text in texts]),
            np.concatenate([text.positions for text in texts]))
