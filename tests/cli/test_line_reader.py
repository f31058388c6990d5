"""What all filters share: lines in, one answer each, in order, at once; and every way of going wrong."""

import gzip
import io
import os
import pty
import re
import select
import shlex
import subprocess
import sys

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.cli import line_reader as filters
from charlm.cli.line_reader import Line, LineReader
from charlm.errors import CorpusError, UsageError

PATIENCE = 60                           # seconds that a busy machine may take for one answer
FILTERS = ("translate", "fill", "score", "classify", "tokenize", "detokenize", "filter")
LINES = {"translate": ["a", "ab", "béa"], "fill": ["1 ___ green", "if ___ fall", "no gap"],
         "detokenize": ["5 6 7", "2", "3 4"]} | dict.fromkeys(
             ("score", "classify", "tokenize", "filter"), ["O'Ban", "Lutsson", "Mñez"])
FLAGS = {"filter": ["--max-bpc", "1000"], "classify": ["--jsonl"]}
ENDING_ALL = ("translate", "fill", "score", "classify")     # by a line break, whether or not the line had one
BLANK_FOR_BLANK = ("translate", "fill", "tokenize", "detokenize", "filter")
READING = ("translate", "fill", "score", "tokenize")        # what is not UTF-8 in one way or another
PROCESSES = ("translate", "fill", "score", "filter")        # read and write in both ways there are
TEXT = st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("\r\n\n\0\x85\u2028é")))


def some(names):
    """Runs a test for each of these filters only."""
    return pytest.mark.parametrize("name", names)


@pytest.fixture
def commands(pairs_model, fill_model, lines_model, labels_model):
    """The words of each filter's command: verb, model, and flags that it cannot do without."""
    models = {"translate": pairs_model, "fill": fill_model, "classify": labels_model}
    return {name: [name, "-m", str(models.get(name, lines_model)), *FLAGS.get(name, [])] for name in FILTERS}


@pytest.fixture(params=FILTERS)
def name(request):
    return request.param


@pytest.fixture
def answers(piped, commands, name):
    """Lines that the filter writes for these bytes, without their ends; records without their numbers."""
    def run(data, *flags):
        done = piped(data, *commands[name], *flags)
        assert done.returncode == 0, done.stderr
        return re.sub('"line": [0-9]+, ', "", done.stdout.decode()).split("\n")[:-1]
    return run


def lines_of(data, errors="strict"):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))
        return [line for batch in LineReader(None, errors).batches() for line in batch]


def test_a_line_has_its_number_its_text_and_its_end():
    assert lines_of(b"a\n\nb\r\n\xc3\xa9") == [
        Line(1, "a", "\n", b"a\n"), Line(2, "", "\n", b"\n"), Line(3, "b", "\r\n", b"b\r\n"),
        Line(4, "é", "", "é".encode())]
    assert lines_of(b"") == []


def test_a_byte_order_mark_begins_the_first_line_only_and_is_no_part_of_its_text():
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


