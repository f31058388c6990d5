"""The ids beyond a tokenizer's, and the number of ids that each task's decoder and encoder have.

    0 … size-1          tokens
    size                begin and end (lines, pairs, fill): the first id is only read and the last only written, so that
                        one id serves for both
    size+1 …            labels (lines): one replaces the begin; they are only read
    size+1              the mask (fill): marks a gap in the source

Running text has tokens only, because it has no end.
"""

from __future__ import annotations

import numpy as np

from charlm.contract import IntArray, Tokenizer
from charlm.tasks import TASKS


def eos_id(tokenizer: Tokenizer) -> int:
    """Return the id that begins and ends what a decoder writes."""
    return tokenizer.size


def mask_id(tokenizer: Tokenizer) -> int:
    """Return the id that marks a gap in a source."""
    return tokenizer.size + 1


def label_id(tokenizer: Tokenizer, index: int) -> int:
    """Return the id of a label."""
    return tokenizer.size + 1 + index


def with_bos_eos(tokenizer: Tokenizer, ids: IntArray, label: int | None = None) -> IntArray:
    """Return ids (T,) between their begin, which is the label's id if one is given, and their end: int64 (T + 2,).

    A decoder reads all but the last id and writes all but the first.
    """
    begin = eos_id(tokenizer) if label is None else label_id(tokenizer, label)
    row = np.empty(len(ids) + 2, np.int64)
    row[0], row[1:-1], row[-1] = begin, ids, eos_id(tokenizer)
    return row


def with_bos_eos_each(tokenizer: Tokenizer, ids: IntArray, lengths: IntArray,
                      labels: IntArray | None = None) -> tuple[IntArray, IntArray]:
    """Apply `with_bos_eos` to concatenated rows; return the concatenated results and their lengths.

    >>> from charlm.text.tokenizers.byte import ByteTokenizer
    >>> with_bos_eos_each(ByteTokenizer(), np.array([65, 66]), np.array([2, 0]))[0].tolist()
    [256, 65, 66, 256, 256, 256]
    """
    lengths = lengths + 2
    stops = np.cumsum(lengths)
    rows = np.full(lengths.sum(), eos_id(tokenizer), np.int64)
    inside = np.ones(len(rows), bool)
    inside[stops - 1] = inside[stops - lengths] = False
    rows[inside] = ids
    if labels is not None:
        rows[stops - lengths] = label_id(tokenizer, 0) + labels
    return rows, lengths


def vocabulary_sizes(task: str, tokenizer: Tokenizer, source_tokenizer: Tokenizer) -> tuple[int, int]:
    """Return the number of ids that the decoder writes, and of those that an encoder reads."""
    row = TASKS[task]
    return tokenizer.size + row.ends_with_eos, source_tokenizer.size + row.extra_source_ids
