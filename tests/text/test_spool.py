"""The private copy of a corpus: the same text, its length and its digest, and no file left on disk."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.errors import StorageError
from charlm.text import spool as spool_module
from charlm.text import temporary
from charlm.text.spool import Spool

TEXT = st.text(st.one_of(st.characters(exclude_categories=["Cs"]),
                         st.sampled_from("\0\r\n\ufeff\u2581\U0010ffff\u0301")))
ODD = "a\0é\r\n€\U0010ffff\ufeff\u0301z"


def test_spool_returns_the_text_repeatedly():
    spool = Spool([ODD, "", ODD])
    assert "".join(spool) == ODD + ODD
    assert "".join(spool) == ODD + ODD


def test_length_is_in_characters():
    assert Spool(["é€", "\U0010ffff\r\n"]).characters == 5


def test_spool_of_nothing_is_empty():
    spool = Spool([])
    assert spool.characters == 0
    assert list(spool) == [] and list(spool.part(0, 10)) == []


def test_digest_is_blake2b_of_128_bits():
    assert Spool([]).digest == "cae66941d9efbd404e4d88758ea67670"       # as `b2sum -l 128 /dev/null` prints


def test_digest_does_not_depend_on_chunks():
    assert Spool(ODD).digest == Spool([ODD]).digest == Spool(["", ODD, ""]).digest


@pytest.mark.parametrize("other", [ODD[:-1], ODD + "\n", ODD.replace("\r", ""), ODD.swapcase()])
def test_different_texts_have_different_digests(other):
    assert Spool([other]).digest != Spool([ODD]).digest


@settings(deadline=None)
@given(text=TEXT, size=st.integers(1, 7))
def test_text_does_not_depend_on_the_chunk_size(text, size):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spool_module, "CHUNK", size)
        assert "".join(Spool(text)) == text


@settings(deadline=None)
@given(text=TEXT, start=st.integers(0, 12), stop=st.integers(0, 12), size=st.integers(1, 7))
def test_part_is_a_slice_of_the_text(text, start, stop, size):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spool_module, "CHUNK", size)
        for chunks in ([text], text):
            assert "".join(Spool(chunks).part(start, stop)) == text[start:stop]


def test_the_end_of_a_text_is_read_without_its_beginning(monkeypatch):
    spool = Spool(["x€" * spool_module.CHUNK] * 8 + ["end"])
    read = []
    decoder = spool_module.codecs.getincrementaldecoder("utf-8")
    monkeypatch.setattr(decoder, "decode", lambda self, data, decode=decoder.decode: read.append(data) or
                        decode(self, data))
    assert "".join(spool.part(spool.characters - 3, spool.characters)) == "end"
    assert sum(map(len, read)) <= 5 * spool_module.CHUNK

def test_long_text_comes_in_bounded_chunks():
    spool = Spool(["x" * 1_000_000])
    assert max(map(len, spool)) <= spool_module.CHUNK < 1_000_000


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_full_disk_is_a_storage_error(monkeypatch):
    monkeypatch.setattr(temporary, "anonymous_file", lambda _: open("/dev/full", "r+b"))  # noqa: SIM115
    with pytest.raises(StorageError, match="TMPDIR"):
        Spool(["x" * 1_000_000])


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_full_disk_is_a_storage_error_for_a_short_text(monkeypatch):
    monkeypatch.setattr(temporary, "anonymous_file", lambda _: open("/dev/full", "r+b"))  # noqa: SIM115
    with pytest.raises(StorageError, match="TMPDIR"):
        list(Spool(["abc"]))
