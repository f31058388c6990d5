"""The most surprising stretch of a text, against a search of all stretches."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.inference.line_scoring import TextScore, bits_by_span
from charlm.inference.stretches import worst_stretch
from charlm.text.special_tokens import with_bos_eos
from charlm.text.tokenizers.registry import train

BOOK = "the cat sat on the mat, señor;\nno dog ate what the cat ate\n" * 20
TOKENIZERS = {kind: train(kind, [BOOK], vocabulary_size=None) for kind in ("char", "byte", "bpe")}


def score_of(tokenizer, text, *, end, seed=0):
    """Return a score of a text, with the end of a line if `end`, in which every token has a random cost."""
    ids = tokenizer.encode(text)
    ids = with_bos_eos(tokenizer, ids)[1:] if end else ids
    return TextScore(text + "\n" * end, ids, np.random.default_rng(seed).random(len(ids)))


@pytest.mark.parametrize("kind", TOKENIZERS)
@given(text=st.text("the cat, é🐈\t", max_size=30), length=st.integers(1, 12), end=st.booleans(),
       seed=st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_no_stretch_of_the_same_length_has_more_bits(kind, text, length, end, seed):
    score = score_of(TOKENIZERS[kind], text, end=end, seed=seed)
    by_character = [bits / len(part) for part, bits in bits_by_span(score, TOKENIZERS[kind]) for _ in part]
    found = worst_stretch(score, TOKENIZERS[kind], length)
    assert found.text == score.text[found.start:found.start + length]
    assert len(found.text) == min(length, len(score.text))
    assert found.bits == pytest.approx(sum(by_character[found.start:found.start + length]))
    assert found.bits >= max(sum(by_character[at:at + length]) for at in range(len(by_character) or 1)) - 1e-9


def test_the_whole_of_a_short_text_is_its_worst_stretch():
    score = score_of(TOKENIZERS["char"], "cat", end=True)
    assert worst_stretch(score, TOKENIZERS["char"], 20) == (0, "cat\n", pytest.approx(score.bits))
