"""From lines of `source<TAB>target` to two sets of examples, a training part and a held-out part.

    texts ─► LineSpool ─► two trained tokenizers ─► Examples; held-out pairs also as text
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from charlm.contract import IntArray, Tokenizer
from charlm.errors import CorpusError
from charlm.text.examples import Examples
from charlm.text.reading import Text, batched, names_of
from charlm.text.remarks import duplicate_remark, overlap_remark, shared_lines
from charlm.text.spool import LineSpool
from charlm.text.temporary import IN_TMPDIR, TemporaryFiles
from charlm.text.tokenizers import registry
from charlm.text.tokenizers.registry import Extendable
from charlm.text.tokenizers.word import WordTokenizer, is_word_vocabulary, new_words
from charlm.text.tsv import read_pairs

HELD_OUT = 0.1                          # of the sources
MAX_HELD_OUT = 2_000                    # sources, unless --validation gives a fraction
MAX_NEW_WORDS = 0.5                     # of the words of targets, for a model of words to learn
RATIO_QUANTILE = 0.999                  # of the pairs: a few odd ones do not lengthen every search
RATIO_OFFSET = 8                        # tokens added to a source, so that short ones do not decide


@dataclass(frozen=True)
class PairCorpus:
    """Examples to learn from, held-out pairs, and a tokenizer for each side."""

    tokenizer: Tokenizer                # of targets
    source_tokenizer: Tokenizer
    sources: Examples                   # to learn from; source i belongs to target i
    targets: Examples
    validation: list[tuple[str, str]]
    target_ratio: float                 # RATIO_QUANTILE of target tokens / (source tokens + RATIO_OFFSET)
    repeated: int                       # pairs whose source already occurred
    digest: str                         # of all pairs
    remarks: tuple[str, ...] = ()       # what the user should know about it

    labels = line_hashes = remembered = None        # for models that sample only

    @property
    def lengths(self) -> IntArray:
        """The number of tokens of each example, source and target together."""
        return self.sources.lengths + self.targets.lengths

    @property
    def separate_source(self) -> Tokenizer:
        """The tokenizer of sources, which is stored in the model file too."""
        return self.source_tokenizer

    def describe(self) -> str:
        """Return one readable line with the sizes of both parts and the vocabularies."""
        return (f"{len(self.sources):,} pairs to learn from, {len(self.validation):,} held out, "
                f"{self.source_tokenizer.kind} vocabulary of {self.source_tokenizer.size:,}, written in "
                f"a {self.tokenizer.kind} vocabulary of {self.tokenizer.size:,}")

    def metadata(self) -> dict[str, Any]:
        """Return what a model file records about its corpus."""
        return {"train_pairs": len(self.sources), "validation_pairs": len(self.validation),
                "target_ratio": self.target_ratio, "corpus_digest": self.digest}


def _new_words_remark(known: WordTokenizer, targets: Sequence[str]) -> str:
    """Return how many words a model of words has to learn. Raises CorpusError if it would have to spell."""
    count, share = new_words(known, targets)
    if share > MAX_NEW_WORDS and not is_word_vocabulary(targets):
        raise CorpusError(f"the model writes whole words, and {count} words of these targets, {100 * share:.0f} % of "
                          "all, are new to it; train a model that spells them with --tokenizer char, without "
                          "--init-from")
    return f"new words in the targets, which the model now learns: {count}" if count else ""


def build_pair_corpus(texts: Sequence[Text], *, tokenizer: str | Tokenizer | Extendable | None = None,
                      source_tokenizer: str | Tokenizer | Extendable = "nfd", vocabulary_size: int | None = None,
                      validation: float | Text | None = None, otherwise: str = "",
                      files: TemporaryFiles = IN_TMPDIR) -> PairCorpus:
    """Read pairs, train tokenizers of these kinds (or use or extend the given ones), and encode.

    Without a `tokenizer`, targets with few different words are split into words, others into characters. `validation`
    is a fraction of the sources, or another text. `otherwise` is advice that ends the message about a refused line.
    Raises CorpusError for a line that is not a pair, and for texts with too few pairs.
    """
    names = names_of(texts)
    pairs = LineSpool(itertools.chain.from_iterable(read_pairs(text, otherwise=otherwise) for text in texts), key=0,
                      files=files)
    if not len(pairs):
        raise CorpusError(f"{names}: empty; there is nothing to learn")
    digest, sources_seen = pairs.digest, len(np.unique(pairs.hashes))
    remarks = [duplicate_remark(pairs)]
    if isinstance(validation, Text):
        mask = np.zeros(len(pairs), bool)
        other = LineSpool(itertools.chain.from_iterable(map(read_pairs, validation.parts)), key=0, files=files)
        digest, held_out = digest + other.digest, list(other)
        if not held_out:
            raise CorpusError(f"{validation.name}: empty; there is nothing to validate on")
        remarks.append(overlap_remark(shared_lines(pairs, other), "sources"))
    else:
        if sources_seen < 2:
            raise CorpusError(f"{names}: a single source; at least 2 are needed, one of them held out")
        mask = pairs.held_out(validation, HELD_OUT, MAX_HELD_OUT)
        held_out = list(pairs.select(mask))

    def side(index: int) -> Iterator[str]:
        return (pair[index] for pair in pairs.select(~mask))

    if isinstance(tokenizer, Extendable) and isinstance(tokenizer.known, WordTokenizer):
        remarks.append(_new_words_remark(tokenizer.known, list(side(1))))
    if tokenizer is None:
        tokenizer = "word" if is_word_vocabulary(side(1)) else "char"
    reads = registry.train(source_tokenizer, side(0), vocabulary_size=None)
    writes = registry.train(tokenizer, side(1), vocabulary_size=vocabulary_size)
    sources = Examples(map(reads.encode_each, batched(side(0))), vocabulary_size=reads.size, file=files.open())
    targets = Examples(map(writes.encode_each, batched(side(1))), vocabulary_size=writes.size, file=files.open())
    ratios = targets.lengths / (sources.lengths + RATIO_OFFSET)
    return PairCorpus(writes, reads, sources, targets, held_out,
                      float(np.quantile(ratios, RATIO_QUANTILE, method="higher")), len(pairs) - sources_seen, digest,
                      tuple(filter(None, remarks)))
