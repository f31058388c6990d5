"""Clusters: what a terminal must show together."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.reports.clusters import clusters, width


def split(text):
    return [text[start:stop] for start, stop in clusters(text)]


@pytest.mark.parametrize("parts", [
    ["e\u0301", "a\u0308\u0323", "b"], ["म", "स्", "ते"], ["مَ", "رْ", "حَ"], ["👩\u200d👩\u200d👧", "a"], ["👍🏽", "👍"],
    ["🇩🇪", "🇫🇷", "🇩"], ["\u1112\u1161\u11ab", "\u1100"], ["日", "本"], ["☺\ufe0f"], ["\r", "\n"], ["\n", "\u0301"],
    ["\u0301", "a"], ["\x1b", "\u0301"]])
def test_letters_and_their_marks_stay_together(parts):
    assert split("".join(parts)) == parts


@given(st.text(st.sampled_from("aé\u0301\u200d👩🏽🇩日\n\t\x1b\u202eم\u064eक\u094dᄒ\u1161") | st.characters()))
def test_clusters_are_the_text_and_none_is_empty(text):
    assert "".join(split(text)) == text and all(split(text))
    for part in split(text)[1:]:
        previous = text[text.index(part) - 1:text.index(part)]
        assert not unicodedata.combining(part[0]) or previous < " " or previous == ""


@pytest.mark.parametrize("cluster, cells", [("a", 1), ("e\u0301", 1), ("日", 2), ("👩\u200d👧", 2), ("🇩🇪", 2),
                                            ("☺\ufe0f", 2), ("ｱ", 1), ("م", 1)])
def test_wide_characters_take_two_cells(cluster, cells):
    assert width(cluster) == cells
