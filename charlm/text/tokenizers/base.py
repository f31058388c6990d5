"""What every tokenizer is, and what can be done with any of them.

Not here: the tokenizers themselves (characters.py, bytewise.py, subwords.py), nor which there are
(kinds.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np

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
    unsampleable_ids: tuple[int, ...]      # ids that no text contains
    unknown_id: int | None
    unknown_surprisal: float            # nats that an unknown token costs on top of its own

    def encode(self, text: str) -> np.ndarray: ...

    def stable_prefix(self, text: str) -> int:
        """How many characters can be encoded whatever follows them."""

    def decoder(self) -> Decoder: ...

    def display(self, index: int) -> str:
        """What an id stands for, to be looked at: part of a character as <0xE2>, no text as <unk>."""

    def tensors(self) -> dict[str, np.ndarray]:
        """What the model file must hold to rebuild this tokenizer."""


def encode_chunks(tokenizer: Tokenizer, chunks: Iterable[str]) -> Iterator[np.ndarray]:
    """Ids of a text that comes in chunks; the same ids however it was cut."""
    held = ""
    for chunk in chunks:
        held += chunk
        cut = tokenizer.stable_prefix(held)
        if cut:
            yield tokenizer.encode(held[:cut])
            held = held[cut:]
    if held:
        yield tokenizer.encode(held)


def token_spans(tokenizer: Tokenizer, text: str, ids: Iterable[int]) -> Iterator[tuple[str, int]]:
    """A text in the smallest parts that ids stand for, and how many ids each is.

    The ids of one character stay together. A part is the text's own, where an unknown one would decode
    to another.
    """
    decoder, at, held = tokenizer.decoder(), 0, 0
    for index in ids:
        held += 1
        if size := len(decoder.push((index,))):
            yield text[at:at + size], held
            at, held = at + size, 0


def tokens_containing(tokenizer: Tokenizer, characters: str) -> list[int]:
    """Ids whose text holds any of these characters."""
    return [token for token in range(tokenizer.size)
            if not set(characters).isdisjoint(decode(tokenizer, [token]))]


def decode(tokenizer: Tokenizer, ids: Iterable[int]) -> str:
    """The text that the ids stand for."""
    decoder = tokenizer.decoder()
    return decoder.push(ids) + decoder.flush()
