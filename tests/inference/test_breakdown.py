"""The kinds of characters that a loss divides into, and edits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlm.inference.breakdown import KINDS, character_kinds, edits, nats_by_character, words_of
from charlm.inference.evaluation import edit_distance
from charlm.inference.line_scoring import TextScore
from charlm.text.tokenizers.registry import train

SIGNS = dict(zip(KINDS, "wiNU1_.$", strict=True))


def signs(text, known=None):
    """Return one sign for each character: w word start, i inside, N unseen name, U unseen word, 1 _ . $."""
    return "".join(SIGNS[KINDS[kind]] for kind in character_kinds(text, known))


@pytest.mark.parametrize("text, known, expected", [
    ("It's 10 p.m.\r\n", None, "wiii_11_w.w.$$"), ("a\rb\n\n", None, "w_w$$"), ("'tis x_y", None, ".wii_w.w"),
    ("The Ñandú saw", {"The"}, "wii_NNNNN_UUU"), ("", None, "")])
def test_every_character_has_its_kind(text, known, expected):
    assert signs(text, known) == expected


@given(st.text(st.sampled_from("aB1 '.\r\n\té日\u0301"), max_size=30))
def test_a_text_of_known_words_has_no_unseen_ones(text):
    assert signs(text, words_of(text)) == signs(text)
    assert len(signs(text, set())) == len(text)


@given(*[st.text(st.sampled_from("abc"), max_size=8)] * 2)
def test_edits_are_as_few_as_the_edit_distance(one, other):
    found = list(edits(one, other))
    assert len(found) == edit_distance(one, other)
    assert sum(bool(wanted) - bool(written) for wanted, written in found) == len(other) - len(one)


@pytest.mark.parametrize("kind", ["char", "byte", "bpe"])
def test_the_nats_of_characters_sum_to_those_of_tokens(kind):
    texts = ["the cat ate\n", "é the 日\n"]
    tokenizer = train(kind, texts * 20, vocabulary_size=None)
    ids = [tokenizer.encode(text) for text in texts]
    nats = np.arange(1.0, 1 + sum(map(len, ids)))
    scores = [TextScore(text, row, np.zeros(len(row))) for text, row in zip(texts, ids, strict=True)]
    text, shares = nats_by_character(scores, nats, tokenizer)
    assert text == "".join(texts) and len(shares) == len(text)
    assert shares.sum() == pytest.approx(nats.sum())
    assert shares[:len(texts[0])].sum() == pytest.approx(nats[:len(ids[0])].sum())
