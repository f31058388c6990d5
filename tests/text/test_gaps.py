"""Gaps: where they may lie, and that a text cut by them is lost nowhere."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from charlm.text.cache import TokenCache
from charlm.text.gaps import (
    HELD_OUT_TEXTS, LONGEST_GAP, LONGEST_SOURCE, TOKENS_A_GAP, cut_gaps, draw_gaps, gap_characters, held_out_gaps)
from charlm.text.kinds import fit
from charlm.text.special import MARKS, boundary, mark

LETTERS = fit("char", ["abcdefgh\n"], vocabulary_size=None)
END = boundary(LETTERS)
LENGTHS = st.one_of(st.integers(2, 40), st.integers(2, 400))


def drawn(length, seed):
    return draw_gaps(length, np.random.default_rng(seed))


@settings(deadline=None)
@given(length=LENGTHS, seed=st.integers(0, 2 ** 32))
@example(length=2, seed=0)
@example(length=3, seed=0)
def test_gaps_lie_inside_in_order_and_apart(length, seed):
    gaps = drawn(length, seed)
    assert gaps[0][0] >= 0 and gaps[-1][1] <= length
    assert all(start < stop for start, stop in gaps)
    assert all(stop < start for (_, stop), (start, _) in zip(gaps, gaps[1:]))


@settings(deadline=None)
@given(length=LENGTHS, seed=st.integers(0, 2 ** 32))
def test_gaps_are_at_most_half_the_text_and_at_least_one(length, seed):
    gaps = drawn(length, seed)
    assert 1 <= len(gaps) <= min(MARKS, max(length // TOKENS_A_GAP, 1))
    assert 2 * sum(stop - start for start, stop in gaps) <= length
    assert all(stop - start <= LONGEST_GAP for start, stop in gaps)


def test_gaps_of_one_number_are_drawn_alike_and_others_not():
    assert drawn(100, 5) == drawn(100, 5)
    assert len({tuple(drawn(100, seed)) for seed in range(20)}) > 15


def test_gaps_come_to_every_place_in_every_number():
    many = [drawn(64, seed) for seed in range(300)]
    assert {place for gaps in many for start, stop in gaps for place in range(start, stop)} == set(range(64))
    assert {len(gaps) for gaps in many} == {1, 2, 3, 4}


def rebuilt(text):
    """The ids of a text, from what the encoder reads and the decoder writes."""
    fills = np.split(text.written, np.flatnonzero(text.written == END) + 1)[:-1]
    ids = []
    for token in text.source.tolist():
        ids += fills.pop(0)[:-1].tolist() if token > END else [token]
    assert not fills
    return ids


@settings(deadline=None)
@given(ids=st.lists(st.integers(0, LETTERS.size - 1), min_size=1, max_size=300), seed=st.integers(0, 2 ** 32))
def test_source_and_written_together_rebuild_the_text(ids, seed):
    gaps = drawn(len(ids), seed)
    text = cut_gaps(np.array(ids), gaps, LETTERS)
    assert rebuilt(text) == ids and text.gaps == len(gaps)
    assert [token for token in text.source if token > END] == [mark(LETTERS, gap) for gap in range(text.gaps)]
    assert len(text.source) + len(text.written) == len(ids) + 2 * text.gaps


@settings(deadline=None)
@given(ids=st.lists(st.integers(0, LETTERS.size - 1), min_size=1, max_size=300), seed=st.integers(0, 2 ** 32))
def test_decoder_is_fed_what_it_wrote_but_asked_for_every_gap_by_its_mark(ids, seed):
    text = cut_gaps(np.array(ids), drawn(len(ids), seed), LETTERS)
    first = np.concatenate([[True], text.written[:-1] == END])
    assert text.read[first].tolist() == [mark(LETTERS, gap) for gap in range(text.gaps)]
    assert (text.read[1:][~first[1:]] == text.written[:-1][~first[1:]]).all()


def test_gaps_cut_by_hand():
    ids = LETTERS.encode("abcdef")
    text = cut_gaps(ids, [(0, 1), (3, 5)], LETTERS)
    a, b, c, d, e, f = ids.tolist()
    first, second = mark(LETTERS, 0), mark(LETTERS, 1)
    assert text.source.tolist() == [first, b, c, second, f]
    assert text.read.tolist() == [first, a, second, d, e]
    assert text.written.tolist() == [a, END, d, e, END]
    assert {part.dtype.str for part in (text.source, text.read, text.written)} == {"<i8"}


def cache(size):
    return TokenCache([np.random.default_rng(0).integers(1, LETTERS.size, size)], vocabulary_size=LETTERS.size)


@pytest.mark.parametrize("size", [1, 2, 15, LONGEST_SOURCE - 1, LONGEST_SOURCE, LONGEST_SOURCE + 1, 1000])
def test_held_out_texts_are_pieces_of_the_text_from_its_start_to_its_end(size):
    tokens = cache(size)
    whole, texts = tokens.slice(0, size).tolist(), held_out_gaps(tokens, LETTERS)
    pieces = [rebuilt(text) for text in texts]
    assert len(texts) == max(size // LONGEST_SOURCE, 1)
    assert all(len(piece) == min(size, LONGEST_SOURCE) for piece in pieces)
    assert pieces[0] == whole[:LONGEST_SOURCE] and (len(texts) == 1 or pieces[-1] == whole[-LONGEST_SOURCE:])
    places = ["".join(map(chr, whole)).index("".join(map(chr, piece))) for piece in pieces]
    assert all(LONGEST_SOURCE <= after - before for before, after in zip(places, places[1:]))


def test_held_out_gaps_are_the_same_each_time():
    first, second = (held_out_gaps(cache(1000), LETTERS) for _ in range(2))
    assert all((one.source == other.source).all() and (one.written == other.written).all() for one, other in zip(first, second))


def test_of_a_long_text_only_so_many_pieces_are_held_out():
    assert len(held_out_gaps(cache((HELD_OUT_TEXTS + 50) * LONGEST_SOURCE), LETTERS)) == HELD_OUT_TEXTS


def test_characters_of_gaps_are_theirs_and_one_for_each_end():
    text = cut_gaps(LETTERS.encode("abcdef"), [(0, 1), (3, 5)], LETTERS)
    assert gap_characters([text, text], LETTERS) == 2 * (1 + 2 + 2)


@settings(deadline=None)
@given(text=st.text(st.sampled_from("aé€😀"), min_size=1, max_size=20))
@example(text="é")
def test_characters_of_gaps_do_not_depend_on_the_tokenizer(text):
    tokenizer = fit("byte", [], vocabulary_size=None)
    ids = tokenizer.encode(text)
    assert gap_characters([cut_gaps(ids, [(0, len(ids))], tokenizer)], tokenizer) == len(text) + 1
