"""Reading: files, pipes, archives and standard input give exactly their characters, or an error with its position.

Not here: files that are not text (test_other_formats.py, test_corpus_models.py).
"""

import bz2
import functools
import gzip
import io
import lzma
import os
import sys
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.errors import CorpusError, UsageError
from charlm.text import compressed, reading
from charlm.text.reading import Text, byte_chunks, read_text


def zstd_compress(data):
    """Compress as zstd(1) does, with a checksum."""
    return compressed.zstd.compress(data, options={compressed.zstd.CompressionParameter.checksum_flag: 1})


COMPRESS = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zst": zstd_compress}
ENDINGS = [".gz", ".bz2", ".xz", pytest.param(".zst", marks=pytest.mark.skipif(
    compressed.zstd is None, reason="no module reads .zst; pip install 'charlm[zst]'"))]
ODD_TEXT = st.text(st.one_of(st.characters(exclude_categories=["Cs"]),
                             st.sampled_from("\0\r\n\t\ufeff\u2581\U0010ffff\u0301\x85\u2028"))) \
    .filter(lambda text: text.count("\0") < 4 or "\0\0" in text)        # else it could look like UTF-16


def put(folder, data, name="corpus.txt"):
    path = folder / name
    path.write_bytes(data)
    return str(path)


def text_of(*sources, errors="strict"):
    return "".join(read_text(sources, errors))


def message_of(*sources, errors="strict"):
    """Return the message with which the sources are refused."""
    with pytest.raises(CorpusError) as caught:
        text_of(*sources, errors=errors)
    return str(caught.value)


def small_chunks(patch, size):
    patch.setattr(reading, "byte_chunks", functools.partial(byte_chunks, size=size))


def test_small_chunks_are_small(tmp_path, monkeypatch):
    small_chunks(monkeypatch, 3)
    assert list(read_text([put(tmp_path, b"abcdefgh")])) == ["abc", "def", "gh"]


def test_empty_file_has_no_chunks(tmp_path):
    assert list(read_text([put(tmp_path, b"")])) == []


@pytest.mark.parametrize("text", ["x", "\n", "one line without an end", "one line\n", "\0", "\U0010ffff"])
def test_short_text_arrives_whole(tmp_path, text):
    assert text_of(put(tmp_path, text.encode())) == text


def test_line_ends_and_nul_are_kept(tmp_path):
    assert text_of(put(tmp_path, b"a\r\nb\rc\n\0d\x1a\x85"[:-1] + b"\xc2\x85")) == "a\r\nb\rc\n\0d\x1a\x85"


def test_nothing_is_normalised(tmp_path):
    assert text_of(put(tmp_path, b"e\xcc\x81\xc3\xa9\xef\xac\x81")) == "e\u0301\u00e9\ufb01"


def test_byte_order_mark_is_dropped_only_at_the_start(tmp_path):
    assert text_of(put(tmp_path, b"\xef\xbb\xbfa\xef\xbb\xbfb")) == "a\ufeffb"


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_byte_order_mark_across_chunks_is_dropped(tmp_path, monkeypatch, size):
    small_chunks(monkeypatch, size)
    assert text_of(put(tmp_path, b"\xef\xbb\xbf\xef\xbb\xbfab")) == "\ufeffab"


def test_file_of_only_a_byte_order_mark_is_empty(tmp_path):
    assert text_of(put(tmp_path, b"\xef\xbb\xbf")) == ""


@settings(deadline=None)
@given(text=ODD_TEXT, size=st.integers(1, 9))
def test_text_does_not_depend_on_chunk_borders(tmp_path_factory, text, size):
    path = put(tmp_path_factory.getbasetemp(), text.encode(), "chunks.txt")
    expected = text[1:] if text.startswith("\ufeff") else text
    with pytest.MonkeyPatch.context() as patch:
        small_chunks(patch, size)
        assert text_of(path) == expected


def test_sources_are_joined_in_order_with_nothing_between(tmp_path):
    first = put(tmp_path, b"ab", "first.txt")
    second = put(tmp_path, b"cd\n", "second.txt")
    assert text_of(second, first, second) == "cd\nabcd\n"


def test_character_across_two_sources_is_refused(tmp_path):
    first = put(tmp_path, b"ab\xc3", "first.txt")
    second = put(tmp_path, b"\xa9", "second.txt")
    assert "first.txt" in message_of(first, second)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 1 << 18])
