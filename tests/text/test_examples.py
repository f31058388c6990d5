"""Short sequences on disk, and batches of them: every row once, in order, no batch too large."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from charlm.text.examples import PADDED_TOKENS, Examples, batch_by_length, padded

SEQUENCES = st.lists(st.lists(st.integers(0, 299), max_size=9), min_size=1)


def together(sequences):
    """Yield sequences two at once: their ids one after the other, and their lengths."""
    for start in range(0, len(sequences), 2):
        few = sequences[start:start + 2]
        yield np.array(sum(few, []), np.int32), np.array([len(ids) for ids in few])


@settings(deadline=None)
@given(sequences=SEQUENCES.filter(any))
@example(sequences=[[], [1], [], [2, 3], []])
def test_every_sequence_is_kept(sequences):
    examples = Examples(together(sequences), vocabulary_size=300)
    assert len(examples) == len(sequences) and examples.lengths.tolist() == [len(ids) for ids in sequences]
    for index in reversed(range(len(sequences))):
        assert examples[index].tolist() == sequences[index] and examples[index].dtype == np.int64


def test_an_example_is_a_copy():
    examples = Examples(together([[1, 2]]), vocabulary_size=3)
    examples[0][:] = 0
    assert examples[0].tolist() == [1, 2]


@settings(deadline=None)
@given(sequences=SEQUENCES)
def test_padding_follows_the_sequences(sequences):
    rows = padded([np.array(ids, np.int64) for ids in sequences], -7)
    assert rows.shape == (len(sequences), max(map(len, sequences))) and rows.dtype == np.int64
    for row, ids in zip(rows.tolist(), sequences, strict=True):
        assert row == ids + [-7] * (len(row) - len(ids))


def batches_of(lengths, batch_size):
    return [range(*rows.indices(len(lengths))) for rows in batch_by_length(np.array(lengths, np.int64), batch_size)]


LENGTHS = st.lists(st.one_of(st.integers(0, 40), st.integers(0, 4 * PADDED_TOKENS), st.integers(10 ** 4, 10 ** 9)),
                   max_size=60)


@settings(deadline=None)
@given(lengths=LENGTHS, batch_size=st.integers(1, 9))
def test_every_row_is_in_exactly_one_batch_in_order(lengths, batch_size):
    batches = batches_of(lengths, batch_size)
    assert [row for rows in batches for row in rows] == list(range(len(lengths)))
    assert all(1 <= len(rows) <= batch_size for rows in batches)


@settings(deadline=None)
@given(lengths=LENGTHS, batch_size=st.integers(1, 9))
def test_padded_size_is_bounded_except_for_a_single_example(lengths, batch_size):
    for rows in batches_of(lengths, batch_size):
        longest = max(lengths[row] for row in rows)
        assert len(rows) == 1 or len(rows) * longest <= batch_size * PADDED_TOKENS


@settings(deadline=None)
@given(lengths=LENGTHS, batch_size=st.integers(1, 9))
def test_no_batch_has_room_for_one_more_row(lengths, batch_size):
    for rows in batches_of(lengths, batch_size):
        more = lengths[rows[0]:rows[-1] + 2]
        assert len(more) == len(rows) or len(rows) == batch_size \
            or len(more) * max(more) > batch_size * PADDED_TOKENS


@pytest.mark.parametrize("index", [0, 1, 3])
def test_a_huge_example_is_a_batch_of_one(index):
    lengths = [3, 3, 3]
    lengths.insert(index, 10 ** 9)
    assert range(index, index + 1) in batches_of(lengths, 2)


def test_batches_are_filled_exactly_to_the_bound():
    assert [len(rows) for rows in batches_of([PADDED_TOKENS] * 8, 4)] == [4, 4]
    assert [len(rows) for rows in batches_of([PADDED_TOKENS + 1] * 8, 4)] == [3, 3, 2]
