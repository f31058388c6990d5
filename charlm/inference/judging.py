"""How good a pairs model is on pairs with known targets: error rates and loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from charlm.inference.translation import AT_ONCE, Translator


@dataclass(frozen=True)
class Verdict:
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
    places = np.arange(len(codes) + 1)
    row = places.copy()
    for character in one:
        new = np.empty_like(row)
        new[0] = row[0] + 1
        new[1:] = np.minimum(row[1:] + 1, row[:-1] + (codes != ord(character)))
        row = np.minimum.accumulate(new - places) + places      # insertions, one after another
    return int(row[-1])


def judge(translator: Translator, pairs: Sequence[tuple[str, str]], *, beam: int,
          interrupted: Callable[[], bool] = lambda: False) -> Verdict | None:
    """Translate every source, score every target; None when interrupted half way."""
    targets: dict[str, list[str]] = {}
    for source, target in pairs:
        targets.setdefault(source, []).append(target)
    sources = sorted(targets, key=len)
    wrong = edits = reference = tokens = 0
    nats = 0.0
    for start in range(0, len(sources), AT_ONCE):
        if interrupted():
            return None
        some = sources[start:start + AT_ONCE]
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
    return Verdict(wrong / len(sources), edits / max(reference, 1), nats / tokens,
                   nats / math.log(2) / max(characters, 1), len(sources), tokens, characters)