@pytest.mark.parametrize("data, byte, offset", [
    (b"\xff", "0xff", 0),                                   # never a first byte
    (b"ab\xffcd", "0xff", 2),
    (b"\x80abc", "0x80", 0),                                # a continuation byte first
    (b"\xc3\xa9\xc3(", "0xc3", 2),                          # a first byte without its continuation
    (b"\xef\xbb\xbfab\xfe", "0xfe", 5),                     # a dropped mark still counts
    (b"\xf0\x9f\x98\x80\xed\xa0\x80", "0xed", 4),           # a surrogate
    (b"a\xc0\x80", "0xc0", 1),                              # NUL in two bytes
    (b"ab\xf4\x90\x80\x80", "0xf4", 2),                     # beyond U+10FFFF
    (b"abc\xe2\x82", "0xe2", 3),                            # the end cuts a character
])
def test_bad_byte_is_reported_with_its_offset(tmp_path, monkeypatch, size, data, byte, offset):
    small_chunks(monkeypatch, size)
    message = message_of(put(tmp_path, data))
    assert f"byte {byte} at offset {offset};" in message
    assert "corpus.txt" in message and "--errors" in message


def test_offset_is_counted_from_the_start_of_the_source(tmp_path):
    good = b"\xe2\x82\xac" * 200_000                        # 600,000 bytes; no chunk border divides by 3
    assert "byte 0xfe at offset 600000;" in message_of(put(tmp_path, good + b"\xfe" + good))


@settings(deadline=None)
@given(good=ODD_TEXT, size=st.integers(1, 9))
def test_offset_is_the_number_of_good_bytes(tmp_path_factory, good, size):
    path = put(tmp_path_factory.getbasetemp(), good.encode() + b"\xff tail", "offset.txt")
    with pytest.MonkeyPatch.context() as patch:
        small_chunks(patch, size)
        assert f"offset {len(good.encode())};" in message_of(path)


def test_offset_is_that_in_the_source_with_the_bad_byte(tmp_path):
    good = put(tmp_path, b"0123456789", "good.txt")
    bad = put(tmp_path, b"0123\xff", "bad.txt")
    message = message_of(good, bad)
    assert "bad.txt" in message and "good.txt" not in message
    assert "offset 4;" in message


def test_binary_file_is_refused(tmp_path):
    assert "offset 0;" in message_of(put(tmp_path, b"\x89PNG\r\n\x1a\n" + bytes(range(256))))


@pytest.mark.parametrize("size", [1, 2, 1 << 18])
@pytest.mark.parametrize("errors, text", [("replace", "a\ufffdb\u00e9\ufffd"), ("ignore", "ab\u00e9")])
def test_bad_bytes_are_replaced_or_ignored_on_request(tmp_path, monkeypatch, size, errors, text):
    small_chunks(monkeypatch, size)
    assert text_of(put(tmp_path, b"a\xffb\xc3\xa9\xc3"), errors=errors) == text


def test_one_long_line_comes_in_bounded_chunks(tmp_path):
    path = put(tmp_path, b"x" * 1_000_000)
    lengths = [len(chunk) for chunk in read_text([path])]
    assert sum(lengths) == 1_000_000
    assert max(lengths) <= reading.CHUNK < 1_000_000


@pytest.mark.parametrize("ending", ENDINGS)
def test_long_archive_comes_in_bounded_chunks(tmp_path, ending):
    path = put(tmp_path, COMPRESS[ending](b"x" * 1_000_000), "line" + ending)
    lengths = [len(chunk) for chunk in read_text([path])]
    assert sum(lengths) == 1_000_000
    assert max(lengths) <= reading.CHUNK


@pytest.mark.parametrize("ending", [*ENDINGS, ".GZ", ".Xz"])
def test_archive_is_read_as_its_content(tmp_path, ending):
    data = "\ufeffnaïve\r\n\0\u2581".encode() * 100
    path = put(tmp_path, COMPRESS[ending.lower()](data), "text" + ending)
    assert text_of(path) == data.decode()[1:]


@pytest.mark.parametrize("ending", ENDINGS)
def test_concatenated_archives_are_read_as_one(tmp_path, ending):
    path = put(tmp_path, COMPRESS[ending](b"one ") + COMPRESS[ending](b"two"), "both" + ending)
    assert text_of(path) == "one two"


@pytest.mark.parametrize("ending", ENDINGS)
def test_offset_in_an_archive_is_that_in_its_content(tmp_path, ending):
    path = put(tmp_path, COMPRESS[ending](b"y" * 300_000 + b"\xff"), "bad" + ending)
    assert "offset 300000;" in message_of(path)


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_truncation_of_an_archive_is_refused(tmp_path, ending):
    whole = COMPRESS[ending](b"she sells sea shells by the sea shore\n" * 3)
    for length in range(1, len(whole)):
        assert f"cut{ending}: cannot be read" in message_of(put(tmp_path, whole[:length], "cut" + ending))


@pytest.mark.parametrize("ending", ENDINGS)
def test_damaged_archive_is_never_read_as_another_text(tmp_path, ending):
    text = "she sells sea shells by the sea shore\n"
    whole, refused = COMPRESS[ending](text.encode()), 0
    for position in range(len(whole)):
        data = bytearray(whole)
        data[position] ^= 0x10
        try:
            assert text_of(put(tmp_path, bytes(data), "damaged" + ending)) == text     # a time stamp, padding
        except CorpusError:
            refused += 1
    assert refused > len(whole) / 2


