"""Ids beyond a tokenizer's own, and how many each task's decoder and encoder have in all.

    0 … size-1          the tokenizer's
    size                the boundary (pairs, fill): stands before the first token of what is written,
                        and ends it; one id serves, as the first is only read and the last only written
    size+1 …            the marks (fill): mark i stands in the source for gap i, and asks for it

A stream has only the tokenizer's: text goes on for ever.
"""

from __future__ import annotations

from charlm.text.tokenizer import Tokenizer

MARKS = 8                               # gaps that one source can have


def boundary(tokenizer: Tokenizer) -> int:
    return tokenizer.size


def mark(tokenizer: Tokenizer, gap: int) -> int:
    """The id of a gap, counted from 0 to MARKS - 1."""
    return tokenizer.size + 1 + gap


def vocabulary_sizes(task: str, tokenizer: Tokenizer, source_tokenizer: Tokenizer) -> tuple[int, int]:
    """Ids that the decoder knows, and ids that an encoder would read."""
    if task == "pairs":
        return tokenizer.size + 1, source_tokenizer.size
    size = tokenizer.size + (1 + MARKS if task == "fill" else 0)
    return size, size
