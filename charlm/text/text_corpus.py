"""From running text to two token caches, a training part and a held-out part.

    texts ─► Spool (private copy) ─► trained tokenizer ─► TokenCache, TokenCache
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from charlm.contract import Tokenizer
from charlm.errors import CorpusError
from charlm.text.reading import Text
from charlm.text.remarks import overlap_remark, shared_text
from charlm.text.remembered import LENGTH, Remembered
from charlm.text.rolling_hashes import chunk_hashes
from charlm.text.spool import Spool
from charlm.text.token_cache import TokenCache
from charlm.text.tokenizers import registry
from charlm.text.tokenizers.base import encode_chunks
from charlm.text.tokenizers.registry import Extendable

HELD_OUT = 0.1                          # of the characters, from the end
MAX_HELD_OUT = 1_000_000                # characters, unless --validation gives a fraction
MIN_CHARACTERS = 3                      # two to learn a transition from, one to be tested on


@dataclass(frozen=True)
class TextCorpus:
    """Tokens to learn from and tokens held out, with the number of characters of each part."""

    tokenizer: Tokenizer
    train: TokenCache
    validation: TokenCache
    train_characters: int
    validation_characters: int
    digest: str                         # of the texts
    remarks: tuple[str, ...] = ()       # what the user should know about it
    remembered: Remembered | None = None        # of the training part

    separate_source = None              # the encoder, if any, shares the decoder's tokenizer
    labels = line_hashes = None         # these are for lines

    @property
    def source_tokenizer(self) -> Tokenizer:
        """The tokenizer of what an encoder reads."""
        return self.tokenizer

    def describe(self) -> str:
        """Return one readable line with the sizes of both parts and the vocabulary."""
        return (f"{self.train_characters:,} characters to learn from, {self.validation_characters:,} "
                f"held out, {self.tokenizer.kind} vocabulary of {self.tokenizer.size:,}")

    def metadata(self) -> dict[str, Any]:
        """Return what a model file records about its corpus."""
        return {"train_characters": self.train_characters, "train_tokens": len(self.train),
                "validation_characters": self.validation_characters, "corpus_digest": self.digest}


def _held_out_from(characters: int, fraction: float | None) -> int:
    """Return the start of the held-out part. Each part keeps at least its minimum.

    >>> _held_out_from(1_115_394, None)
    1003854
    """
    share = HELD_OUT if fraction is None else fraction
    # Rounded up, but not because of the last bit of a binary fraction.
    held_out = math.ceil(round(characters * share, 6))
    if fraction is None:
        held_out = min(held_out, MAX_HELD_OUT)
    return min(max(characters - held_out, 2), characters - 1)


def build_text_corpus(texts: Sequence[Text], *, tokenizer: str | Tokenizer | Extendable = "char",
                      vocabulary_size: int | None = None, validation: float | Text | None = None,
                      remember: bool = False) -> TextCorpus:
    """Read texts, train a tokenizer of this kind (or use or extend the given one), and encode.

    `validation` is a fraction, taken from the end, or another text. `remember` keeps a filter of the training part.
    Raises CorpusError for a text that is empty, too short or not UTF-8.
    """
    spool = Spool(itertools.chain.from_iterable(texts))
    names = ", ".join(text.name for text in texts)
    if not spool.characters:
        raise CorpusError(f"{names}: empty; there is nothing to learn")
    if spool.characters < MIN_CHARACTERS:
        raise CorpusError(f"{names}: {spool.characters} characters are too few; the minimum is {MIN_CHARACTERS}")
    trained = registry.train(tokenizer, spool, vocabulary_size=vocabulary_size)

    def cache(chunks: Iterable[str]) -> TokenCache:
        return TokenCache(encode_chunks(trained, chunks), vocabulary_size=trained.size)

    digest, remarks = spool.digest, []
    if isinstance(validation, Text):
        other, cut = Spool(validation), spool.characters
        if not other.characters:
            raise CorpusError(f"{validation.name}: empty; there is nothing to validate on")
        digest, held_out, held_out_characters = digest + other.digest, iter(other), other.characters
        remarks = [overlap_remark(shared_text(spool, other), "text")]
    else:
        cut = _held_out_from(spool.characters, validation)
        held_out, held_out_characters = spool.part(cut, spool.characters), spool.characters - cut
    corpus = TextCorpus(trained, cache(spool.part(0, cut)), cache(held_out), cut, held_out_characters, digest,
                        tuple(filter(None, remarks)),
                        Remembered.of(lambda: chunk_hashes(spool.part(0, cut), LENGTH)) if remember else None)
    if len(corpus.train) < 2 or not len(corpus.validation):
        raise CorpusError(f"{names}: {len(corpus.train)} tokens to learn from and {len(corpus.validation)} held out "
                          "are too few; use --tokenizer char")
    return corpus
