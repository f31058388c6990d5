"""The behaviour that all filters share: one answer a line, in order and at once; and every way to fail."""

import gzip
import io
import os
import pty
import re
import select
import shlex
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.cli import line_input, line_reader
from charlm.cli.line_input import Line
from charlm.cli.line_reader import LineReader
from charlm.errors import CorpusError
from tests.helpers.runners import (
    SECONDS,
    environment,
    error_line,
    run_in_process,
    run_process,
    run_shell,
    start_process,
)
from tests.helpers.texts import as_lines

FILTERS = ("translate", "fill", "score", "classify", "tokenize", "detokenize", "filter")
LINES = {"translate": ["a", "ab", "béa"], "fill": ["1 ___ green", "if ___ fall", "no gap"],
         "detokenize": ["5 6 7", "2", "3 4"]} | dict.fromkeys(
             ("score", "classify", "tokenize", "filter"), ["O'Ban", "Lutsson", "Mñez"])
FLAGS = {"filter": ["--max-bpc", "1000"], "classify": ["--jsonl"]}
ENDING_ALL = ("translate", "fill", "score", "classify")     # end every answer with a newline, even if the line has none
BLANK_FOR_BLANK = ("translate", "fill", "tokenize", "detokenize", "filter")
PRODUCING_EMPTY = ("translate", "fill", "score", "tokenize")        # an empty line for one that is not UTF-8
AS_PROCESSES = ("translate", "fill", "score", "filter")     # enough to try both ways of reading and of writing
TEXT = st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("\r\n\n\0\x85\u2028é")))


def for_filters(names):
    """Return a mark that runs a test for these filters only."""
    return pytest.mark.parametrize("name", names)


@pytest.fixture
def commands(pairs_model, fill_model, lines_model, labels_model):
    """The words of each filter's command: verb, model and the flags that it requires."""
    models = {"translate": pairs_model, "fill": fill_model, "classify": labels_model}
    return {name: [name, "-m", str(models.get(name, lines_model)), *FLAGS.get(name, [])] for name in FILTERS}


@pytest.fixture(params=FILTERS)
def name(request):
    return request.param


@pytest.fixture
def answers(commands, name):
    """Return a function from bytes to the lines that the filter writes for them; records lose their line numbers."""
    def run(data, *flags):
        done = run_in_process(*commands[name], *flags, stdin=data).check()
        return re.sub('"line": [0-9]+, ', "", done.text).split("\n")[:-1]
    return run


def lines_of(data, errors="strict"):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))
        return [line for batch in LineReader(None, errors).map_batches(list) for line in batch]


def test_a_line_has_a_number_a_text_and_an_end():
    assert lines_of(b"a\n\nb\r\n\xc3\xa9") == [
        Line(1, "a", "\n", b"a\n"), Line(2, "", "\n", b"\n"), Line(3, "b", "\r\n", b"b\r\n"),
        Line(4, "é", "", "é".encode())]
    assert lines_of(b"") == []


def test_a_byte_order_mark_is_only_removed_from_the_first_line():
    mark = "\ufeff".encode()
    first, second = lines_of(mark + mark + b"a\n" + mark + b"b")
    assert (first.begin, first.text, second.begin, second.text) == ("\ufeff", "\ufeffa", "", "\ufeffb")
    assert lines_of(b"a\n")[0].begin == ""
    assert [(line.begin, line.text) for line in lines_of(mark)] == [("\ufeff", "")]


def test_a_line_that_is_not_utf8_is_invalid_and_keeps_its_bytes():
    data = b"a\n\xff\xfe\r\nb"
    assert [(line.text, line.valid, line.data) for line in lines_of(data)] == [
        ("a", True, b"a\n"), ("", False, b"\xff\xfe\r\n"), ("b", True, b"b")]
    assert [(line.text, line.valid) for line in lines_of(data, "replace")][1] == ("\ufffd\ufffd", True)
    assert [(line.text, line.valid) for line in lines_of(data, "ignore")][1] == ("", True)


