"""Text made safe for a terminal."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from charlm.reports.visible import visible


@given(st.text())
def test_no_control_survives_and_no_character_is_lost(text):
    shown = visible(text)
    assert len(shown) == len(text)
    assert not [c for c in shown if unicodedata.category(c) == "Cc" and c not in "\n\t"]


@given(st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs"])))
def test_ordinary_text_is_untouched(text):
    assert visible(text) == text


@given(st.text())
def test_what_is_visible_stays_as_it_is(text):
    assert visible(visible(text)) == visible(text)


def test_newline_and_tab_stay_and_controls_have_their_own_pictures():
    assert visible("a\n\tb") == "a\n\tb"
    assert visible("\x00\x07\r\x1b\x7f") == "␀␇␍␛␡"


def test_every_single_control_is_replaced():
    controls = [chr(code) for code in (*range(0x20), 0x7F, *range(0x80, 0xA0)) if chr(code) not in "\n\t"]
    assert [c for c in controls if visible(c) == c] == []


def test_characters_that_turn_the_writing_direction_do_not_pass():
    turning = [chr(code) for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))]
    assert visible("".join(turning)) == "\ufffd" * len(turning)
