"""Special ids: different from each other and from all tokens, and exactly as many as a task has."""

import numpy as np
import pytest

from charlm.text.special_tokens import eos_id, label_id, mask_id, vocabulary_sizes, with_bos_eos, with_bos_eos_each
from charlm.text.tokenizers.registry import train

WRITES = train("char", ["abc\n"], vocabulary_size=None)       # 5 ids
READS = train("byte", [], vocabulary_size=None)               # 256 ids


@pytest.mark.parametrize("tokenizer", [WRITES, READS], ids=lambda tokenizer: tokenizer.kind)
def test_special_ids_follow_the_tokens(tokenizer):
    ids = [*range(tokenizer.size), eos_id(tokenizer), mask_id(tokenizer)]
    assert ids == list(range(vocabulary_sizes("fill", tokenizer, tokenizer)[1]))


def test_pairs_write_target_tokens_and_read_source_tokens():
    assert vocabulary_sizes("pairs", WRITES, READS) == (5 + 1, 256)


def test_running_text_has_tokens_only():
    assert vocabulary_sizes("text", WRITES, WRITES) == (5, 5)


def test_a_fill_model_reads_the_mask_and_cannot_write_it():
    assert vocabulary_sizes("fill", WRITES, WRITES) == (5 + 1, 5 + 2)
    assert eos_id(WRITES) < vocabulary_sizes("fill", WRITES, WRITES)[0] <= mask_id(WRITES)


# Lines


@pytest.mark.parametrize("tokenizer", [WRITES, READS], ids=lambda tokenizer: tokenizer.kind)
def test_labels_follow_the_end_id(tokenizer):
    ids = [*range(tokenizer.size), eos_id(tokenizer), *(label_id(tokenizer, number) for number in range(3))]
    assert ids == list(range(vocabulary_sizes("lines", tokenizer, tokenizer)[0] + 3))


def test_lines_write_tokens_and_an_end():
    assert vocabulary_sizes("lines", WRITES, WRITES)[0] == 5 + 1


@pytest.mark.parametrize("label, begin", [(None, 5), (0, 6), (2, 8)])
@pytest.mark.parametrize("ids", [[], [3], [1, 4, 4]])
def test_a_row_begins_with_its_label_or_begin_and_ends_with_eos(ids, label, begin):
    row = with_bos_eos(WRITES, np.array(ids, np.int32), label)
    assert row.tolist() == [begin, *ids, 5] and row.dtype == np.int64


@pytest.mark.parametrize("labels", [None, [0, 2, 1]])
def test_many_rows_are_framed_as_each_alone(labels):
    rows = [[3], [], [1, 4, 4]]
    ids, lengths = with_bos_eos_each(WRITES, np.array(sum(rows, []), np.uint8), np.array([*map(len, rows)]),
                                     None if labels is None else np.array(labels))
    alone = [with_bos_eos(WRITES, np.array(row, np.int32), label).tolist()
             for row, label in zip(rows, labels or [None] * 3, strict=True)]
    assert ids.tolist() == sum(alone, []) and lengths.tolist() == [*map(len, alone)]


def test_a_row_is_a_copy():
    ids = np.array([1, 2])
    with_bos_eos(WRITES, ids)[:] = 0
    assert ids.tolist() == [1, 2]


def test_a_row_holds_ids_too_large_for_small_types():
    assert with_bos_eos(READS, np.array([255], np.uint8), 4000).tolist() == [4257, 255, 256]
