"""From lines of `source<TAB>target` to two sets of examples: to learn from, and held out.

    texts ─► Spool of pairs ─► two tokenizers fitted ─► Examples; held-out pairs also as text
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from charlm.errors import CorpusError
from charlm.text.examples import Examples
from charlm.text.reading import Text, split_lines
from charlm.text.spool import Spool
from charlm.text.tokenizers import registry
from charlm.text.tokenizers.base import NEWLINE, Tokenizer
from charlm.text.tokenizers.registry import Extendable
from charlm.text.tokenizers.word import is_word_vocabulary
from charlm.text.tsv import TAB, read_pairs

HELD_OUT = 0.1                          # of the sources
MAX_HELD_OUT = 2_000                   # sources, unless --validation says otherwise
USUAL = 0.999                           # of the pairs: a few odd ones do not lengthen every search
RATIO_OFFSET = 8                        # tokens added to a source, so that short ones do not decide

Pair = tuple[str, str]


@dataclass(frozen=True)
class PairCorpus:
    """Examples to learn from, pairs held out, and a tokenizer for each side."""

    tokenizer: Tokenizer                # of targets
    source_tokenizer: Tokenizer
    sources: Examples                   # to learn from; source i belongs to target i
    targets: Examples
    validation: list[Pair]
    target_ratio: float                 # target tokens over source tokens + RATIO_OFFSET, USUAL at most
    repeated: int                       # pairs whose source stood before
    digest: str                         # of all pairs

    labels = line_hashes = None         # these are of lines

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of every example, source and target together."""
        return self.sources.lengths + self.targets.lengths

    @property
    def separate_source(self) -> Tokenizer:
        return self.source_tokenizer

    def describe(self) -> str:
        """One readable line: the sizes of both parts, and the vocabularies."""
        return (f"{len(self.sources):,} pairs to learn from, {len(self.validation):,} held out, "
                f"{self.source_tokenizer.kind} vocabulary of {self.source_tokenizer.size:,}, written in "
                f"a {self.tokenizer.kind} vocabulary of {self.tokenizer.size:,}")

    def metadata(self) -> dict:
        """What a model file says of its corpus."""
        return {"train_pairs": len(self.sources), "validation_pairs": len(self.validation),
                "target_ratio": self.target_ratio, "corpus_digest": self.digest}


def _spooled(pairs: Iterable[Pair]) -> Spool:
    return Spool(f"{source}{TAB}{target}{NEWLINE}" for source, target in pairs)


def _pairs(spool: Spool) -> Iterator[Pair]:
    for line in split_lines(spool):
        source, target = line.split(TAB)
        yield source, target


def _rank(source: str) -> int:
    """A source's place in a fixed random order of all sources."""
    return int.from_bytes(hashlib.blake2b(source.encode("utf-8"), digest_size=8).digest(), "big")


def _held_out_below(ranks: set[int], fraction: float | None) -> int:
    """The rank below which a source is held out: all pairs of a source go to the same side."""
    count = min(len(ranks) * HELD_OUT, MAX_HELD_OUT) if fraction is None else len(ranks) * fraction
    return sorted(ranks)[min(max(round(count), 1), len(ranks) - 1)]


def _usual_ratio(sources: np.ndarray, targets: np.ndarray) -> float:
    """What the ratio of lengths is at most, but for the oddest pairs."""
    return float(np.quantile(targets / (sources + RATIO_OFFSET), USUAL, method="higher"))


def build_pair_corpus(texts: Sequence[Text], *, tokenizer: str | Tokenizer | Extendable | None = None,
                  source_tokenizer: str | Tokenizer | Extendable = "nfd",
                  vocabulary_size: int | None = None,
                  validation: float | Text | None = None, otherwise: str = "") -> PairCorpus:
    """Read, fit, encode. `validation` is a fraction of the sources, or another text of pairs.
    `otherwise` is what a refused line's message advises.

    Without a `tokenizer`, targets of few different words are taken word by word, others by character.
    Raises CorpusError for a line that is no pair, and for texts with too few of them.
    """
    names = ", ".join(text.name for text in texts)
    spool = _spooled(itertools.chain.from_iterable(read_pairs(text, otherwise=otherwise) for text in texts))
    ranks = [_rank(source) for source, _ in _pairs(spool)]
    if not ranks:
        raise CorpusError(f"{names}: empty; there is nothing to learn")
    if isinstance(validation, Text):
        limit, held_out = 0, list(read_pairs(validation))
        if not held_out:
            raise CorpusError(f"{validation.name}: empty; there is nothing to validate on")
    else:
        if len(set(ranks)) < 2:
            raise CorpusError(f"{names}: a single source; at least 2 are needed, one of them held out")
        limit = _held_out_below(set(ranks), validation)
        held_out = [pair for pair in _pairs(spool) if _rank(pair[0]) < limit]

    def side(which: int) -> Iterator[str]:
        return (pair[which] for pair in _pairs(spool) if _rank(pair[0]) >= limit)

    if tokenizer is None:
        tokenizer = "word" if is_word_vocabulary(side(1)) else "char"
    reads = registry.train(source_tokenizer, side(0), vocabulary_size=None)
    writes = registry.train(tokenizer, side(1), vocabulary_size=vocabulary_size)
    sources = Examples(map(reads.encode, side(0)), vocabulary_size=reads.size)
    targets = Examples(map(writes.encode, side(1)), vocabulary_size=writes.size)
    digest = spool.digest + (_spooled(held_out).digest if isinstance(validation, Text) else "")
    spool.close()
    return PairCorpus(writes, reads, sources, targets, held_out,
                      _usual_ratio(sources.lengths, targets.lengths),
                      len(ranks) - len(set(ranks)), digest)