def test_of_many_lines_that_are_not_utf8_the_first_are_told_by_number_and_all_are_counted(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a\n\xff\n" * 400)))
    lines = LineReader(None, "strict")
    assert sum(len(batch) for batch in lines.batches()) == lines.count == 800
    told = capsys.readouterr().err.splitlines()
    assert len(told) == filters.MAX_REPORTED
    assert [line.split(":")[1] for line in told] == [f" line {number}" for number in range(2, 22, 2)]
    with pytest.raises(CorpusError, match="not UTF-8: 400, each answered by an empty one; .*--errors"):
        lines.close()
    with pytest.raises(CorpusError, match="not UTF-8: 400, left out; "):
        lines.close("left out")


def test_closing_after_sound_lines_says_nothing(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a\n\nb")))
    lines = LineReader(None, "strict")
    assert lines.count == 0
    list(lines.batches())
    lines.close()
    assert lines.count == 3


@given(text=TEXT, chunk=st.integers(1, 9))
@settings(deadline=None, max_examples=60)
def test_lines_are_the_text_wherever_its_bytes_are_cut(text, chunk):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(filters, "CHUNK", chunk)
        lines = lines_of(text.encode())
    assert "".join(line.begin + line.text + line.end for line in lines) == text
    assert b"".join(line.data for line in lines) == text.encode()
    assert not any("\n" in line.text for line in lines)
    assert [line.number for line in lines] == [*range(1, len(lines) + 1)]


def test_many_lines_come_in_batches_of_no_more_than_are_answered_at_once(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a\n" * 5000)))
    sizes = [len(batch) for batch in LineReader("-", "strict").batches()]
    assert sum(sizes) == 5000 and max(sizes) == filters.MAX_BATCH


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


@some(ENDING_ALL)
def test_a_last_line_without_a_line_break_is_answered(answers, name):
    data = "\n".join(LINES[name]).encode()
    assert answers(data) == answers(data + b"\n") and len(answers(data)) == 3


@some(BLANK_FOR_BLANK)
def test_an_empty_line_is_answered_by_an_empty_line(answers, name):
    first, second, _ = LINES[name]
    alone = answers(f"{first}\n".encode()), answers(f"{second}\n".encode())
    assert answers(f"\n{first}\n\n\n{second}\n\n".encode()) == ["", *alone[0], "", "", *alone[1], ""]


def test_nothing_in_is_nothing_out(piped, commands, name):
    done = piped(b"", *commands[name])
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@some(READING)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_line_that_is_not_utf8_is_told_of_all_others_are_answered_and_the_code_is_4(
        piped, commands, name, answers, end):
    first, second, _ = LINES[name]
    expected = answers(f"{first}\n".encode()) + [""] + answers(f"{second}\n".encode())
    done = piped(f"{first}{end}caf".encode() + b"\xe9" + f"{end}{second}{end}".encode(), *commands[name])
    assert done.returncode == 4
    assert done.stdout.decode().replace("\r", "").split("\n") == [*expected, ""]
    told, error = done.stderr.decode().splitlines()
    assert told == "charlm: line 2: not UTF-8: byte 0xe9 at its offset 3"
    assert error.startswith("charlm: error: lines that are not UTF-8: 1") and "--errors" in error


@some((*READING, "classify"))
def test_bad_bytes_can_be_replaced_or_ignored(answers, name):
    line = LINES[name][0]
    bad = line[:1].encode() + b"\xff" + line[1:].encode() + b"\n"
    assert answers(bad, "--errors", "replace") == answers(f"{line[:1]}\ufffd{line[1:]}\n".encode())
    assert answers(bad, "--errors", "ignore") == answers(f"{line}\n".encode())


def test_a_missing_file_is_refused_in_one_line(piped, commands, name, refusal):
    done = piped(b"", *commands[name], "no-such-file")
    assert done.returncode == 4
    assert "no-such-file: cannot be read" in refusal(done)


def test_a_model_in_the_place_of_a_text_is_refused_in_one_line(piped, commands, name, refusal, model):
    for data, file in ((b"", [model]), (model.read_bytes(), [])):
        done = piped(data, *commands[name], *file)
        assert done.returncode == 4
        assert "is a model, not a text; name a model with -m" in refusal(done)


def test_a_text_in_the_place_of_a_model_is_refused_in_one_line(piped, commands, name, refusal, verses):
    done = piped(b"a\n", name, "-m", verses, *FLAGS.get(name, []))
    assert done.returncode == 3
    assert "verses.txt: " in refusal(done)


def test_a_terminal_and_no_file_is_wrong_usage_whatever_the_filter(monkeypatch, commands, name, here):
    class Terminal(io.TextIOWrapper):
        def isatty(self):
            return True
    monkeypatch.setattr(sys, "stdin", Terminal(io.BytesIO(b"a\n")))
    for file, reason in ([], "nothing to read: name a file"), (["-"], "standard input is a terminal"):
        with pytest.raises((click.UsageError, UsageError), match=reason) as caught:
            here(*commands[name], *file)
        assert caught.value.exit_code == 2


def test_no_file_and_a_terminal_as_stdin_is_wrong_usage(charlm, refusal, commands):
    master, slave = pty.openpty()
    for name in ("translate", "fill"):
        for file in ([], ["-"]):
            done = charlm(*commands[name], *file, stdin=slave)
            assert done.returncode == 2
            assert ("standard input is a terminal" if file else "nothing to read: name a file") in refusal(done)
    os.close(master)
    os.close(slave)


def test_a_reader_that_leaves_ends_a_filter_quietly_with_141(shell, commands):
    for name in PROCESSES:
        line = shlex.quote(LINES[name][0])
        done = shell(f"yes {line} | charlm {shlex.join(commands[name])} | head -1; echo ${{PIPESTATUS[1]}}")
        assert done.stderr == ""
        answer, code = done.stdout.splitlines()
        assert answer and code == "141"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_stdout_is_a_storage_failure(charlm, refusal, commands):
    for name in PROCESSES:
        with open("/dev/full", "wb") as full:
            done = charlm(*commands[name], input=LINES[name][0].encode(), stdout=full)
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


@some(PROCESSES)
def test_an_answer_is_written_before_the_next_line_is_sent(clean_environment, commands, name, answers):
    expected = answers("".join(f"{line}\n" for line in LINES[name]).encode())
    with subprocess.Popen([sys.executable, "-m", "charlm", *commands[name]], stdin=subprocess.PIPE,
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
            [*LineReader(None, "strict").batches()]


@pytest.mark.parametrize("verb, given, right", [
    ("translate", "model", "sample"), ("translate", "fill_model", "fill"), ("fill", "pairs_model", "translate"),
    ("fill", "model", "sample"), ("sample", "pairs_model", "translate"), ("sample", "fill_model", "fill"),
    ("translate", "lines_model", "sample"), ("fill", "labels_model", "sample"), ("score", "pairs_model", "translate"),
    ("score", "fill_model", "fill"), ("classify", "pairs_model", "translate"), ("classify", "model", "sample"),
    ("classify", "lines_model", "sample")])
def test_a_model_of_another_kind_is_refused_and_the_verb_that_works_is_named(
        request, piped, refusal, verb, given, right):
    path = request.getfixturevalue(given)
    done = piped(b"a\n", verb, "-m", path)
    assert done.returncode == 3
    assert right in refusal(done).partition("it works with charlm ")[2].partition(";")[0].replace("\n", "").split(", ")


@pytest.mark.parametrize("verb, flags", [
    ("translate", ["--n-best", "3", "--beam", "2"]), ("translate", ["--beam", "0"]), ("translate", ["--n-best", "0"]),
    ("translate", ["--length-penalty", "nan"]), ("translate", ["--length-penalty", "inf"]),
    ("fill", ["--temp", "nan"]), ("fill", ["--temp", "-1"]), ("fill", ["--gap", ""]), ("fill", ["--gap", "a\nb"]),
    ("fill", ["--top-p", "1.5"]), ("fill", ["--top-p", "nan"]), ("fill", ["--num-samples", "-1"]),
    ("fill", ["--min-p", "nan"])])
def test_flags_that_cannot_work_are_wrong_usage_in_one_line(piped, refusal, commands, verb, flags):
    done = piped(b"a\n", *commands[verb], *flags)
    assert done.returncode == 2
    assert flags[0] in refusal(done)


def test_wrong_usage_is_found_before_the_model_is_looked_for(piped, refusal):
    assert "--n-best" in refusal(piped(b"a\n", "translate", "-m", "missing", "--n-best", "9"))
    assert "--gap" in refusal(piped(b"a\n", "fill", "-m", "missing", "--gap", ""))


def test_scoring_filtering_and_classifying_import_no_torch(commands, clean_environment, tmp_path):
    (tmp_path / "lines").write_text("O'Ban\n\n")
    calls = [[*commands[name], str(tmp_path / "lines")] for name in ("score", "filter", "classify", "tokenize")]
    code = (f"import sys\nfrom charlm.cli.main import cli\nfor words in {calls!r}: cli.main(words, standalone_mode=False)\n"
            "print([name for name in ('torch', 'rich') if name in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=clean_environment(),
                          timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]" and len(done.stdout.splitlines()) == 4 * 2 + 1
