"""Ids beyond a tokenizer's own, and how many each task's decoder and encoder have in all.

    0 … size-1          the tokenizer's
    size                the boundary (lines, pairs, fill): stands before the first token of what is
                        written, and ends it; one id serves, as the first is only read and the last
                        only written
    size+1 …            the labels (lines): one stands in the place of the first boundary, only ever read
    size+1              the gap (fill): stands in a source for what is missing

A stream has only the tokenizer's: text goes on for ever.
"""

from __future__ import annotations

import numpy as np

from charlm.tasks import TASKS
from charlm.text.tokenizers.base import Tokenizer


def eos_id(tokenizer: Tokenizer) -> int:
    return tokenizer.size


def mask_id(tokenizer: Tokenizer) -> int:
    return tokenizer.size + 1


def label_id(tokenizer: Tokenizer, number: int) -> int:
    return tokenizer.size + 1 + number


def with_bos_eos(tokenizer: Tokenizer, ids: np.ndarray, label: int | None = None) -> np.ndarray:
    """What is written, between its begin and its end: int64, two longer.

    A decoder reads all of it but the last id and writes all but the first. A label's number makes it
    begin with that label.
    """
    begin = eos_id(tokenizer) if label is None else label_id(tokenizer, label)
    row = np.empty(len(ids) + 2, np.int64)
    row[0], row[1:-1], row[-1] = begin, ids, eos_id(tokenizer)
    return row


def vocabulary_sizes(task: str, tokenizer: Tokenizer, source_tokenizer: Tokenizer) -> tuple[int, int]:
    """Return the number of ids that the decoder writes, and of ids that an encoder would read."""
    row = TASKS[task]
    return tokenizer.size + row.ends_with_eos, source_tokenizer.size + row.extra_source_ids
