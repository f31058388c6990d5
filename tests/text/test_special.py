"""Ids beyond a tokenizer's own: apart from each other and from all tokens, and exactly as many as a task has."""

import pytest

from charlm.text.kinds import fit
from charlm.text.special import MARKS, boundary, mark, vocabulary_sizes

WRITES = fit("char", ["abc\n"], vocabulary_size=None)       # 5 ids
READS = fit("byte", [], vocabulary_size=None)               # 256 ids


@pytest.mark.parametrize("tokenizer", [WRITES, READS], ids=lambda tokenizer: tokenizer.kind)
def test_ids_follow_each_other_without_a_hole(tokenizer):
    ids = [*range(tokenizer.size), boundary(tokenizer), *(mark(tokenizer, gap) for gap in range(MARKS))]
    assert ids == list(range(vocabulary_sizes("fill", tokenizer, tokenizer)[0]))


def test_pairs_write_tokens_and_a_boundary_and_read_the_sources_tokens():
    assert vocabulary_sizes("pairs", WRITES, READS) == (5 + 1, 256)


def test_a_stream_has_no_ids_but_the_tokenizers():
    assert vocabulary_sizes("stream", WRITES, WRITES) == (5, 5)


def test_a_fill_model_reads_and_writes_the_same_ids():
    assert vocabulary_sizes("fill", WRITES, WRITES) == (5 + 1 + 8,) * 2
