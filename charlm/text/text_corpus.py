"""From sources to two token caches: the training part and the held-out part.

    texts ─► Spool (private copy) ─► tokenizer fitted ─► TokenCache, TokenCache
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from charlm.errors import CorpusError
from charlm.text.reading import Text
from charlm.text.spool import Spool
from charlm.text.token_cache import TokenCache
from charlm.text.tokenizers import registry
from charlm.text.tokenizers.base import Tokenizer, encode_chunks
from charlm.text.tokenizers.registry import Extendable

HELD_OUT = 0.1                          # of the characters, from the end
MAX_HELD_OUT = 1_000_000               # characters, unless --validation says otherwise
MIN_CHARACTERS = 3                   # two to learn a transition from, one to be tested on


@dataclass(frozen=True)
class TextCorpus:
    """Tokens to learn from, tokens held out, and how many characters each part has."""

    tokenizer: Tokenizer
    train: TokenCache
    validation: TokenCache
    train_characters: int
    validation_characters: int
    digest: str                         # of the texts

    separate_source = None              # what is read and what is written share a tokenizer
    labels = line_hashes = None         # nor are there lines

    @property
    def source_tokenizer(self) -> Tokenizer:
        return self.tokenizer

    def describe(self) -> str:
        """One readable line: the sizes of both parts, and the vocabulary."""
        return (f"{self.train_characters:,} characters to learn from, {self.validation_characters:,} "
                f"held out, {self.tokenizer.kind} vocabulary of {self.tokenizer.size:,}")

    def metadata(self) -> dict:
        """What a model file says of its corpus."""
        return {"train_characters": self.train_characters, "train_tokens": len(self.train),
                "validation_characters": self.validation_characters, "corpus_digest": self.digest}


def _held_out_from(characters: int, fraction: float | None) -> int:
    """Where the held-out part begins; each part keeps at least what it needs.

    >>> _held_out_from(1_115_394, None)
    1003854
    """
    if fraction is None:
        held_out = min(_share(characters, HELD_OUT), MAX_HELD_OUT)
    else:
        held_out = _share(characters, fraction)
    return min(max(characters - held_out, 2), characters - 1)


def _share(characters: int, fraction: float) -> int:
    """The fraction rounded up, but not for the sake of a binary fraction's last bit."""
    return math.ceil(round(characters * fraction, 6))


def build_text_corpus(texts: Sequence[Text], *, tokenizer: str | Tokenizer | Extendable = "char", vocabulary_size: int | None = None,
            validation: float | Text | None = None) -> TextCorpus:
    """Read, fit, encode. `validation` is a fraction of the end, or another text. `tokenizer` is a kind, or
    one that is there already.

    Raises CorpusError for a text that is empty, too short or not UTF-8.
    """
    spool = Spool(itertools.chain.from_iterable(texts))
    names = ", ".join(text.name for text in texts)
    if not spool.characters:
        raise CorpusError(f"{names}: empty; there is nothing to learn")
    if spool.characters < MIN_CHARACTERS:
        raise CorpusError(f"{names}: {spool.characters} characters are too few; "
                          f"the minimum is {MIN_CHARACTERS}")
    fitted = registry.train(tokenizer, spool, vocabulary_size=vocabulary_size)
    other = None
    if isinstance(validation, Text):
        cut, other = spool.characters, Spool(validation)
        if not other.characters:
            raise CorpusError(f"{validation.name}: empty; there is nothing to validate on")
        held_out, held_out_characters = iter(other), other.characters
    else:
        cut = _held_out_from(spool.characters, validation)
        held_out, held_out_characters = spool.part(cut, spool.characters), spool.characters - cut

    def cache(chunks) -> TokenCache:
        return TokenCache(encode_chunks(fitted, chunks), vocabulary_size=fitted.size)

    corpus = TextCorpus(fitted, cache(spool.part(0, cut)), cache(held_out), cut,
                    held_out_characters, spool.digest + (other.digest if other else ""))
    spool.close()
    if len(corpus.train) < 2 or not len(corpus.validation):
        raise CorpusError(f"{names}: {len(corpus.train)} tokens to learn from and "
                          f"{len(corpus.validation)} held out are too few; use --tokenizer char")
    return corpus
