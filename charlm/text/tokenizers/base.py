"""Functions for any tokenizer: encoding in chunks, decoding, and finding the text of single ids."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from charlm.contract import IntArray, Tokenizer

NEWLINE = "\n"


class OneByOne(abc.ABC):
    """Base class of tokenizers that encode several texts one at a time."""

    @abc.abstractmethod
    def encode(self, text: str) -> IntArray:
        """Return the ids of a text, int32."""

    def encode_each(self, texts: Sequence[str]) -> tuple[IntArray, IntArray]:
        """Return the concatenated ids of several texts, int32, and the number of ids of each."""
        ids = [self.encode(text) for text in texts]
        return np.concatenate([np.zeros(0, np.int32), *ids]), np.array([*map(len, ids)], np.int64)


def encode_chunks(tokenizer: Tokenizer, chunks: Iterable[str]) -> Iterator[IntArray]:
    """Yield the ids of a text that comes in chunks. The ids do not depend on where it is cut."""
    held = ""
    for chunk in chunks:
        held += chunk
        cut = tokenizer.stable_prefix(held)
        if cut:
            yield tokenizer.encode(held[:cut])
            held = held[cut:]
    if held:
        yield tokenizer.encode(held)


def decode(tokenizer: Tokenizer, ids: Iterable[int]) -> str:
    """Return the text of the ids."""
    decoder = tokenizer.decoder()
    return decoder.push(ids) + decoder.flush()


def token_spans(tokenizer: Tokenizer, text: str, ids: Iterable[int]) -> Iterator[tuple[str, int]]:
    """Yield the shortest parts of a text that its ids spell, each with its number of ids.

    The ids of one character stay together. An unknown character is given as it is in the text, not as it decodes.
    """
    decoder, at, held = tokenizer.decoder(), 0, 0
    for index in ids:
        held += 1
        if size := len(decoder.push((index,))):
            yield text[at:at + size], held
            at, held = at + size, 0


def tokens_containing(tokenizer: Tokenizer, characters: str) -> list[int]:
    """Return the ids whose text contains any of these characters."""
    return [token for token in range(tokenizer.size) if not set(characters).isdisjoint(decode(tokenizer, [token]))]
