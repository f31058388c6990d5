"""Ids beyond a tokenizer's own, and how many each task's decoder and encoder have in all.

    0 … size-1          the tokenizer's
    size                the boundary (pairs, fill): stands before the first token of what is written,
                        and ends it; one id serves, as the first is only read and the last only written
    size+1              the gap (fill): stands in a source for what is missing

A stream has only the tokenizer's: text goes on for ever.
"""

from __future__ import annotations

from charlm.text.tokenizer import Tokenizer


def boundary(tokenizer: Tokenizer) -> int:
    return tokenizer.size


def gap(tokenizer: Tokenizer) -> int:
    return tokenizer.size + 1


def vocabulary_sizes(task: str, tokenizer: Tokenizer, source_tokenizer: Tokenizer) -> tuple[int, int]:
    """Ids that the decoder knows, and ids that an encoder would read."""
    return {"stream": (tokenizer.size, tokenizer.size),
            "pairs": (tokenizer.size + 1, source_tokenizer.size),
            "fill": (tokenizer.size + 1, tokenizer.size + 2)}[task]
