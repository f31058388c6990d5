"""What all filters share: lines in, one answer each, in order, at once; and every way of going wrong."""

import gzip
import io
import os
import pty
import select
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.cli import filters
from charlm.cli.filters import Line, Lines
from charlm.errors import CorpusError

PATIENCE = 60                           # seconds that a busy machine may take for one answer
FILTERS = ("translate", "fill")
LINES = {"translate": ["a", "ab", "béa"], "fill": ["1 ___ green", "if ___ fall", "no gap"]}
TEXT = st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("\r\n\n\0\x85\u2028é")))


@pytest.fixture
def models(pairs_model, fill_model):
    return {"translate": pairs_model, "fill": fill_model}


@pytest.fixture(params=FILTERS)
def name(request):
    return request.param


@pytest.fixture
def answers(piped, models, name):
    """Lines that the filter writes for these bytes, without their ends."""
    def run(data, *flags):
        done = piped(data, name, "-m", models[name], *flags)
        assert done.returncode == 0, done.stderr
        return done.stdout.decode().split("\n")[:-1]
    return run


def lines_of(data, errors="strict"):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))
        return [line for batch in Lines(None, errors).batches() for line in batch]


def test_a_line_has_its_number_its_text_and_its_end():
    assert lines_of(b"a\n\nb\r\n\xc3\xa9") == [
        Line(1, "a", "\n"), Line(2, "", "\n"), Line(3, "b", "\r\n"), Line(4, "é", "")]
    assert lines_of(b"") == []


@given(text=TEXT, chunk=st.integers(1, 9))
@settings(deadline=None, max_examples=60)
def test_lines_are_the_text_wherever_its_bytes_are_cut(text, chunk):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(filters, "CHUNK", chunk)
        lines = lines_of(text.encode())
    assert "".join(line.text + line.end for line in lines) == text
    assert not any("\n" in line.text for line in lines)
    assert [line.number for line in lines] == [*range(1, len(lines) + 1)]


