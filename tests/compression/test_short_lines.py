"""Short lines: each comes back from its own line of base64, whatever the others are."""

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.compression.predictor import Predictor
from charlm.compression.short_lines import LineCoder, check_line
from charlm.errors import ArchiveError, UsageError
from tests.helpers.compression import model_of, random_bytes
from tests.helpers.models import random_weights
from tests.helpers.texts import VERSES

LINES = [line.encode() for line in VERSES.splitlines()[:6]] + [
    b"", b"\r", b"\xff\xfe", "Ωmega".encode(), random_bytes(40).replace(b"\n", b""), b"a\0b", b"\xe2\x82"]


def coder(kind="char", task="lines"):
    return LineCoder(Predictor(model_of(kind, task)))


@pytest.mark.parametrize("kind", ["char", "byte", "bpe", "unigram"])
@pytest.mark.parametrize("task", ["text", "lines"])
def test_every_line_comes_back_alone_and_with_others(kind, task):
    lines = coder(kind, task)
    codes = lines.compress(LINES)
    assert lines.decompress(codes) == LINES
    assert [lines.compress([line])[0] for line in LINES] == codes
    assert [lines.decompress([code])[0] for code in codes[::-1]] == LINES[::-1]
    assert all(len(code) <= 1 + len(line) * 4 // 3 + 1 for code, line in zip(codes, LINES, strict=True))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.binary(max_size=20).map(lambda line: line.replace(b"\n", b"")), max_size=5))
def test_random_lines_come_back(lines):
    assert coder().decompress(coder().compress(lines)) == lines


def test_what_compress_cannot_have_written_is_refused():
    lines = coder()
    line = VERSES.splitlines()[0].encode()
    code = lines.compress([line])[0]
    for wrong in (b"*", b"=*", b"=" + base64.b64encode(line), b"A", code + b"AAAA", code + b"="):
        assert lines.decompress([wrong]) == [None]
    with pytest.raises(ArchiveError, match="line 3"):
        check_line(None, 3)


def test_a_model_that_knows_no_end_of_line_is_refused():
    model = model_of()
    tokenizer = model.tokenizer.train(["abc"], vocabulary_size=None)
    config = type(model.config)(4, hidden_size=8, embedding_size=4)
    with pytest.raises(UsageError, match="end of a line"):
        LineCoder(Predictor(type(model)(config, tokenizer, random_weights(config), {})))
