"""Lines end only at newlines, wherever the chunks are cut."""

import itertools

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from charlm.text.reading import split_lines

TEXT = st.text(st.one_of(st.sampled_from("\n\r\n\r\n\n\x85\u2028\u2029\v\f\x1c\x1e\0\t"),
                         st.characters(exclude_categories=["Cs"])))


def expected_lines(text):
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    return lines


@settings(deadline=None)
@given(text=TEXT, cuts=st.lists(st.integers(0, 30)))
@example(text="a\r\nb", cuts=[2])
@example(text="\r\n\r\n", cuts=[1, 2, 3])
def test_lines_do_not_depend_on_chunk_borders(text, cuts):
    borders = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    chunks = [text[low:high] for low, high in itertools.pairwise(borders)]
    assert list(split_lines(chunks)) == expected_lines(text)


@settings(deadline=None)
@given(text=TEXT)
def test_single_characters_give_the_same_lines(text):
    assert list(split_lines(text)) == expected_lines(text)


@pytest.mark.parametrize("text, lines", [
    ("", []), ("\n", [""]), ("a", ["a"]), ("a\n", ["a"]), ("a\n\nb", ["a", "", "b"]), ("\n\n", ["", ""]),
    ("a\r\nb\r\n", ["a\r", "b\r"]), ("a\rb\n", ["a\rb"])], ids=ascii)
def test_lines_worked_by_hand(text, lines):
    assert list(split_lines([text])) == lines == expected_lines(text)


@pytest.mark.parametrize("character", "\u2028\u2029\x85\v\f\x1c\x1d\x1e\r\0", ids=ascii)
def test_no_other_character_ends_a_line(character):
    assert list(split_lines([f"a{character}b\nc"])) == [f"a{character}b", "c"]


def test_a_line_is_returned_before_the_next_chunk_is_read():
    def chunks():
        yield "a\nb"
        raise AssertionError("read too far")
    assert next(split_lines(chunks())) == "a"
