"""Which units tell the inside of something from its outside."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.errors import OptionError
from charlm.inference.units import QUESTIONS, areas_under_curve, question


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=40))
def test_the_area_is_the_share_of_pairs_in_order(rows):
    values, inside = np.array([value for value, _ in rows], float), np.array([mark for _, mark in rows])
    if inside.all() or not inside.any():
        return
    pairs = [(a > b) + (a == b) / 2 for a in values[inside] for b in values[~inside]]
    assert areas_under_curve(values[:, None], inside)[0] == pytest.approx(np.mean(pairs))


def marked(name, text):
    """Return the text with a dot for each character outside."""
    return "".join(character if inside else "." for character, inside in zip(text, question(name)(text), strict=True))


@pytest.mark.parametrize("name, text, expected", [
    ("quotes", 'a "b c" d "e', '.."b c......'), ("quotes", "x“y”z «w»", ".“y...«w."),
    ("brackets", "f(a[1])) {b", ".(a[1]...{b"), ("brackets", "a) (]", "...(]"),
    ("column", "abcdef\nab", "...def\n.."), ("word-start", "It is an o.", "I..i..a..o."),
    ("capitals", "aBÉ1", ".BÉ."), ("digits", "a1²٣", ".1²٣"), ("urls", "see http://a.b/c d", "....http://a.b/c.."),
    ("o+", "foo o", ".oo.o")])
def test_questions_mark_what_they_ask_for(name, text, expected):
    assert marked(name, text) == expected


@given(st.sampled_from([*QUESTIONS, "a|"]), st.text(st.sampled_from('a"“”([{)]}\nB1 http://w.'), max_size=30))
def test_every_question_answers_for_every_character(name, text):
    mask = question(name)(text)
    assert mask.dtype == bool and mask.shape == (len(text),)


def test_an_invalid_expression_is_a_wrong_option():
    with pytest.raises(OptionError, match="not a regular expression"):
        question("(")
