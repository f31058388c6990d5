"""How good a pairs model is on pairs with known targets: error rates and loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from charlm.config import SamplingConfig
from charlm.inference.infilling import GAPS_AT_ONCE, fill_gaps
from charlm.inference.network import Network
from charlm.inference.sampling import Uniforms
from charlm.inference.scoring import teacher_forced_nats
from charlm.inference.translation import SOURCES_AT_ONCE, Translator
from charlm.text.examples import padded
from charlm.text.gap_sampling import Gapped, gap_positions, count_gap_characters, held_out_gaps
from charlm.text.token_cache import TokenCache
from charlm.text.tokenizers.base import Tokenizer


@dataclass(frozen=True)
class PairMetrics:
    """Error rates are shares of one; a source with several targets is right with any of them."""

    word_error_rate: float              # sources whose target is not written exactly
    character_error_rate: float         # edits to the nearest target over its characters
    nats_per_token: float               # of every target, its end included
    bits_per_character: float
    sources: int
    tokens: int
    characters: int                     # of all targets


def edit_distance(one: str, other: str) -> int:
    """Fewest insertions, deletions and substitutions of characters (Levenshtein 1966).

    >>> edit_distance("kitten", "sitting"), edit_distance("", "ab")
    (3, 2)
    """
    codes = np.array([*map(ord, other)], np.int64)
    positions = np.arange(len(codes) + 1)
    row = positions.copy()
    for character in one:
        new = np.empty_like(row)
        new[0] = row[0] + 1
        new[1:] = np.minimum(row[1:] + 1, row[:-1] + (codes != ord(character)))
        row = np.minimum.accumulate(new - positions) + positions      # insertions, one after another
    return int(row[-1])


def evaluate_pairs(translator: Translator, pairs: Sequence[tuple[str, str]], *, beam: int,
          interrupted: Callable[[], bool] = lambda: False) -> PairMetrics | None:
    """Translate every source, score every target; None when interrupted half way."""
    targets: dict[str, list[str]] = {}
    for source, target in pairs:
        targets.setdefault(source, []).append(target)
    sources = sorted(targets, key=len)
    wrong = edits = reference = tokens = 0
    nats = 0.0
    for start in range(0, len(sources), SOURCES_AT_ONCE):
        if interrupted():
            return None
        some = sources[start:start + SOURCES_AT_ONCE]
        for source, found in zip(some, translator.translate(some, beam=beam)):
            written = found[0].text
            distance, characters = min((edit_distance(written, target), len(target))
                                       for target in targets[source])
            wrong += written not in targets[source]
            edits += distance
            reference += characters
        costs = translator.nats([source for source in some for _ in targets[source]],
                                [target for source in some for target in targets[source]])
        nats, tokens = nats + costs[0], tokens + costs[1]
    characters = sum(len(target) for _, target in pairs)
    return PairMetrics(wrong / len(sources), edits / max(reference, 1), nats / tokens,
                   nats / math.log(2) / max(characters, 1), len(sources), tokens, characters)


@dataclass(frozen=True)
class GapMetrics:
    """Sums over all gaps."""

    gaps: int
    exact: int                          # gaps filled exactly by greedy search
    nats: float                         # each end included, as in the two below
    tokens: int
    characters: int


def evaluate_gaps(network: Network, tokenizer: Tokenizer, tokens: TokenCache) -> GapMetrics:
    """Cut gaps into pieces of a text, always the same ones, and fill each with the others missing."""
    texts = held_out_gaps(tokens, tokenizer)
    nats = exact = 0
    for start in range(0, len(texts), GAPS_AT_ONCE):
        some = texts[start:start + GAPS_AT_ONCE]
        gaps = [ids for text in some for ids in text.gaps]
        nats += _nats(network, tokenizer, some, gaps)
        written = fill_gaps(network, tokenizer, [text.source for text in some], gap_positions(some),
                             config=SamplingConfig(temperature=0),
                             uniforms=Uniforms(0, [(number,) for number in range(len(gaps))]))
        exact += sum(fill == ids.tolist() for fill, ids in zip(written, gaps))
    gaps = [ids for text in texts for ids in text.gaps]
    return GapMetrics(len(gaps), exact, nats, sum(len(ids) + 1 for ids in gaps),
                    count_gap_characters(texts, tokenizer))


def _nats(network: Network, tokenizer: Tokenizer, texts: list[Gapped], gaps: list[np.ndarray]) -> float:
    """Summed -log p of what is to be written."""
    state = network.encode(padded([text.source for text in texts], 0),
                           np.array([len(text.source) for text in texts]), gap_positions(texts))
    return teacher_forced_nats(network, tokenizer, gaps, state)[0]
