"""Coloured text: it is whole, in the right colours, and does a terminal no harm."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.reports.clusters import clusters
from charlm.reports.heat_map import ACTIVATION, BITS, RESET, Guessed, Style, coloured, harmless, table

FULL, CUBE = Style(True), Style(False)
SGR = re.compile(r"\x1b\[[\d;]*m")
HOSTILE = st.text(st.sampled_from("a\x1b[31m\x07\x9b\u202e\u2066\r\n\t\0\u0301日م\u200d👩")
                  | st.characters(codec="utf-8"))
FORBIDDEN = {*map(chr, range(0x20)), "\x7f", *map(chr, range(0x80, 0xA0)), *"\u202a\u202b\u202c\u202d\u202e",
             *"\u2066\u2067\u2068\u2069"} - {"\n"}


def seen(shown):
    """Return what a terminal shows, without its colours."""
    return SGR.sub("", shown)


@given(HOSTILE, st.booleans())
def test_nothing_that_a_terminal_obeys_passes_but_our_colours(text, true_colour):
    shown = coloured(text, [3.0] * len(text), BITS, Style(true_colour))
    rows = "".join(table([Guessed(part, 2.0, [(text, 0.5)]) for part in text], BITS, FULL, 40))
    for output in (shown, rows):
        assert not FORBIDDEN & set(seen(output))
    assert seen(shown).count("\n") == text.count("\n")
    assert not shown or shown.endswith((RESET, RESET + "\n"))


@given(st.text(st.characters(categories=["L", "N", "P", "S"]) | st.sampled_from(" \u0301")))
def test_text_without_control_characters_is_shown_as_it_is(text):
    if text and unicodedata.category(text[0])[0] != "M":
        assert seen(coloured(text, [1.0] * len(text), BITS, FULL)).replace("◌", "") == text.replace("◌", "")


def test_a_letter_and_its_marks_have_one_colour_of_their_sum():
    shown = coloured("e\u0301x", [1.5, 1.6, 0.1], BITS, FULL)
    assert shown == FULL.paint("e\u0301", BITS.colours[3]) + RESET + "x" + RESET


def test_a_newline_ends_its_colour():
    assert coloured("a\n", [0, 5], BITS, FULL) == RESET + "a" + FULL.paint("↵", BITS.colours[5]) + RESET + "\n"


@pytest.mark.parametrize("scale, value, level", [
    (BITS, 0.99, 0), (BITS, 1.0, 1), (BITS, 40, 9), (BITS, float("inf"), 9), (BITS, float("nan"), 0), (BITS, -1, 0),
    (ACTIVATION, -0.85, -4), (ACTIVATION, 0.1, 0), (ACTIVATION, 99, 4), (ACTIVATION, float("-inf"), -4)])
def test_levels(scale, value, level):
    assert scale.level(value) == level


@pytest.mark.parametrize("scale", [BITS, ACTIVATION])
def test_all_levels_differ_in_256_colours_and_grow_in_lightness(scale):
    painted = [CUBE.paint("", colour) for colour in scale.colours.values()]
    assert len(set(painted)) == len(painted)
    lightness = [0.299 * red + 0.587 * green + 0.114 * blue for red, green, blue in BITS.colours.values()]
    assert lightness == sorted(lightness)


@pytest.mark.parametrize("environ, style", [
    ({}, CUBE), ({"COLORTERM": "truecolor"}, FULL), ({"COLORTERM": "24bit", "TERM": "xterm"}, FULL),
    ({"NO_COLOR": "1", "COLORTERM": "truecolor"}, None), ({"NO_COLOR": ""}, CUBE), ({"TERM": "dumb"}, None)])
def test_the_environment_decides_on_colours(environ, style):
    assert Style.of_environment(environ) == style


def test_guesses_are_below_their_tokens_however_wide_they_are():
    tokens = [Guessed("a", 1, [("日", 0.9), ("b", 0.1)]), Guessed("日本", 5, [("c", 0.4), ("\n", 0.2)])]
    assert seen("".join(table(tokens, BITS, FULL, 80))).splitlines() == ["a 日本", "日c   ", "b ↵   ", ""]


@given(st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=9), st.integers(12, 30))
def test_rows_fit_the_terminal(texts, columns):
    for line in table([Guessed(text, 1, [("x", 1)]) for text in texts], BITS, FULL, columns):
        assert len([*clusters(seen(line).rstrip("\n"))]) <= columns


def test_a_mark_without_a_letter_gets_a_circle():
    assert harmless("\u0301a\n\t\x1b") == "◌\u0301a↵→   ␛"
