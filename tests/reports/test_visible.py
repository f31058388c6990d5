"""Text made safe for a terminal."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from charlm.reports.visible import visible


@given(st.text())
def test_no_control_remains_and_no_character_is_lost(text):
    shown = visible(text)
    assert len(shown) == len(text)
    assert not [c for c in shown if unicodedata.category(c) == "Cc" and c not in "\n\t"]


@given(st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs"])))
def test_ordinary_text_is_unchanged(text):
    assert visible(text) == text


@given(st.text())
def test_visible_is_idempotent(text):
    assert visible(visible(text)) == visible(text)


def test_newline_and_tab_are_kept_and_controls_become_pictures():
    assert visible("a\n\tb") == "a\n\tb"
    assert visible("\x00\x07\r\x1b\x7f") == "␀␇␍␛␡"


def test_every_control_character_is_replaced():
    controls = [chr(code) for code in (*range(0x20), 0x7F, *range(0x80, 0xA0)) if chr(code) not in "\n\t"]
    assert [c for c in controls if visible(c) == c] == []


def test_overrides_of_the_writing_direction_are_replaced():
    overrides = [chr(code) for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))]
    assert visible("".join(overrides)) == "\ufffd" * len(overrides)
