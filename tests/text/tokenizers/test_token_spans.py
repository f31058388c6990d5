"""The text of single ids: the spans of a text that its ids spell, and ids displayed for a reader.

Not here: decoding (test_round_trips.py).
"""

import functools

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from charlm.text.tokenizers.base import decode, token_spans
from charlm.text.tokenizers.registry import train

PLAIN = "she sells sea shells by the sea shore\nthe shells she sells are surely sea shells\r\n" * 20
ODD = ("\0", "\ufeff", "\r", "\n", "\u2581", "\u2585", "\U0010ffff", "e\u0301", "\u00e9", "\u0301", "<unk>", "<0x41>",
       "\t", "\ufffd", "sea ")
TEXT = st.lists(st.one_of(st.sampled_from(ODD), st.text(st.characters(exclude_categories=["Cs"])))).map("".join)
KINDS = ("char", "byte", "bpe", "unigram")


@functools.cache
def learned(kind):
    return train(kind, [PLAIN], vocabulary_size=None)


def spans_of(kind, text):
    return list(token_spans(learned(kind), text, learned(kind).encode(text).tolist()))


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None)
@given(text=TEXT)
@example(text="".join(ODD))
def test_spans_join_to_the_text_and_count_every_id_once(kind, text):
    ids = learned(kind).encode(text).tolist()
    spans = spans_of(kind, text)
    assert "".join(span for span, _ in spans) == text and sum(count for _, count in spans) == len(ids)
    assert all(span and count > 0 for span, count in spans)


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None)
@given(text=TEXT)
@example(text="".join(ODD))
def test_each_span_is_the_text_of_its_ids_or_an_unknown_character(kind, text):
    tokenizer, at = learned(kind), 0
    ids = tokenizer.encode(text).tolist()
    for span, count in token_spans(tokenizer, text, ids):
        span_ids, at = ids[at:at + count], at + count
        assert decode(tokenizer, span_ids) == span or span_ids == [tokenizer.unknown_id] and len(span) == 1


@settings(deadline=None)
@given(text=TEXT)
def test_spans_of_char_and_byte_are_single_characters(text):
    assert spans_of("char", text) == [(character, 1) for character in text]
    assert spans_of("byte", text) == [(character, len(character.encode())) for character in text]


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_spans_of_subwords_are_pieces_and_whole_characters(kind):
    spans = spans_of(kind, "shells\u2581é")
    assert spans[-2:] == [("\u2581", 3), ("é", 2)] and all(count == 1 for _, count in spans[:-2]) and len(spans) < 8


def test_no_ids_have_no_spans():
    assert spans_of("byte", "") == []


# Displayed ids


def displayed(tokenizer, text):
    return [tokenizer.display(index) for index in tokenizer.encode(text).tolist()]


@pytest.mark.parametrize("kind", KINDS)
def test_displayed_ids_of_a_plain_text_join_to_it(kind):
    assert "".join(displayed(learned(kind), PLAIN)) == PLAIN


@pytest.mark.parametrize("kind", ["byte", "bpe", "unigram"])
def test_parts_of_a_character_are_displayed_as_bytes(kind):
    assert displayed(learned(kind), "a\u2581\U0010ffff") == [
        "a", "<0xE2>", "<0x96>", "<0x81>", "<0xF4>", "<0x8F>", "<0xBF>", "<0xBF>"]


@pytest.mark.parametrize("kind", ["char", "bpe", "unigram"])
def test_ids_without_text_are_displayed_as_unknown(kind):
    tokenizer = learned(kind)
    without_text = [index for index in range(tokenizer.size) if tokenizer.display(index) == "<unk>"]
    assert without_text == list(tokenizer.unsampleable_ids) == [0]


def test_unseen_symbols_are_displayed_as_unknown():
    assert displayed(train("char", ["a\ufffd"], vocabulary_size=None), "a?\ufffd") == ["a", "<unk>", "\ufffd"]
    assert displayed(train("word", ["up down"], vocabulary_size=None), "down left up") == ["down", "<unk>", "up"]


def test_ids_of_a_decomposed_text_are_displayed_as_letters_and_marks():
    assert displayed(train("nfd", ["éa"], vocabulary_size=None), "éa?") == ["e", "\u0301", "a", "<unk>"]


@pytest.mark.parametrize("kind", KINDS)
def test_ids_can_be_any_integer_type(kind):
    index = learned(kind).encode("s")[0]
    assert learned(kind).display(np.int64(index)) == learned(kind).display(int(index)) == "s"
