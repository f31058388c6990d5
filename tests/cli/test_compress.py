"""`charlm compress` and `charlm decompress`: files, pipes, damage, other models, lines."""

import os
import shutil

import pytest

from tests.helpers.runners import error_line, run_in_process, run_process, run_shell
from tests.helpers.texts import VERSES

TEXT = VERSES.encode()[:600]


@pytest.fixture
def file(tmp_path, model):
    """A text and its compressed file, with the model in the same folder."""
    shutil.copy(model, tmp_path / "m.charlm")
    (tmp_path / "text").write_bytes(TEXT)
    run_in_process("compress", "-m", "m.charlm", "text", "-o", "text.clz").check()
    return tmp_path / "text.clz"


def test_a_pipe_gives_the_same_file_and_back(file):
    done = run_shell("cat text | charlm compress --quiet | tee piped.clz | charlm decompress - 2> said | cmp - text "
                     "&& cmp piped.clz text.clz && cat said").check()
    assert done.text == "charlm: using m.charlm\n" and done.stderr == "charlm: using m.charlm\n"


@pytest.mark.parametrize("flags", [["--no-adapt"], ["--lanes", "3"], ["--no-adapt", "--lanes", "40"]])
def test_settings_are_in_the_file(file, flags):
    code = run_in_process("compress", *flags, "--quiet", "text").check().stdout
    assert code != file.read_bytes()
    assert run_in_process("decompress", stdin=code).check().stdout == TEXT


def test_sizes_are_reported_with_and_without_the_model(file):
    done = run_in_process("compress", "-m", "m.charlm", "text").check()
    first, second = done.stderr.splitlines()
    assert first.startswith(f"charlm: 600 bytes to {len(done.stdout)}: ") and " bits per character, ratio " in first
    assert f"with the model of {os.path.getsize('m.charlm'):,} bytes" in first
    assert "it pays for itself from" in second
    assert "0 bytes to" in run_in_process("compress", stdin=b"").check().stderr


def test_an_archive_of_the_input_is_not_unpacked(file, tmp_path):
    (tmp_path / "x.gz").write_bytes(b"\x1f\x8b not gzip")
    code = run_in_process("compress", "x.gz").check().stdout
    assert run_in_process("decompress", stdin=code).check().stdout == b"\x1f\x8b not gzip"


def test_another_model_is_refused_and_both_are_named(file, wild_model, tmp_path):
    from charlm.modelfile import stated_checksum
    made, given = (stated_checksum(str(path))[:8].hex() for path in ("m.charlm", wild_model))
    line = error_line(run_in_process("decompress", "-m", wild_model, "text.clz"), 3)
    assert made in line and given in line and str(wild_model) in line
    os.remove("m.charlm")
    assert made in error_line(run_in_process("decompress", "text.clz"), 3)
    shutil.copy(wild_model, tmp_path)
    assert made in error_line(run_in_process("decompress", "text.clz"), 3)


@pytest.mark.parametrize("length", [0, 3, 10, 40, -1])
def test_a_cut_file_is_refused_and_nothing_is_written(file, tmp_path, length):
    (tmp_path / "cut").write_bytes(file.read_bytes()[:length])
    (tmp_path / "out").write_bytes(b"before")
    error_line(run_in_process("decompress", "-m", "m.charlm", "cut", "-o", "out"), 3)
    assert (tmp_path / "out").read_bytes() == b"before"


@pytest.fixture
def cut(file, tmp_path, monkeypatch):
    """The text in three blocks, without the end of its compressed file."""
    from charlm.compression import archive
    monkeypatch.setattr(archive, "BLOCK", 200)
    monkeypatch.setattr(archive, "_LANE_BLOCK", 200)
    run_in_process("compress", "-m", "m.charlm", "text", "-o", "text.clz").check()
    (tmp_path / "cut").write_bytes((tmp_path / "text.clz").read_bytes()[:-5])
    return tmp_path / "cut"


def test_partial_keeps_what_came_before_the_damage(cut, tmp_path):
    error_line(run_in_process("decompress", "-m", "m.charlm", "cut", "-o", "out", "--partial"), 3)
    assert (tmp_path / "out").read_bytes() == TEXT
    done = run_in_process("decompress", "-m", "m.charlm", "cut", "--partial")
    assert done.code == 3 and done.stdout == TEXT


def test_a_damaged_file_is_refused_before_its_first_block_is_decoded(cut, monkeypatch):
    from charlm.compression.blocks import BlockCoder
    monkeypatch.setattr(BlockCoder, "decode", lambda *args: pytest.fail("decoded"))
    assert "cut: it is cut short" in error_line(run_in_process("decompress", "-m", "m.charlm", "cut"), 3)


def test_a_damaged_pipe_is_decoded_up_to_the_last_whole_block(cut):
    done = run_shell("cat cut | charlm decompress -m m.charlm")
    assert done.code == 3 and "cut short" in done.stderr
    assert 390 <= len(done.stdout) < 600 and TEXT.startswith(done.stdout)


@pytest.mark.parametrize("flags", [["--lines", "--lanes", "2"], ["--lines", "-o", "x"]])
def test_flags_that_exclude_each_other(file, flags):
    assert "cannot be combined" in error_line(run_in_process("compress", "-m", "m.charlm", *flags, "text"), 2)


@pytest.mark.parametrize("name", ["pairs_model", "fill_model"])
def test_models_of_other_tasks_are_refused(request, name):
    for verb in ("compress", "decompress"):
        error_line(run_in_process(verb, "--lines", "-m", request.getfixturevalue(name), stdin=b"a\n"), 3)


def test_lines_are_compressed_one_by_one(lines_model, names):
    codes = run_in_process("compress", "--lines", "-m", lines_model, names).check().stdout
    assert len(codes.splitlines()) == len(names.read_bytes().splitlines())
    assert run_in_process("decompress", "--lines", "-m", lines_model, stdin=codes).check().stdout == names.read_bytes()
    some = b"no newline at the end\xff\r\n\n\nBan"
    code = run_in_process("compress", "--lines", "-m", lines_model, stdin=some).check().stdout
    assert not code.endswith(b"\n") and code.count(b"\n") == 3
    assert run_in_process("decompress", "--lines", "-m", lines_model, stdin=code).check().stdout == some
    wrong = run_in_process("decompress", "--lines", "-m", lines_model, stdin=codes.splitlines()[0] + b"\n*\n")
    assert wrong.code == 3 and wrong.stdout == names.read_bytes().splitlines()[0] + b"\n" and "line 2" in wrong.stderr


def test_a_terminal_gets_no_compressed_bytes(file):
    pty = pytest.importorskip("pty")
    outer, inner = pty.openpty()
    done = run_process("compress", "-m", "m.charlm", "text", stdout=inner)
    os.close(inner), os.close(outer)
    assert done.code == 2 and "not for a terminal" in done.stderr
