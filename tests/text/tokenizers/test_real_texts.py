"""Ten thousand texts full of difficult characters, which every tokenizer must encode and decode without change.

Not here: the fast version of this, and chunks (test_round_trips.py).
"""

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from charlm.text.tokenizers.base import decode
from charlm.text.tokenizers.registry import train

pytestmark = pytest.mark.slow

PROSE = "she sells sea shells by the sea shore, né <unk>\nthe shells she sells are <0x41> surely sea shells\r\n" * 20
ODD = ("\0", "\ufeff", "\r\n", "\n", "\r", "\u2581", "\u2581\u2581", "\u2585", "\U0010ffff", "e\u0301", "\u0301",
       "\u00e9", "\u0300\u0316", "<unk>", "<s>", "</s>", "<pad>", "<0x41>", "<0x0A>", "<0xE2>", "\t", " ", "  ", "\x85",
       "\u2028", "\u00a0", "\u200b", "\u200d", "\ue000", "\ufffd", "\ufffe", "\ud7ff", "\x7f", "\x1b[0m", "\u202e",
       "\uac00", "\u1100\u1161", "\U0001f469\u200d\U0001f680")
CHARACTERS = st.characters(exclude_categories=["Cs"])
PARTS = st.one_of(st.sampled_from(ODD), st.sampled_from(["sea ", "shells", "she", "l"]),
                  st.text(CHARACTERS, max_size=4))
TEXTS = st.lists(PARTS, max_size=12).map("".join)
ALL_CHARACTERS = "".join(chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000)


@pytest.fixture(scope="module")
def tokenizers():
    """A tokenizer of each kind. The one of characters knows them all."""
    return {kind: train(kind, [ALL_CHARACTERS if kind == "char" else PROSE], vocabulary_size=None)
            for kind in ("char", "byte", "bpe", "unigram")}


@settings(max_examples=10_000, derandomize=True, database=None, deadline=None, phases=[Phase.generate, Phase.shrink],
          suppress_health_check=list(HealthCheck))
@given(text=TEXTS)
def test_ten_thousand_texts_survive_every_tokenizer(tokenizers, text):
    decoded = {kind: decode(tokenizer, tokenizer.encode(text)) for kind, tokenizer in tokenizers.items()}
    assert decoded == dict.fromkeys(tokenizers, text)


@pytest.mark.parametrize("kind", ["char", "byte", "bpe", "unigram"])
def test_every_character_survives(tokenizers, kind):
    tokenizer = tokenizers[kind]
    lines = [ALL_CHARACTERS[start:start + 400] for start in range(0, len(ALL_CHARACTERS), 400)]
    assert [line for line in lines if decode(tokenizer, tokenizer.encode(line)) != line] == []


def test_every_pair_of_odd_parts_survives(tokenizers):
    for text in (first + second for first in ODD for second in ODD):
        decoded = {kind: decode(tokenizer, tokenizer.encode(text)) for kind, tokenizer in tokenizers.items()}
        assert decoded == dict.fromkeys(tokenizers, text)
