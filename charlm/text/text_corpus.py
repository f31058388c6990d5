"""From running text to two token caches, a training part and a held-out part.

    texts ─► Spool (private copy) ─► trained tokenizer ─► TokenCache, TokenCache
"""

from __future__ import annotations

import functools
import itertools
import math
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

from charlm.contract import Tokenizer
from charlm.errors import CorpusError
from charlm.text.kept_tokens import KeptCorpus, kept_file, load, path_of, write_table
from charlm.text.reading import Text, names_of
from charlm.text.remarks import overlap_remark, shared_text
from charlm.text.remembered import LENGTH, Remembered
from charlm.text.rolling_hashes import chunk_hashes
from charlm.text.spool import Spool
from charlm.text.temporary import IN_TMPDIR, TemporaryFiles
from charlm.text.token_cache import TokenCache, smallest_dtype
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
    remembered: Remembered | None = None        # filter of the training part

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
                      remember: bool = False, files: TemporaryFiles = IN_TMPDIR) -> TextCorpus:
    """Read texts, train a tokenizer of this kind (or use or extend the given one), and encode.

    `validation` is a fraction, taken from the end, or another text. `remember` keeps a filter of the training part.
    With a directory in `files`, the tokens are kept there and reused if the texts and options are the same.
    Raises CorpusError for a text that is empty, too short or not UTF-8.
    """
    spool, names = Spool(itertools.chain.from_iterable(texts), files), names_of(texts)
    if not spool.characters:
        raise CorpusError(f"{names}: empty; there is nothing to learn")
    if spool.characters < MIN_CHARACTERS:
        raise CorpusError(f"{names}: {spool.characters} characters are too few; the minimum is {MIN_CHARACTERS}")
    other, fraction = None, None
    if isinstance(validation, Text):
        other = Spool(validation, files)
        if not other.characters:
            raise CorpusError(f"{validation.name}: empty; there is nothing to validate on")
    else:
        fraction = validation
    parts = _Parts(spool, other, _held_out_from(spool.characters, fraction))

    def encoded(file: BinaryIO | None = None) -> KeptCorpus:
        trained = registry.train(tokenizer, spool, vocabulary_size=vocabulary_size)
        return parts.encode(trained, file or files.open(), files)

    if files.directory is None:
        corpus = TextCorpus(*encoded())
    else:
        path = path_of(files.directory, parts.digest, tokenizer=tokenizer, vocabulary_size=vocabulary_size,
                       validation=fraction)
        corpus = TextCorpus(*_kept(path, parts.digest, encoded, files))
    if remember:
        learned = functools.partial(spool.part, 0, corpus.train_characters)
        corpus = replace(corpus, remembered=Remembered.of(lambda: chunk_hashes(learned(), LENGTH)))
    if len(corpus.train) < 2 or not len(corpus.validation):
        raise CorpusError(f"{names}: {len(corpus.train)} tokens to learn from and {len(corpus.validation)} held out "
                          "are too few; use --tokenizer char")
    return corpus


def _kept(path: str, digest: str, encode: Callable[[BinaryIO], KeptCorpus], files: TemporaryFiles) -> KeptCorpus:
    """Return the corpus from a kept file, or encode the text and keep the result."""
    if (found := load(path, digest)) is not None:
        files.report(f"using the tokens of an earlier run: {path}")
        return found
    if os.path.exists(path):
        files.report(f"warning: {path} is damaged; the text is tokenized again")
    with kept_file(path) as file:
        corpus = encode(file)
        write_table(file, corpus)
    return corpus


@dataclass(frozen=True)
class _Parts:
    """A text and its held-out part, which is its end or another text."""

    text: Spool
    other: Spool | None
    cut: int                            # the first held-out character of the text

    @property
    def digest(self) -> str:
        return self.text.digest + (self.other.digest if self.other else "")

    def encode(self, tokenizer: Tokenizer, file: BinaryIO, files: TemporaryFiles) -> KeptCorpus:
        """Write the tokens of both parts to a file. Raises StorageError if the disk cannot hold them."""
        text, other = self.text, self.other
        cut = text.characters if other else self.cut
        held_out = other.characters if other else text.characters - cut
        sample = next(iter(text))
        tokens = len(tokenizer.encode(sample)) / len(sample) * (cut + held_out)
        files.announce("the token cache", tokens * smallest_dtype(tokenizer.size).itemsize)

        def cache(chunks: Iterable[str]) -> TokenCache:
            return TokenCache(encode_chunks(tokenizer, chunks), vocabulary_size=tokenizer.size, file=file)

        train, validation = cache(text.part(0, cut)), cache(other or text.part(cut, text.characters))
        remark = overlap_remark(shared_text(text, other), "text") if other else ""
        return KeptCorpus(tokenizer, train, validation, cut, held_out, self.digest, (remark,) if remark else ())
