"""Metrics of a model on held-out data: error rates and loss of pairs and of gaps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from charlm.config import SamplingConfig
from charlm.contract import Network, Tokenizer
from charlm.inference.infilling import GAPS_AT_ONCE, fill_gaps
from charlm.inference.pair_scoring import SOURCES_AT_ONCE
from charlm.inference.parallel import map_in_order
from charlm.inference.sampling import Uniforms
from charlm.inference.scoring import encode_sources, nats_to_bits, teacher_forced_nats
from charlm.inference.translation import Translator
from charlm.text.gap_sampling import Gapped, count_gap_characters, gap_positions, held_out_gaps
from charlm.text.token_cache import TokenCache

Watch = Callable[[float], None]         # receives the share of the work done so far


def ignore_share(share: float) -> None:
    """Ignore the share of the work done so far."""


@dataclass(frozen=True, kw_only=True)
class LossMetrics:
    """The loss of a model on some text; where texts have an end, it counts as one token."""

    nats: float                         # summed over all tokens
    tokens: int
    characters: int

    @property
    def nats_per_token(self) -> float:
        """The mean loss of a token."""
        return self.nats / self.tokens

    @property
    def bits_per_character(self) -> float:
        """The summed loss over the characters of the text, for comparing models with different tokenizers."""
        return nats_to_bits(self.nats) / max(self.characters, 1)


@dataclass(frozen=True, kw_only=True)
class PairMetrics(LossMetrics):
    """The loss of all targets (`characters` without the ends), and the errors of the best translations."""

    word_error_rate: float              # share of sources whose translation is not exactly a target
    character_error_rate: float         # edits to the nearest targets over their characters
    sources: int


@dataclass(frozen=True, kw_only=True)
class GapMetrics(LossMetrics):
    """The loss of all gaps, and how many are filled exactly by greedy search. `characters` include the ends."""

    gaps: int
    exact: int


def edit_distance(one: str, other: str) -> int:
    """Return the fewest insertions, deletions and substitutions of characters (Levenshtein 1966).

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
        row = np.minimum.accumulate(new - positions) + positions      # consecutive insertions
    return int(row[-1])


def evaluate_pairs(translator: Translator, pairs: Sequence[tuple[str, str]], *, beam: int,
                   interrupted: Callable[[], bool] = lambda: False, workers: int = 1,
                   watch: Watch = ignore_share) -> PairMetrics | None:
    """Translate every source and score every target; return None if interrupted.

    Any of a source's targets counts as correct. `watch` receives the share done so far after each batch.
    """
    targets: dict[str, list[str]] = {}
    for source, target in pairs:
        targets.setdefault(source, []).append(target)
    sources = sorted(targets, key=len)
    batches = [sources[start:start + SOURCES_AT_ONCE] for start in range(0, len(sources), SOURCES_AT_ONCE)]
    found = map_in_order(lambda batch: _measure_sources(translator, batch, targets, beam), batches, workers=workers)
    totals = np.zeros(4, np.int64)
    nats, done = 0.0, 0
    for _ in batches:
        if interrupted():
            return None
        batch, (counts, batch_nats) = next(found)
        totals += counts
        nats += batch_nats
        done += sum(map(len, batch))
        watch(done / max(sum(map(len, sources)), 1))
    errors, edits, reference, tokens = totals.tolist()
    return PairMetrics(nats=nats, tokens=tokens, characters=sum(len(target) for _, target in pairs),
                       word_error_rate=errors / len(sources), character_error_rate=edits / max(reference, 1),
                       sources=len(sources))


def _measure_sources(translator: Translator, batch: Sequence[str], targets: Mapping[str, Sequence[str]],
                     beam: int) -> tuple[tuple[int, int, int, int], float]:
    """Return wrong translations, edits, characters of the nearest targets and tokens of all; and the nats of all."""
    errors = edits = reference = 0
    for source, found in zip(batch, translator.translate(batch, beam=beam), strict=True):
        text = found[0].text
        distance, characters = min((edit_distance(text, target), len(target)) for target in targets[source])
        errors += text not in targets[source]
        edits += distance
        reference += characters
    nats, tokens = translator.nats([source for source in batch for _ in targets[source]],
                                   [target for source in batch for target in targets[source]])
    return (errors, edits, reference, tokens), nats


def evaluate_gaps(network: Network, tokenizer: Tokenizer, tokens: TokenCache, *, workers: int = 1,
                  watch: Watch = ignore_share) -> GapMetrics:
    """Cut gaps, always the same ones, into pieces of a text; fill and score each with the others masked.

    `watch` receives the share done so far after each batch.
    """
    texts = held_out_gaps(tokens, tokenizer)

    def measure(batch: list[Gapped]) -> tuple[float, int]:
        gaps = [ids for text in batch for ids in text.gaps]
        sources, positions = [text.source for text in batch], gap_positions(batch)
        nats = teacher_forced_nats(network, tokenizer, gaps, encode_sources(network, sources, positions))[0]
        fills = fill_gaps(network, tokenizer, sources, positions, config=SamplingConfig(temperature=0),
                          uniforms=Uniforms(0, [(index,) for index in range(len(gaps))]))
        return nats, sum(fill == ids.tolist() for fill, ids in zip(fills, gaps, strict=True))

    batches = [texts[start:start + GAPS_AT_ONCE] for start in range(0, len(texts), GAPS_AT_ONCE)]
    nats, exact = 0.0, 0
    for number, (_, found) in enumerate(map_in_order(measure, batches, workers=workers), 1):
        nats += found[0]
        exact += found[1]
        watch(number / len(batches))
    gaps = [ids for text in texts for ids in text.gaps]
    return GapMetrics(nats=nats, tokens=sum(len(ids) + 1 for ids in gaps),
                      characters=count_gap_characters(texts, tokenizer), gaps=len(gaps), exact=exact)
