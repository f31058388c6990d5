"""Gaps: where they can be, and that nothing of a text is lost when they are cut out."""

import itertools

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from charlm.text.gap_sampling import (
    MAX_GAP,
    MAX_HELD_OUT_TEXTS,
    MAX_SOURCE,
    TOKENS_PER_GAP,
    count_gap_characters,
    cut_gaps,
    draw_gaps,
    draw_max_length,
    gap_positions,
    held_out_gaps,
)
from charlm.text.special_tokens import eos_id, mask_id
from charlm.text.token_cache import TokenCache
from charlm.text.tokenizers.registry import train

LETTERS = train("char", ["abcdefgh\n"], vocabulary_size=None)
MASK = mask_id(LETTERS)
LENGTHS = st.one_of(st.integers(2, 40), st.integers(2, 400))
MAX_LENGTHS = st.integers(1, MAX_GAP)


def gaps_of(length, seed, max_length=8):
    return draw_gaps(length, np.random.default_rng(seed), max_length=max_length)


@settings(deadline=None)
@given(length=LENGTHS, seed=st.integers(0, 2 ** 32), max_length=MAX_LENGTHS)
@example(length=2, seed=0, max_length=MAX_GAP)
@example(length=3, seed=0, max_length=MAX_GAP)
def test_gaps_are_inside_the_text_in_order_and_apart(length, seed, max_length):
    gaps = gaps_of(length, seed, max_length)
    assert gaps[0][0] >= 0 and gaps[-1][1] <= length
    assert all(start < stop for start, stop in gaps)
    assert all(stop < start for (_, stop), (start, _) in itertools.pairwise(gaps))