def test_many_lines_come_in_batches_of_no_more_than_are_answered_at_once(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a\n" * 5000)))
    sizes = [len(batch) for batch in Lines("-", "strict").batches()]
    assert sum(sizes) == 5000 and max(sizes) == filters.MOST_LINES


def test_a_file_by_name_stdin_by_a_dash_and_stdin_by_default_are_answered_alike(answers, name, tmp_path):
    data = "".join(f"{line}\n" for line in LINES[name]).encode()
    (tmp_path / "lines").write_bytes(data)
    (tmp_path / "lines.gz").write_bytes(gzip.compress(data))
    expected = answers(data)
    assert len(expected) == 3
    assert answers(b"", tmp_path / "lines") == answers(b"", tmp_path / "lines.gz") == expected
    assert answers(data, "-") == expected


def test_every_answer_is_what_the_line_gets_alone(answers, name):
    together = answers("".join(f"{line}\n" for line in LINES[name]).encode())
    assert together == [answer for line in LINES[name] for answer in answers(f"{line}\n".encode())]
    assert len(set(together)) == 3


def test_a_last_line_without_a_line_break_is_answered(answers, name):
    data = "\n".join(LINES[name]).encode()
    assert answers(data) == answers(data + b"\n") and len(answers(data)) == 3


def test_an_empty_line_is_answered_by_an_empty_line(answers, name):
    first, second, _ = LINES[name]
    alone = answers(f"{first}\n".encode()), answers(f"{second}\n".encode())
    assert answers(f"\n{first}\n\n\n{second}\n\n".encode()) == ["", *alone[0], "", "", *alone[1], ""]


def test_nothing_in_is_nothing_out(piped, models, name):
    done = piped(b"", name, "-m", models[name])
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_line_that_is_not_utf8_is_told_of_all_others_are_answered_and_the_code_is_4(
        piped, models, name, answers, end):
    first, second, _ = LINES[name]
    expected = answers(f"{first}\n".encode()) + [""] + answers(f"{second}\n".encode())
    done = piped(f"{first}{end}caf".encode() + b"\xe9" + f"{end}{second}{end}".encode(), name, "-m", models[name])
    assert done.returncode == 4
    assert done.stdout.decode().replace("\r", "").split("\n") == [*expected, ""]
    told, error = done.stderr.decode().splitlines()
    assert told == "charlm: line 2: not UTF-8: byte 0xe9 at its offset 3"
    assert error.startswith("charlm: error: lines that are not UTF-8: 1") and "--errors" in error


def test_bad_bytes_can_be_replaced_or_ignored(answers, name):
    line = LINES[name][0]
    bad = line[:1].encode() + b"\xff" + line[1:].encode() + b"\n"
    assert answers(bad, "--errors", "replace") == answers(f"{line[:1]}\ufffd{line[1:]}\n".encode())
    assert answers(bad, "--errors", "ignore") == answers(f"{line}\n".encode())


def test_a_missing_file_is_refused_in_one_line(piped, models, name, refusal):
    done = piped(b"", name, "-m", models[name], "no-such-file")
    assert done.returncode == 4
    assert "no-such-file: cannot be read" in refusal(done)


def test_no_file_and_a_terminal_as_stdin_is_wrong_usage(charlm, refusal, models):
    master, slave = pty.openpty()
    for name in FILTERS:
        for file in ([], ["-"]):
            done = charlm(name, "-m", models[name], *file, stdin=slave)
            assert done.returncode == 2
            assert ("standard input is a terminal" if file else "nothing to read: name a file") in refusal(done)
    os.close(master)
    os.close(slave)


def test_a_reader_that_leaves_ends_a_filter_quietly_with_141(shell, models):
    for name in FILTERS:
        done = shell(f"yes '{LINES[name][0]}' | charlm {name} -m '{models[name]}' | head -1; echo ${{PIPESTATUS[1]}}")
        assert done.stderr == ""
        answer, code = done.stdout.splitlines()
        assert answer and code == "141"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_stdout_is_a_storage_failure(charlm, refusal, models):
    for name in FILTERS:
        with open("/dev/full", "wb") as full:
            done = charlm(name, "-m", models[name], input=LINES[name][0].encode(), stdout=full)
        assert done.returncode == 6
        assert "No space left" in refusal(done)


def read_line(stream):
    """One line of a pipe, without waiting for ever."""
    data = b""
    while not data.endswith(b"\n"):
        assert select.select([stream], [], [], PATIENCE)[0], f"no answer; only {data}"
        more = os.read(stream.fileno(), 1)
        assert more, f"ended after {data}"
        data += more
    return data.decode()


def test_an_answer_is_written_before_the_next_line_is_sent(clean_environment, models, name, answers):
    expected = answers("".join(f"{line}\n" for line in LINES[name]).encode())
    with subprocess.Popen([sys.executable, "-m", "charlm", name, "-m", str(models[name])], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, bufsize=0, env=clean_environment()) as process:
        try:
            for line, answer in zip(LINES[name], expected):
                process.stdin.write(f"{line}\n".encode())
                assert read_line(process.stdout) == f"{answer}\n"
                assert process.poll() is None
            process.stdin.close()
            assert process.stdout.read() == b"" and process.wait(PATIENCE) == 0
        finally:
            process.kill()


def test_no_file_and_no_stdin_is_a_corpus_error(monkeypatch):
    for stdin in (None, io.TextIOWrapper(io.BytesIO())):
        monkeypatch.setattr(sys, "stdin", stdin)
        if stdin is not None:
            stdin.close()
        with pytest.raises(CorpusError, match="standard input is closed"):
            [*Lines(None, "strict").batches()]


@pytest.mark.parametrize("verb, given, right", [
    ("translate", "model", "sample"), ("translate", "fill_model", "fill"), ("fill", "pairs_model", "translate"),
    ("fill", "model", "sample"), ("sample", "pairs_model", "translate"), ("sample", "fill_model", "fill")])
def test_a_model_of_another_kind_is_refused_and_the_verb_that_works_is_named(
        request, piped, refusal, verb, given, right):
    path = request.getfixturevalue(given)
    done = piped(b"a\n", verb, "-m", path)
    assert done.returncode == 3
    assert f"it works with `charlm {right} -m {path}`" in refusal(done)


@pytest.mark.parametrize("verb, flags", [
    ("translate", ["--n-best", "3", "--beam", "2"]), ("translate", ["--beam", "0"]), ("translate", ["--n-best", "0"]),
    ("translate", ["--length-penalty", "nan"]), ("translate", ["--length-penalty", "inf"]),
    ("fill", ["--temp", "nan"]), ("fill", ["--temp", "-1"]), ("fill", ["--gap", ""]), ("fill", ["--gap", "a\nb"]),
    ("fill", ["--top-p", "1.5"]), ("fill", ["--top-p", "nan"]), ("fill", ["--num-samples", "-1"]),
    ("fill", ["--min-p", "nan"])])
def test_flags_that_cannot_work_are_wrong_usage_in_one_line(piped, refusal, models, verb, flags):
    done = piped(b"a\n", verb, "-m", models[verb], *flags)
    assert done.returncode == 2
    assert flags[0] in refusal(done)


def test_wrong_usage_is_found_before_the_model_is_looked_for(piped, refusal):
    assert "--n-best" in refusal(piped(b"a\n", "translate", "-m", "missing", "--n-best", "9"))
    assert "--gap" in refusal(piped(b"a\n", "fill", "-m", "missing", "--gap", ""))
