"""What ids stand for: a text in the smallest parts that ids spell, and an id to be looked at.

Not here: ids as text again (test_tokenizer.py).
"""

import functools

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from charlm.text.tokenizers.base import decode, token_spans
from charlm.text.tokenizers.registry import train

PLAIN = "she sells sea shells by the sea shore\nthe shells she sells are surely sea shells\r\n" * 20
ODD = ("\0", "\ufeff", "\r", "\n", "\u2581", "\u2585", "\U0010ffff", "e\u0301", "\u00e9", "\u0301", "<unk>", "<0x41>", "\t", "\ufffd", "sea ")
TEXT = st.lists(st.one_of(st.sampled_from(ODD), st.text(st.characters(exclude_categories=["Cs"])))).map("".join)
KINDS = ("char", "byte", "bpe", "unigram")


@functools.lru_cache(maxsize=None)
def learned(kind):
    return train(kind, [PLAIN], vocabulary_size=None)


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None)
@given(text=TEXT)
@example(text="".join(ODD))
def test_parts_are_the_text_and_hold_every_id_once(kind, text):
    ids = learned(kind).encode(text).tolist()
    parts = list(token_spans(learned(kind), text, ids))
    assert "".join(part for part, _ in parts) == text and sum(count for _, count in parts) == len(ids)
    assert all(part and count > 0 for part, count in parts)


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None)
@given(text=TEXT)
@example(text="".join(ODD))
def test_each_part_is_what_its_ids_stand_for_or_one_unknown_character(kind, text):
    tokenizer, at = learned(kind), 0
    ids = tokenizer.encode(text).tolist()
    for part, count in token_spans(tokenizer, text, ids):
        own, at = ids[at:at + count], at + count
        assert decode(tokenizer, own) == part or own == [tokenizer.unknown_id] and len(part) == 1


@settings(deadline=None)
@given(text=TEXT)
def test_parts_of_characters_and_of_bytes_are_single_characters(text):
    assert list(token_spans(learned("char"), text, learned("char").encode(text).tolist())) == [(one, 1) for one in text]
    assert list(token_spans(learned("byte"), text, learned("byte").encode(text).tolist())) == [(one, len(one.encode())) for one in text]


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_parts_of_subwords_are_pieces_and_characters_made_of_byte_pieces(kind):
    parts = list(token_spans(learned(kind), "shells\u2581é", learned(kind).encode("shells\u2581é").tolist()))
    assert parts[-2:] == [("\u2581", 3), ("é", 2)] and all(count == 1 for _, count in parts[:-2]) and len(parts) < 8


def test_no_ids_spell_nothing():
    assert list(token_spans(learned("byte"), "", [])) == []


# Ids to be looked at


def pieces(tokenizer, text):
    return [tokenizer.display(index) for index in tokenizer.encode(text).tolist()]


@pytest.mark.parametrize("kind", KINDS)
def test_pieces_of_a_plain_text_join_to_it(kind):
    assert "".join(pieces(learned(kind), PLAIN)) == PLAIN


@pytest.mark.parametrize("kind", ["byte", "bpe", "unigram"])
def test_parts_of_a_character_are_shown_as_bytes(kind):
    assert pieces(learned(kind), "a\u2581\U0010ffff") == ["a", "<0xE2>", "<0x96>", "<0x81>", "<0xF4>", "<0x8F>", "<0xBF>", "<0xBF>"]


@pytest.mark.parametrize("kind", ["char", "bpe", "unigram"])
def test_what_is_no_text_is_shown_as_unknown(kind):
    tokenizer = learned(kind)
    assert [index for index in range(tokenizer.size) if tokenizer.display(index) == "<unk>"] == list(tokenizer.unsampleable_ids) == [0]


def test_unseen_characters_and_words_are_shown_as_unknown_and_a_replacement_character_as_itself():
    assert pieces(train("char", ["a\ufffd"], vocabulary_size=None), "a?\ufffd") == ["a", "<unk>", "\ufffd"]
    assert pieces(train("word", ["up down"], vocabulary_size=None), "down left up") == ["down", "<unk>", "up"]


def test_pieces_of_a_decomposed_text_are_letters_and_marks():
    assert pieces(train("nfd", ["éa"], vocabulary_size=None), "éa?") == ["e", "\u0301", "a", "<unk>"]


@pytest.mark.parametrize("kind", KINDS)
def test_ids_may_be_numbers_of_any_kind(kind):
    index = learned(kind).encode("s")[0]
    assert learned(kind).display(np.int64(index)) == learned(kind).display(int(index)) == "s"