def test_the_first_lines_that_are_not_utf8_are_reported_and_all_counted(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a\n\xff\n" * 400)))
    lines = LineReader(None, "strict")
    assert sum(lines.map_batches(len)) == lines.count == 800
    warnings = capsys.readouterr().err.splitlines()
    assert len(warnings) == line_reader.MAX_REPORTED
    assert [line.split(":")[1] for line in warnings] == [f" line {number}" for number in range(2, 22, 2)]
    with pytest.raises(CorpusError, match="not UTF-8: 400, each answered by an empty line; .*--errors"):
        lines.close()
    with pytest.raises(CorpusError, match="not UTF-8: 400, left out; "):
        lines.close("left out")


def test_closing_after_valid_lines_prints_nothing(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a\n\nb")))
    lines = LineReader(None, "strict")
    assert lines.count == 0
    list(lines.map_batches(len))
    lines.close()
    assert lines.count == 3


@given(text=TEXT, chunk=st.integers(1, 9))
@settings(deadline=None, max_examples=60)
def test_lines_do_not_depend_on_the_chunks_that_are_read(text, chunk):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(line_input, "CHUNK", chunk)
        lines = lines_of(text.encode())
    assert "".join(line.begin + line.text + line.end for line in lines) == text
    assert b"".join(line.data for line in lines) == text.encode()
    assert not any("\n" in line.text for line in lines)
    assert [line.number for line in lines] == [*range(1, len(lines) + 1)]


def test_many_lines_come_in_batches_of_limited_size(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a\n" * 5000)))
    sizes = [*LineReader("-", "strict").map_batches(len)]
    assert sizes[0] == line_input.FIRST_BATCH and sum(sizes) == 5000 and max(sizes) == line_input.MAX_BATCH


def test_a_file_a_dash_and_stdin_by_default_give_the_same_answers(answers, name, tmp_path):
    data = as_lines(LINES[name]).encode()
    (tmp_path / "lines").write_bytes(data)
    (tmp_path / "lines.gz").write_bytes(gzip.compress(data))
    expected = answers(data)
    assert len(expected) == 3
    assert answers(b"", tmp_path / "lines") == answers(b"", tmp_path / "lines.gz") == expected
    assert answers(data, "-") == expected


def test_every_answer_is_the_one_that_the_line_gets_alone(answers, name):
    together = answers(as_lines(LINES[name]).encode())
    assert together == [answer for line in LINES[name] for answer in answers(f"{line}\n".encode())]
    assert len(set(together)) == 3


@for_filters(ENDING_ALL)
def test_a_last_line_without_a_newline_is_answered(answers, name):
    data = "\n".join(LINES[name]).encode()
    assert answers(data) == answers(data + b"\n") and len(answers(data)) == 3


@for_filters(BLANK_FOR_BLANK)
def test_an_empty_line_produces_an_empty_line(answers, name):
    first, second, _ = LINES[name]
    alone = answers(f"{first}\n".encode()), answers(f"{second}\n".encode())
    assert answers(f"\n{first}\n\n\n{second}\n\n".encode()) == ["", *alone[0], "", "", *alone[1], ""]


def test_empty_input_gives_empty_output(commands, name):
    done = run_in_process(*commands[name])
    assert (done.code, done.stdout, done.stderr) == (0, b"", "")


@for_filters(PRODUCING_EMPTY)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_line_that_is_not_utf8_is_reported_and_the_others_are_answered(commands, name, answers, end):
    first, second, _ = LINES[name]
    expected = answers(f"{first}\n".encode()) + [""] + answers(f"{second}\n".encode())
    done = run_in_process(*commands[name], stdin=f"{first}{end}caf".encode() + b"\xe9" + f"{end}{second}{end}".encode())
    assert done.code == 4
    assert done.text.replace("\r", "").split("\n") == [*expected, ""]
    warning, error = done.stderr.splitlines()
    assert warning == "charlm: line 2: not UTF-8: byte 0xe9 at offset 3"
    assert error.startswith("charlm: error: lines that are not UTF-8: 1") and "--errors" in error


@for_filters((*PRODUCING_EMPTY, "classify"))
def test_bad_bytes_can_be_replaced_or_ignored(answers, name):
    line = LINES[name][0]
    bad = line[:1].encode() + b"\xff" + line[1:].encode() + b"\n"
    assert answers(bad, "--errors", "replace") == answers(f"{line[:1]}\ufffd{line[1:]}\n".encode())
    assert answers(bad, "--errors", "ignore") == answers(f"{line}\n".encode())


def test_a_missing_file_is_refused_in_one_line(commands, name):
    done = run_in_process(*commands[name], "no-such-file")
    assert "no-such-file: cannot be read" in error_line(done, 4)


def test_a_model_given_as_the_text_is_refused_in_one_line(commands, name, model):
    for data, file in ((b"", [model]), (model.read_bytes(), [])):
        done = run_in_process(*commands[name], *file, stdin=data)
        assert "is a model, not a text; name a model with -m" in error_line(done, 4)


def test_a_text_given_as_the_model_is_refused_in_one_line(commands, name, verses):
    done = run_in_process(name, "-m", verses, *FLAGS.get(name, []), stdin=b"a\n")
    assert "verses.txt: " in error_line(done, 3)


def test_a_terminal_and_no_file_is_a_usage_error_of_every_filter(commands, name):
    class Terminal(io.TextIOWrapper):
        def isatty(self):
            return True
    for file, reason in ([], "nothing to read: name a file"), (["-"], "standard input is a terminal"):
        assert reason in error_line(run_in_process(*commands[name], *file, stdin=Terminal(io.BytesIO(b"a\n"))), 2)


def test_a_real_terminal_and_no_file_is_a_usage_error(commands):
    master, slave = pty.openpty()
    for name in ("translate", "fill"):
        for file in ([], ["-"]):
            done = run_process(*commands[name], *file, stdin=slave)
            assert ("standard input is a terminal" if file else "nothing to read: name a file") in error_line(done, 2)
    os.close(master)
    os.close(slave)


def test_a_closed_pipe_ends_a_filter_quietly_with_141(commands):
    for name in AS_PROCESSES:
        line = shlex.quote(LINES[name][0])
        done = run_shell(f"yes {line} | charlm {shlex.join(commands[name])} | head -1; echo ${{PIPESTATUS[1]}}")
        assert done.stderr == ""
        answer, code = done.text.splitlines()
        assert answer and code == "141"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_stdout_is_a_storage_error(commands):
    for name in AS_PROCESSES:
        with open("/dev/full", "wb") as full:
            done = run_process(*commands[name], stdin=LINES[name][0].encode(), stdout=full)
        assert "No space left" in error_line(done, 6)


def read_line(stream):
    """Return one line of a pipe; raise AssertionError if it does not come in time."""
    data = b""
    while not data.endswith(b"\n"):
        assert select.select([stream], [], [], SECONDS)[0], f"no answer; only {data}"
        more = os.read(stream.fileno(), 1)
        assert more, f"ended after {data}"
        data += more
    return data.decode()


@for_filters(AS_PROCESSES)
def test_an_answer_is_written_before_the_next_line_is_sent(commands, name, answers):
    expected = answers(as_lines(LINES[name]).encode())
    with start_process(*commands[name], stdin=subprocess.PIPE, stderr=None, bufsize=0) as process:
        try:
            for line, answer in zip(LINES[name], expected, strict=True):
                process.stdin.write(f"{line}\n".encode())
                assert read_line(process.stdout) == f"{answer}\n"
                assert process.poll() is None
            process.stdin.close()
            assert process.stdout.read() == b"" and process.wait(SECONDS) == 0
        finally:
            process.kill()


def test_no_file_and_a_closed_stdin_is_a_corpus_error(monkeypatch):
    for stdin in (None, io.TextIOWrapper(io.BytesIO())):
        monkeypatch.setattr(sys, "stdin", stdin)
        if stdin is not None:
            stdin.close()
        with pytest.raises(CorpusError, match="standard input is closed"):
            [*LineReader(None, "strict").map_batches(len)]


@pytest.mark.parametrize("verb, given, right", [
    ("translate", "model", "sample"), ("translate", "fill_model", "fill"), ("fill", "pairs_model", "translate"),
    ("fill", "model", "sample"), ("sample", "pairs_model", "translate"), ("sample", "fill_model", "fill"),
    ("translate", "lines_model", "sample"), ("fill", "labels_model", "sample"), ("score", "pairs_model", "translate"),
    ("score", "fill_model", "fill"), ("classify", "pairs_model", "translate"), ("classify", "model", "sample"),
    ("classify", "lines_model", "sample")])
def test_a_model_of_another_task_is_refused_with_the_verb_that_works(request, verb, given, right):
    path = request.getfixturevalue(given)
    done = run_in_process(verb, "-m", path, stdin=b"a\n")
    verbs = error_line(done, 3).partition("it works with charlm ")[2].partition(";")[0]
    assert right in verbs.strip().split(", ")


@pytest.mark.parametrize("verb, flags", [
    ("translate", ["--n-best", "3", "--beam", "2"]), ("translate", ["--beam", "0"]), ("translate", ["--n-best", "0"]),
    ("translate", ["--length-penalty", "nan"]), ("translate", ["--length-penalty", "inf"]),
    ("fill", ["--temp", "nan"]), ("fill", ["--temp", "-1"]), ("fill", ["--gap", ""]), ("fill", ["--gap", "a\nb"]),
    ("fill", ["--top-p", "1.5"]), ("fill", ["--top-p", "nan"]), ("fill", ["--num-samples", "-1"]),
    ("fill", ["--min-p", "nan"])])
def test_invalid_flag_values_are_usage_errors_in_one_line(commands, verb, flags):
    done = run_in_process(*commands[verb], *flags, stdin=b"a\n")
    assert flags[0] in error_line(done, 2)


def test_usage_errors_are_found_before_the_model_is_read():
    assert "--n-best" in error_line(run_in_process("translate", "-m", "missing", "--n-best", "9", stdin=b"a\n"), 2)
    assert "--gap" in error_line(run_in_process("fill", "-m", "missing", "--gap", "", stdin=b"a\n"), 2)


def test_score_filter_classify_and_tokenize_do_not_import_torch(commands, tmp_path):
    (tmp_path / "lines").write_text("O'Ban\n\n")
    calls = [[*commands[name], str(tmp_path / "lines")] for name in ("score", "filter", "classify", "tokenize")]
    code = (f"import sys\nfrom charlm.cli.main import cli\n"
            f"for words in {calls!r}: cli.main(words, standalone_mode=False)\n"
            "print([name for name in ('torch', 'rich') if name in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment(),
                          timeout=SECONDS)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]" and len(done.stdout.splitlines()) == 4 * 2 + 1