@settings(deadline=None)
@given(length=LENGTHS, seed=st.integers(0, 2 ** 32), max_length=MAX_LENGTHS)
def test_there_are_gaps_in_at_most_half_the_text(length, seed, max_length):
    gaps = gaps_of(length, seed, max_length)
    assert 1 <= len(gaps) <= max(length // TOKENS_PER_GAP, 1)
    assert 2 * sum(stop - start for start, stop in gaps) <= length
    assert all(stop - start <= max_length for start, stop in gaps)


@pytest.mark.parametrize("max_length", [1, 2, 8, MAX_GAP])
def test_gaps_have_every_length_up_to_the_maximum(max_length):
    sizes = {stop - start for seed in range(400) for start, stop in gaps_of(MAX_SOURCE, seed, max_length)}
    assert sizes == set(range(1, max_length + 1))


def test_maximum_gap_length_of_a_batch_varies_and_is_mostly_small():
    rng = np.random.default_rng(0)
    max_length = [draw_max_length(rng) for _ in range(3000)]
    assert set(max_length) == set(range(1, MAX_GAP + 1))
    assert 4 <= np.median(max_length) <= 10


def test_gaps_depend_on_the_seed():
    assert gaps_of(100, 5) == gaps_of(100, 5)
    assert len({tuple(gaps_of(100, seed)) for seed in range(20)}) > 15


def test_gaps_occur_at_every_position_and_in_every_number():
    many = [gaps_of(64, seed) for seed in range(300)]
    assert {position for gaps in many for start, stop in gaps for position in range(start, stop)} == set(range(64))
    assert {len(gaps) for gaps in many} == {1, 2, 3, 4}


def rebuilt(text):
    """Return the ids of a text, put together from its source and its gaps."""
    missing = dict(zip(text.positions.tolist(), (ids.tolist() for ids in text.gaps), strict=True))
    return [index for position, token in enumerate(text.source.tolist()) for index in missing.get(position, [token])]


@settings(deadline=None)
@given(ids=st.lists(st.integers(0, LETTERS.size - 1), min_size=1, max_size=300), seed=st.integers(0, 2 ** 32))
def test_source_and_gaps_together_rebuild_the_text(ids, seed):
    gaps = gaps_of(len(ids), seed)
    text = cut_gaps(np.array(ids), gaps, LETTERS)
    assert rebuilt(text) == ids
    assert [gap_ids.tolist() for gap_ids in text.gaps] == [ids[start:stop] for start, stop in gaps]
    assert len(text.source) + sum(map(len, text.gaps)) == len(ids) + len(gaps)


@settings(deadline=None)
@given(ids=st.lists(st.integers(0, LETTERS.size - 1), min_size=1, max_size=300), seed=st.integers(0, 2 ** 32))
def test_the_mask_is_at_the_gap_positions_and_nowhere_else(ids, seed):
    text = cut_gaps(np.array(ids), gaps_of(len(ids), seed), LETTERS)
    assert [position for position, token in enumerate(text.source) if token == MASK] == text.positions.tolist()
    assert eos_id(LETTERS) not in text.source
    assert all(set(gap_ids.tolist()) <= set(range(LETTERS.size)) for gap_ids in text.gaps)


def test_two_gaps_worked_by_hand():
    ids = LETTERS.encode("abcdef")
    text = cut_gaps(ids, [(0, 1), (3, 5)], LETTERS)
    a, b, c, d, e, f = ids.tolist()
    assert text.source.tolist() == [MASK, b, c, MASK, f]
    assert text.positions.tolist() == [0, 3]
    assert [gap_ids.tolist() for gap_ids in text.gaps] == [[a], [d, e]]
    assert {part.dtype.str for part in (text.source, text.positions, *text.gaps)} == {"<i8"}


def test_a_gap_can_be_the_whole_text():
    text = cut_gaps(LETTERS.encode("abc"), [(0, 3)], LETTERS)
    assert text.source.tolist() == [MASK] and text.positions.tolist() == [0]
    assert [gap_ids.tolist() for gap_ids in text.gaps] == [LETTERS.encode("abc").tolist()]


def test_gap_positions_of_a_batch_are_in_the_order_of_its_texts():
    ids = LETTERS.encode("abcdef")
    texts = [cut_gaps(ids, gaps, LETTERS) for gaps in ([(0, 1), (3, 5)], [(5, 6)], [(0, 2), (3, 4), (5, 6)])]
    rows, positions = gap_positions(texts)
    assert rows.tolist() == [0, 0, 1, 2, 2, 2] and positions.tolist() == [0, 3, 5, 0, 2, 4]
    assert [texts[row].source[position] for row, position in zip(rows, positions, strict=True)] == [MASK] * 6


def cache(size):
    return TokenCache([np.random.default_rng(0).integers(1, LETTERS.size, size)], vocabulary_size=LETTERS.size)


@pytest.mark.parametrize("size", [1, 2, 15, MAX_SOURCE - 1, MAX_SOURCE, MAX_SOURCE + 1, 1000])
def test_held_out_pieces_cover_the_text_from_start_to_end(size):
    tokens = cache(size)
    whole, texts = tokens.slice(0, size).tolist(), held_out_gaps(tokens, LETTERS)
    pieces = [rebuilt(text) for text in texts]
    assert len(texts) == max(size // MAX_SOURCE, 1)
    assert all(len(piece) == min(size, MAX_SOURCE) for piece in pieces)
    assert pieces[0] == whole[:MAX_SOURCE] and (len(texts) == 1 or pieces[-1] == whole[-MAX_SOURCE:])
    starts = ["".join(map(chr, whole)).index("".join(map(chr, piece))) for piece in pieces]
    assert all(after - before >= MAX_SOURCE for before, after in itertools.pairwise(starts))


def test_held_out_gaps_are_the_same_for_every_call():
    first, second = (held_out_gaps(cache(1000), LETTERS) for _ in range(2))
    for text, same in zip(first, second, strict=True):
        assert text.source.tolist() == same.source.tolist() and text.positions.tolist() == same.positions.tolist()
        assert [ids.tolist() for ids in text.gaps] == [ids.tolist() for ids in same.gaps]


def test_held_out_gaps_are_short_and_long():
    texts = held_out_gaps(cache(300 * MAX_SOURCE), LETTERS)
    sizes = {len(ids) for text in texts for ids in text.gaps}
    assert min(sizes) == 1 and max(sizes) > MAX_GAP / 2


def test_the_number_of_held_out_pieces_is_limited():
    assert len(held_out_gaps(cache((MAX_HELD_OUT_TEXTS + 50) * MAX_SOURCE), LETTERS)) == MAX_HELD_OUT_TEXTS


def test_gap_characters_include_one_for_each_end():
    text = cut_gaps(LETTERS.encode("abcdef"), [(0, 1), (3, 5)], LETTERS)
    assert count_gap_characters([text, text], LETTERS) == 2 * (1 + 2 + 2)


@settings(deadline=None)
@given(text=st.text(st.sampled_from("aé€😀"), min_size=1, max_size=20))
@example(text="é")
def test_gap_characters_do_not_depend_on_the_tokenizer(text):
    tokenizer = train("byte", [], vocabulary_size=None)
    ids = tokenizer.encode(text)
    assert count_gap_characters([cut_gaps(ids, [(0, len(ids))], tokenizer)], tokenizer) == len(text) + 1