@pytest.mark.parametrize("ending", ENDINGS)
def test_plain_text_named_as_an_archive_is_refused(tmp_path, ending):
    assert "cannot be read" in message_of(put(tmp_path, b"not compressed at all", "plain" + ending))


def test_zst_without_a_module_for_it_is_refused_with_the_command(tmp_path, monkeypatch):
    monkeypatch.setattr(compressed, "zstd", None)
    message = message_of(put(tmp_path, b"(\xb5/\xfd", "big.zst"))
    assert message.endswith("big.zst: reading .zst needs another package; install it with: pip install 'charlm[zst]'")


@pytest.mark.parametrize("name", ["missing.txt", "missing.gz", "missing.bz2", "missing.xz", "no/such/folder"])
def test_missing_file_is_refused_by_name(tmp_path, name):
    path = str(tmp_path / name)
    message = message_of(path)
    assert path in message and "No such file" in message


@pytest.mark.parametrize("name", ["folder", "folder.gz", "folder.bz2", "folder.xz"])
def test_folder_is_refused_by_name(tmp_path, name):
    (tmp_path / name).mkdir()
    message = message_of(str(tmp_path / name))
    assert name in message and "directory" in message


def test_name_with_nul_is_refused():
    assert "cannot be read" in message_of("a\0b")


def write_fifo(path, *parts, gate=None):
    """Start a thread that writes the parts to a fifo and waits for the gate before each but the first."""
    def write():
        with open(path, "wb", buffering=0) as stream:
            for number, part in enumerate(parts):
                if number and gate:
                    gate.wait(5)
                stream.write(part)
    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    return thread


def test_fifo_is_read_like_a_file(tmp_path):
    path = str(tmp_path / "fifo")
    os.mkfifo(path)
    thread = write_fifo(path, b"\xef\xbb\xbfcaf\xc3", b"\xa9\r\n", b"x" * 300_000)
    assert text_of(path) == "café\r\n" + "x" * 300_000
    thread.join(5)


def test_slow_pipe_is_read_as_text_arrives(tmp_path):
    path, gate = str(tmp_path / "fifo"), threading.Event()
    os.mkfifo(path)
    thread = write_fifo(path, b"first", b"second", gate=gate)
    chunks = read_text([path])
    assert next(chunks) == "first"
    gate.set()
    assert "".join(chunks) == "second"
    thread.join(5)


def stdin_of(data):
    return io.TextIOWrapper(io.BytesIO(data), encoding="ascii")


def test_standard_input_is_read_like_a_file(monkeypatch):
    monkeypatch.setattr(sys, "stdin", stdin_of("\ufeffnaïve\r\n\0".encode()))
    assert text_of("-") == "naïve\r\n\0"


def test_bad_byte_of_standard_input_is_reported_by_that_name(monkeypatch):
    monkeypatch.setattr(sys, "stdin", stdin_of(b"abc\xff"))
    assert message_of("-").startswith("standard input: not UTF-8: byte 0xff at offset 3;")


def test_standard_input_stays_open(monkeypatch):
    monkeypatch.setattr(sys, "stdin", stdin_of(b"abc"))
    assert text_of("-") == "abc"
    assert not sys.stdin.closed and not sys.stdin.buffer.closed


def test_terminal_as_standard_input_is_a_usage_error(monkeypatch):
    controller, terminal = os.openpty()
    with open(terminal) as stdin, open(controller):
        monkeypatch.setattr(sys, "stdin", stdin)
        with pytest.raises(UsageError, match="terminal"):
            text_of("-")


def test_closed_standard_input_is_refused(monkeypatch):
    stdin = stdin_of(b"")
    stdin.close()
    for value in (stdin, None):
        monkeypatch.setattr(sys, "stdin", value)
        assert "closed" in message_of("-")


# The head of a text


@settings(deadline=None)
@given(text=ODD_TEXT, size=st.integers(1, 9), calls=st.integers(1, 3))
def test_head_is_the_beginning_and_is_iterated_too(tmp_path_factory, text, size, calls):
    path = put(tmp_path_factory.getbasetemp(), text.encode(), "head.txt")
    expected = text.removeprefix("\ufeff")
    with pytest.MonkeyPatch.context() as patch:
        small_chunks(patch, size)
        source = Text(path)
        heads = {source.head() for _ in range(calls)}
        assert len(heads) == 1 and expected.startswith(*heads) and heads != {""} or not expected
        assert "".join(source) == expected


def test_head_of_a_pipe_is_iterated_too(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"one\ttwo\n")))
    text = Text("-")
    assert (text.head(), text.name) == ("one\ttwo\n", "standard input")
    assert "".join(text) == "one\ttwo\n"


def test_text_is_opened_only_when_it_is_read(tmp_path):
    text = Text(str(tmp_path / "missing"))
    with pytest.raises(CorpusError, match="missing"):
        text.head()
