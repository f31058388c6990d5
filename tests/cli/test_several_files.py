"""Filters over several files: their order, their names in records, and files that cannot be read."""

import bz2
import gzip
import lzma
import os
import subprocess
import threading

import pytest

from charlm.cli.line_input import MAX_BATCH, LineInput
from charlm.text import compressed
from tests.helpers.runners import error_line, run_in_process, start_process


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder in which this process works, with a folder `d` of two texts, one of them compressed."""
    monkeypatch.chdir(tmp_path)
    os.mkdir("d")
    (tmp_path / "d" / "a.txt").write_bytes("\ufeffone\ntwo".encode())
    (tmp_path / "d" / "b.gz").write_bytes(gzip.compress(b"three\nfour\n"))
    return tmp_path


def refuse(error):
    raise AssertionError(error)


def lines_of(*files):
    given = LineInput([*map(str, files)], "strict", refuse)
    return given, [line for batch in given.batches() if batch for part in batch for line, _ in part.decoded("strict")]


def test_lines_of_several_files_count_within_their_file(folder):
    _, lines = lines_of("d")
    assert [(line.file, line.number, line.ordinal, line.text, line.data) for line in lines] == [
        ("d/a.txt", 1, 1, "one", "\ufeffone\n".encode()), ("d/a.txt", 2, 2, "two", b"two\n"),
        ("d/b.gz", 1, 3, "three", b"three\n"), ("d/b.gz", 2, 4, "four", b"four\n")]
    assert [line.begin for line in lines] == ["\ufeff", "", "", ""]
    assert [line.file for line in lines_of("d/a.txt")[1]] == ["", ""]


def test_many_small_files_share_batches(tmp_path):
    for number in range(600):
        (tmp_path / f"{number:03}").write_text(f"{number}\n")
    batches = [*LineInput([str(tmp_path)], "strict", refuse).batches()]
    assert [sum(part.count for part in batch) for batch in batches if batch] == [32, MAX_BATCH, MAX_BATCH, 56]


@pytest.mark.parametrize("ending, write", [("", open), (".gz", gzip.open), (".bz2", bz2.open), (".xz", lzma.open)] + [
    pytest.param(".zst", compressed.zstd and compressed.zstd.open, marks=pytest.mark.skipif(
        compressed.zstd is None, reason="no module reads .zst; pip install 'charlm[zst]'"))])
def test_the_position_reaches_the_size(tmp_path, ending, write):
    for number in range(2):
        with write(tmp_path / f"{number}.txt{ending}", "wb") as file:
            file.write(b"".join(b"%d\n" % index for index in range(40_000)))
    given = LineInput([str(tmp_path)], "strict", refuse)
    positions = [given.position for _ in given.batches()]
    assert positions == sorted(positions) and 0 < positions[0] < given.size == positions[-1] == given.position


def test_records_name_the_file_where_there_are_several(folder, lines_model):
    one, several = (run_in_process("score", "-m", lines_model, name).check().text for name in ("d/a.txt", "d"))
    assert [line.split("\t")[3:] for line in one.splitlines()] == [["one"], ["two"]]
    assert [line.split("\t")[3:] for line in several.splitlines()] == [
        ["d/a.txt", "one"], ["d/a.txt", "two"], ["d/b.gz", "three"], ["d/b.gz", "four"]]
    records = run_in_process("score", "--jsonl", "-m", lines_model, "d/*").check().records
    assert [(record["file"], record["line"], record["text"]) for record in records] == [
        ("d/a.txt", 1, "one"), ("d/a.txt", 2, "two"), ("d/b.gz", 1, "three"), ("d/b.gz", 2, "four")]


def test_filter_writes_the_lines_of_all_files_unchanged(folder, lines_model):
    words = ["filter", "-m", lines_model, "--max-bpc", "1000", "d", "-"]
    done = run_in_process(*words, stdin=b"five\r\n").check()
    assert done.stdout == "\ufeffone\ntwo\nthree\nfour\nfive\r\n".encode()
    done = run_in_process(*words, "--with-score", stdin=b"five\r\n").check()
    assert [line.split("\t")[1:] for line in done.text.splitlines()][-2:] == [["d/b.gz", "four"], ["-", "five"]]


def test_a_bad_file_among_good_ones_is_reported_and_left_out(folder, lines_model):
    (folder / "d" / "b.gz").write_bytes(gzip.compress(b"three\n" * 1000)[:-9])
    (folder / "d" / "c").write_bytes(b"\xff\n")
    done = run_in_process("score", "--jsonl", "-m", lines_model, "missing", "d", "d/a.txt")
    assert done.code == 4
    assert {record["file"] for record in done.records} == {"d/a.txt", "d/b.gz", "d/c"}
    assert done.records[-1]["text"] == "two"
    warnings = done.stderr.splitlines()
    assert warnings[0] == "charlm: warning: missing: cannot be read (No such file or directory)"
    assert any(line.startswith("charlm: warning: d/b.gz: cannot be read (") for line in warnings)
    assert "charlm: d/c: line 1: not UTF-8: byte 0xff at offset 0" in warnings
    assert "charlm: files not read to their end: 2" in warnings
    assert warnings[-1].startswith("charlm: error: lines that are not UTF-8: 1")
    assert "missing: cannot be read" in error_line(run_in_process("score", "-m", lines_model, "missing"), 4)


def test_a_file_is_answered_before_a_slow_one_after_it(folder, lines_model):
    os.mkfifo("slow")
    with start_process("score", "-m", lines_model, "d/a.txt", "slow", stdout=subprocess.PIPE) as process:
        first = [process.stdout.readline(), process.stdout.readline()]
        threading.Thread(target=lambda: (folder / "slow").write_bytes(b"late\n"), daemon=True).start()
        assert [line.split(b"\t")[-1] for line in first] == [b"one\n", b"two\n"]
        assert process.stdout.readline().split(b"\t")[-2:] == [b"slow", b"late\n"]
        assert process.wait(30) == 0


def test_lines_are_answered_before_a_pipe_is_opened(folder):
    os.mkfifo("slow")
    given = LineInput(["d/a.txt", "slow"], "strict", refuse)
    batches = given.batches()
    assert next(batches) and next(batches) is None and not given.is_ready()     # workers are waited for first
