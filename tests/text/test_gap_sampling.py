"""Gaps: where they may lie, and that a text cut by them is lost nowhere."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from charlm.text.gap_sampling import (
    HELD_OUT_TEXTS,
    MAX_GAP,
    MAX_SOURCE,
    TOKENS_A_GAP,
    gap_positions,
    cut_gaps,
    draw_gaps,
    draw_max_length,
    count_gap_characters,
    held_out_gaps,
)
from charlm.text.special_tokens import eos_id, mask_id
from charlm.text.token_cache import TokenCache
from charlm.text.tokenizers.registry import train

LETTERS = train("char", ["abcdefgh\n"], vocabulary_size=None)
GAP = mask_id(LETTERS)
LENGTHS = st.one_of(st.integers(2, 40), st.integers(2, 400))


LONGEST = st.integers(1, MAX_GAP)


def drawn(length, seed, longest=8):
    return draw_gaps(length, np.random.default_rng(seed), longest=longest)


@settings(deadline=None)
@given(length=LENGTHS, seed=st.integers(0, 2 ** 32), longest=LONGEST)
@example(length=2, seed=0, longest=MAX_GAP)
@example(length=3, seed=0, longest=MAX_GAP)
def test_gaps_lie_inside_in_order_and_apart(length, seed, longest):
    gaps = drawn(length, seed, longest)
    assert gaps[0][0] >= 0 and gaps[-1][1] <= length
    assert all(start < stop for start, stop in gaps)
    assert all(stop < start for (_, stop), (start, _) in zip(gaps, gaps[1:]))


@settings(deadline=None)
@given(length=LENGTHS, seed=st.integers(0, 2 ** 32), longest=LONGEST)
def test_gaps_are_at_most_half_the_text_and_at_least_one(length, seed, longest):
    gaps = drawn(length, seed, longest)
    assert 1 <= len(gaps) <= max(length // TOKENS_A_GAP, 1)
    assert 2 * sum(stop - start for start, stop in gaps) <= length
    assert all(stop - start <= longest for start, stop in gaps)


@pytest.mark.parametrize("longest", [1, 2, 8, MAX_GAP])
def test_gaps_come_in_every_length_up_to_the_longest(longest):
    sizes = {stop - start for seed in range(400) for start, stop in drawn(MAX_SOURCE, seed, longest)}
    assert sizes == set(range(1, longest + 1))


def test_the_longest_gap_of_a_batch_may_be_any_up_to_the_longest_of_all_and_mostly_a_few():
    chance = np.random.default_rng(0)
    longest = [draw_max_length(chance) for _ in range(3000)]
    assert set(longest) == set(range(1, MAX_GAP + 1))
    assert 4 <= np.median(longest) <= 10


def test_gaps_of_one_number_are_drawn_alike_and_others_not():
    assert drawn(100, 5) == drawn(100, 5)
    assert len({tuple(drawn(100, seed)) for seed in range(20)}) > 15


def test_gaps_come_to_every_place_in_every_number():
    many = [drawn(64, seed) for seed in range(300)]
    assert {place for gaps in many for start, stop in gaps for place in range(start, stop)} == set(range(64))
    assert {len(gaps) for gaps in many} == {1, 2, 3, 4}


def rebuilt(text):
    """The ids of a text, from what the encoder reads and what is missing in it."""
    missing = dict(zip(text.positions.tolist(), (ids.tolist() for ids in text.gaps), strict=True))
    return [one for place, token in enumerate(text.source.tolist()) for one in missing.get(place, [token])]


@settings(deadline=None)
@given(ids=st.lists(st.integers(0, LETTERS.size - 1), min_size=1, max_size=300), seed=st.integers(0, 2 ** 32))
def test_source_and_gaps_together_rebuild_the_text(ids, seed):
    gaps = drawn(len(ids), seed)
    text = cut_gaps(np.array(ids), gaps, LETTERS)
    assert rebuilt(text) == ids
    assert [one.tolist() for one in text.gaps] == [ids[start:stop] for start, stop in gaps]
    assert len(text.source) + sum(map(len, text.gaps)) == len(ids) + len(gaps)


@settings(deadline=None)
@given(ids=st.lists(st.integers(0, LETTERS.size - 1), min_size=1, max_size=300), seed=st.integers(0, 2 ** 32))
def test_a_gap_is_marked_where_its_place_is_and_nowhere_else_whatever_the_text_holds(ids, seed):
    text = cut_gaps(np.array(ids), drawn(len(ids), seed), LETTERS)
    assert [place for place, token in enumerate(text.source) if token == GAP] == text.positions.tolist()
    assert eos_id(LETTERS) not in text.source
    assert all(set(one.tolist()) <= set(range(LETTERS.size)) for one in text.gaps)


def test_gaps_cut_by_hand():
    ids = LETTERS.encode("abcdef")
    text = cut_gaps(ids, [(0, 1), (3, 5)], LETTERS)
    a, b, c, d, e, f = ids.tolist()
    assert text.source.tolist() == [GAP, b, c, GAP, f]
    assert text.positions.tolist() == [0, 3]
    assert [one.tolist() for one in text.gaps] == [[a], [d, e]]
    assert {part.dtype.str for part in (text.source, text.positions, *text.gaps)} == {"<i8"}


def test_a_gap_may_be_all_there_is():
    text = cut_gaps(LETTERS.encode("abc"), [(0, 3)], LETTERS)
    assert text.source.tolist() == [GAP] and text.positions.tolist() == [0]
    assert [one.tolist() for one in text.gaps] == [LETTERS.encode("abc").tolist()]


def test_places_of_a_batch_are_those_of_its_texts_in_their_order():
    ids = LETTERS.encode("abcdef")
    texts = [cut_gaps(ids, gaps, LETTERS) for gaps in ([(0, 1), (3, 5)], [(5, 6)], [(0, 2), (3, 4), (5, 6)])]
    rows, positions = gap_positions(texts)
    assert rows.tolist() == [0, 0, 1, 2, 2, 2] and positions.tolist() == [0, 3, 5, 0, 2, 4]
    assert [texts[row].source[position] for row, position in zip(rows, positions)] == [GAP] * 6


def cache(size):
    return TokenCache([np.random.default_rng(0).integers(1, LETTERS.size, size)], vocabulary_size=LETTERS.size)


@pytest.mark.parametrize("size", [1, 2, 15, MAX_SOURCE - 1, MAX_SOURCE, MAX_SOURCE + 1, 1000])
def test_held_out_texts_are_pieces_of_the_text_from_its_start_to_its_end(size):
    tokens = cache(size)
    whole, texts = tokens.slice(0, size).tolist(), held_out_gaps(tokens, LETTERS)
    pieces = [rebuilt(text) for text in texts]
    assert len(texts) == max(size // MAX_SOURCE, 1)
    assert all(len(piece) == min(size, MAX_SOURCE) for piece in pieces)
    assert pieces[0] == whole[:MAX_SOURCE] and (len(texts) == 1 or pieces[-1] == whole[-MAX_SOURCE:])
    places = ["".join(map(chr, whole)).index("".join(map(chr, piece))) for piece in pieces]
    assert all(MAX_SOURCE <= after - before for before, after in zip(places, places[1:]))


def test_held_out_gaps_are_the_same_each_time():
    first, second = (held_out_gaps(cache(1000), LETTERS) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        assert one.source.tolist() == other.source.tolist() and one.positions.tolist() == other.positions.tolist()
        assert [ids.tolist() for ids in one.gaps] == [ids.tolist() for ids in other.gaps]


def test_held_out_gaps_are_of_all_lengths():
    texts = held_out_gaps(cache(300 * MAX_SOURCE), LETTERS)
    sizes = {len(ids) for text in texts for ids in text.gaps}
    assert min(sizes) == 1 and max(sizes) > MAX_GAP / 2


def test_of_a_long_text_only_so_many_pieces_are_held_out():
    assert len(held_out_gaps(cache((HELD_OUT_TEXTS + 50) * MAX_SOURCE), LETTERS)) == HELD_OUT_TEXTS


def test_characters_of_gaps_are_theirs_and_one_for_each_end():
    text = cut_gaps(LETTERS.encode("abcdef"), [(0, 1), (3, 5)], LETTERS)
    assert count_gap_characters([text, text], LETTERS) == 2 * (1 + 2 + 2)


@settings(deadline=None)
@given(text=st.text(st.sampled_from("aé€😀"), min_size=1, max_size=20))
@example(text="é")
def test_characters_of_gaps_do_not_depend_on_the_tokenizer(text):
    tokenizer = train("byte", [], vocabulary_size=None)
    ids = tokenizer.encode(text)
    assert count_gap_characters([cut_gaps(ids, [(0, len(ids))], tokenizer)], tokenizer) == len(text) + 1
