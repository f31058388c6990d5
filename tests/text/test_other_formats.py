"""Files that are not text: each is refused by name with a command to type; what only resembles one is read.

Not here: model files (test_corpus_models.py).
"""

import bz2
import functools
import gzip
import io
import lzma
import sys
import zipfile

import pytest

from charlm.errors import CorpusError
from charlm.text import reading
from charlm.text.reading import Text, byte_chunks, open_bytes, read_text

TEXT = "She sells sea shells.\n"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(data, name="notes.txt"):
    with open(name, "wb") as file:
        file.write(data)
    return name


def zipped(*names):
    """Return a zip archive with these entries."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, TEXT * 20)
    return stream.getvalue()


def message_of(source, errors="strict"):
    """Return the message with which a corpus and a filter both refuse a source."""
    with pytest.raises(CorpusError) as of_text:
        list(Text(source, errors))
    if source == "-":
        sys.stdin.buffer.seek(0)
    with pytest.raises(CorpusError) as of_filter, open_bytes(source) as stream:
        list(byte_chunks(stream, source, errors=errors))
    assert of_text.value.exit_code == 4 and str(of_text.value) == str(of_filter.value)
    return str(of_text.value)


FORMATS = [
    (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "is a PDF, not a text; convert it with: pdftotext"),
    (zipped("a.txt"), "is a zip archive, not a text; unpack it with: unzip"),
    (zipped("xl/workbook.xml", "[Content_Types].xml"), "is a zip archive, not a text; unpack it with: unzip"),
    (zipped("word/document.xml"), "is a Word document (docx), not a text; convert it with: pandoc -t plain"),
    (zipped("[Content_Types].xml"), "is a Word document (docx), not a text; convert it with: pandoc -t plain"),
    (gzip.compress(b"a"), "is compressed; unpack it with: gzip -dc"),
    (bz2.compress(b"a"), "is compressed; unpack it with: bzip2 -dc"),
    (lzma.compress(b"a"), "is compressed; unpack it with: xz -dc"),
    (b"(\xb5/\xfd\x04", "is compressed; unpack it with: zstd -dc")]
UTF16 = [
    (b"\xff\xfe" + TEXT.encode("utf-16-le"), "is UTF-16, not UTF-8; convert it with: iconv -f UTF-16 -t UTF-8"),
    (b"\xfe\xff" + TEXT.encode("utf-16-be"), "is UTF-16, not UTF-8; convert it with: iconv -f UTF-16 -t UTF-8"),
    (b"\xff\xfe", "is UTF-16, not UTF-8; convert it with: iconv -f UTF-16 -t UTF-8")] + [
    (text.encode(f"utf-16-{order}"), "looks like UTF-16 without a byte order mark; "
                                     f"convert it with: iconv -f UTF-16{order.upper()} -t UTF-8")
    for order in ("le", "be") for text in ("abc\n", TEXT, TEXT * 20)]


@pytest.mark.parametrize("data, reason", FORMATS + UTF16, ids=range(len(FORMATS + UTF16)))
def test_other_formats_are_refused_with_a_command(data, reason):
    assert message_of(put(data)) == f"notes.txt: {reason} notes.txt"


def test_file_names_in_commands_are_quoted():
    assert message_of(put(b"%PDF-1.7", "my notes.pdf")).endswith("pdftotext 'my notes.pdf'")


@pytest.mark.parametrize("data, reason", [FORMATS[0], UTF16[0]], ids=["pdf", "utf-16"])
def test_commands_for_pipes_and_archives_name_no_file(monkeypatch, data, reason):
    assert message_of(put(gzip.compress(data), "notes.gz")) == f"notes.gz: {reason}"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert message_of("-") == f"standard input: {reason}"


@pytest.mark.parametrize("errors", ["replace", "ignore"])
def test_only_utf16_is_read_if_errors_are_not_strict(errors):
    for data, reason in FORMATS:
        assert reason in message_of(put(data), errors)
    for data, _ in UTF16:
        assert "".join(read_text([put(data)], errors)) == data.decode("utf-8", errors)


@pytest.mark.parametrize("size", [2, 5, 63, 64, 65])
@pytest.mark.parametrize("data", [data for data, _ in UTF16[:2] + UTF16[3:]], ids=range(8))
def test_utf16_is_recognised_in_small_chunks(monkeypatch, data, size):
    monkeypatch.setattr(reading, "byte_chunks", functools.partial(byte_chunks, size=size))
    with pytest.raises(CorpusError, match="UTF-16"):
        list(Text(put(data)))


@pytest.mark.parametrize("text", [
    "", "\0", "\0" * 100, "a\0", "a\0b\0c\0", "a\0b\0c\0d\0ef\0", "a\0" * 31 + "bc", "ab\0c\0d\0e\0f\0g\0", "%PDF",
    " %PDF-1.7", "PK\3", "PK are letters", " PK\3\4", "BZh", "BZh9 is a magic"], ids=ascii)
@pytest.mark.parametrize("size", [1, 8, 1 << 18])
def test_text_with_nul_or_similar_letters_is_read(monkeypatch, text, size):
    monkeypatch.setattr(reading, "byte_chunks", functools.partial(byte_chunks, size=size))
    assert "".join(Text(put(text.encode()))) == text


# Bytes after compressed data


def read_with_warnings(source):
    warnings = []
    return "".join(Text(source, warn=warnings.append)), warnings


@pytest.mark.parametrize("rest", [b"x", b"garbage", b"\0\0garbage", b"\x1f", b"\xff" * 100_000], ids=len)
@pytest.mark.parametrize("text", [TEXT, "", TEXT * 100_000], ids=len)
def test_bytes_after_gzip_data_are_ignored_with_a_warning(text, rest):
    path = put(gzip.compress(text.encode()) + rest, "a.gz")
    assert read_with_warnings(path) == (text, ["warning: a.gz: the bytes after its compressed data are ignored"])
    assert "".join(read_text([path])) == text


@pytest.mark.parametrize("rest", [b"", b"\0", b"\0" * 100_000, gzip.compress(b"more"),
                                  b"\0\0" + gzip.compress(b"more")], ids=len)
def test_padding_and_further_gzip_members_are_read_silently(rest):
    path = put(gzip.compress(TEXT.encode()) + rest, "a.gz")
    assert read_with_warnings(path) == (TEXT + "more" * (b"\x1f" in rest), [])


def test_bytes_after_the_last_of_several_gzip_members_are_ignored():
    path = put(gzip.compress(b"one ") + gzip.compress(b"two") + b"rest", "a.gz")
    assert read_with_warnings(path) == ("one two", ["warning: a.gz: the bytes after its compressed data are ignored"])


def test_a_filter_warns_too():
    warnings = []
    with open_bytes(put(gzip.compress(b"a") + b"rest", "a.gz")) as stream:
        assert b"".join(byte_chunks(stream, "a.gz", warn=warnings.append)) == b"a"
    assert len(warnings) == 1


@pytest.mark.parametrize("data", [b"not compressed", gzip.compress(b"one")[:-3] + b"rest",
                                  gzip.compress(b"one") + gzip.compress(b"two")[:-1]], ids=len)
def test_damaged_gzip_data_are_refused_without_a_warning(data):
    with pytest.raises(CorpusError, match="a.gz: cannot be read"):
        read_with_warnings(put(data, "a.gz"))
