"""What every tokenizer is, and the one place that knows their names.

Not here: any tokenizer itself (characters.py, bytewise.py, subwords.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import numpy as np

from charlm.errors import ModelFileError

NEWLINE = "\n"


class Decoder(Protocol):
    """Turns ids into text as they come; an unfinished character is held back."""

    def push(self, ids: Iterable[int]) -> str: ...

    def flush(self) -> str: ...


class Tokenizer(Protocol):
    """Text to ids and back.

    `decode(encode(text)) == text` on every text (for `char`: of known characters).
    """

    kind: str
    size: int                           # ids run from 0 to size - 1
    start_id: int                       # stands before the first token of a text: its context
    never_sampled: tuple[int, ...]      # ids that no text contains
    unknown_id: int | None
    unknown_surprisal: float            # nats that an unknown token costs on top of its own

    def encode(self, text: str) -> np.ndarray: ...

    def settled(self, text: str) -> int:
        """How many characters can be encoded whatever follows them."""

    def decoder(self) -> Decoder: ...

    def tensors(self) -> dict[str, np.ndarray]:
        """What the model file must hold to rebuild this tokenizer."""


def encode_chunks(tokenizer: Tokenizer, chunks: Iterable[str]) -> Iterator[np.ndarray]:
    """Ids of a text that comes in chunks; the same ids however it was cut."""
    held = ""
    for chunk in chunks:
        held += chunk
        cut = tokenizer.settled(held)
        if cut:
            yield tokenizer.encode(held[:cut])
            held = held[cut:]
    if held:
        yield tokenizer.encode(held)


def decode(tokenizer: Tokenizer, ids: Iterable[int]) -> str:
    """The text that the ids stand for."""
    decoder = tokenizer.decoder()
    return decoder.push(ids) + decoder.flush()


def fit(kind: str, text: Callable[[], Iterable[str]], *, vocabulary_size: int | None) -> Tokenizer:
    """A tokenizer for this text; `text()` starts a fresh pass over its chunks.

    Raises UsageError when `vocabulary_size` does not suit the kind or the text.
    """
    if kind == "char":
        from charlm.text.characters import CharacterTokenizer
        return CharacterTokenizer.fit(text(), vocabulary_size=vocabulary_size)
    if kind == "byte":
        from charlm.text.bytewise import ByteTokenizer
        return ByteTokenizer.fit(vocabulary_size=vocabulary_size)
    from charlm.text.subwords import SubwordTokenizer
    return SubwordTokenizer.fit(kind, text(), vocabulary_size=vocabulary_size)


def rebuild(kind: str, tensors: dict[str, np.ndarray]) -> Tokenizer:
    """The tokenizer of a model file; ModelFileError when it is not one."""
    if kind == "char":
        from charlm.text.characters import CharacterTokenizer
        return CharacterTokenizer.rebuild(tensors)
    if kind == "byte":
        from charlm.text.bytewise import ByteTokenizer
        return ByteTokenizer()
    if kind in ("bpe", "unigram"):
        from charlm.text.subwords import SubwordTokenizer
        return SubwordTokenizer.rebuild(kind, tensors)
    raise ModelFileError(f"unknown tokenizer {kind!r}")


def tensor_shapes(kind: str) -> dict[str, tuple[str, int]]:
    """Names of a tokenizer's tensors: (dtype, number of dimensions); lengths are free."""
    return {"char": {"tokenizer.characters": ("U32", 1)}, "byte": {},
            "bpe": {"tokenizer.sentencepiece": ("U8", 1)},
            "unigram": {"tokenizer.sentencepiece": ("U8", 1)}}.get(kind, {})
