"""Ids beyond a tokenizer's own: apart from each other and from all tokens, and exactly as many as a task has."""

import pytest

from charlm.text.kinds import fit
from charlm.text.special import boundary, gap, vocabulary_sizes

WRITES = fit("char", ["abc\n"], vocabulary_size=None)       # 5 ids
READS = fit("byte", [], vocabulary_size=None)               # 256 ids


@pytest.mark.parametrize("tokenizer", [WRITES, READS], ids=lambda tokenizer: tokenizer.kind)
def test_ids_follow_each_other_without_a_hole(tokenizer):
    ids = [*range(tokenizer.size), boundary(tokenizer), gap(tokenizer)]
    assert ids == list(range(vocabulary_sizes("fill", tokenizer, tokenizer)[1]))


def test_pairs_write_tokens_and_a_boundary_and_read_the_sources_tokens():
    assert vocabulary_sizes("pairs", WRITES, READS) == (5 + 1, 256)


def test_a_stream_has_no_ids_but_the_tokenizers():
    assert vocabulary_sizes("stream", WRITES, WRITES) == (5, 5)


def test_a_fill_model_reads_gaps_and_cannot_write_one():
    assert vocabulary_sizes("fill", WRITES, WRITES) == (5 + 1, 5 + 2)
    assert boundary(WRITES) < vocabulary_sizes("fill", WRITES, WRITES)[0] <= gap(WRITES)
