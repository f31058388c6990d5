"""stdout: exact bytes in a pipe, pictures on a terminal, a quiet end if nobody reads."""

import functools
import io
import json
import os
import pty
import threading
import tty

import pytest

from charlm.cli.output import Output, write_table
from charlm.errors import StorageError
from charlm.reports.visible import visible
from tests.helpers.runners import error_line, run_in_process, run_process, run_shell
from tests.helpers.texts import BRIEF

CONTROLS = "\x1b[45mred\x00[/]\x7f\x9b\u202e é\r\n"


class Terminal(io.TextIOWrapper):
    def isatty(self):
        return True


@pytest.fixture
def on_terminal():
    """Return a function that runs the command on a terminal, and returns the result and the bytes on the screen."""
    def run(*arguments, **more):
        master, slave = pty.openpty()
        tty.setraw(slave)
        screen = []

        def read():
            try:
                while data := os.read(master, 4096):
                    screen.append(data)
            except OSError:
                pass                    # Linux says EIO when the last writer is gone

        reader = threading.Thread(target=read)
        reader.start()
        done = run_process(*arguments, stdout=slave, **more)
        os.close(slave)
        reader.join(10)
        os.close(master)
        return done, b"".join(screen)
    return run


def test_a_terminal_shows_pictures_and_a_pipe_gets_exact_bytes(on_terminal, wild_model, tmp_path):
    (tmp_path / "prompt").write_bytes(CONTROLS.encode())
    flags = ["sample", "-m", wild_model, "-f", "prompt", "--seed", 3, "-n", 200]
    expected = run_process(*flags).text
    done, screen = on_terminal(*flags)
    assert done.code == 0
    assert expected.startswith(CONTROLS) and "\x1b" in expected[len(CONTROLS):]
    assert screen.decode().removesuffix("\n") == visible(expected).removesuffix("\n")
    assert screen.endswith(b"\n")
    assert not {chr(code) for code in (*range(32), 127, *range(128, 160))} - {"\n", "\t"} & set(screen.decode())


@pytest.mark.parametrize("tokenizer", ["byte", "bpe"])
def test_a_model_of_bytes_writes_exact_bytes_in_a_pipe(on_terminal, uniform, train_quietly, verses, tokenizer):
    from charlm.model import load
    path = uniform(train_quietly(verses, *BRIEF, "--tokenizer", tokenizer))
    flags = ["sample", "-m", path, "--seed", 3, "-n", 200]
    sampled, shown = run_process(*flags).check().stdout, load(str(path)).sample(seed=3, length=200)
    if tokenizer == "byte":
        assert len(sampled) == 200
    assert shown == sampled.decode("utf-8", "replace") and "\ufffd" in shown
    assert run_process(*flags, "--jsonl").check().records[0]["text"] == shown
    _, screen = on_terminal(*flags)
    text = screen.decode()              # valid on a terminal, with one replacement for each invalid byte
    assert text.rstrip("\n") == visible(sampled.decode("utf-8", "surrogateescape")).rstrip("\n")


def test_records_on_a_terminal_hold_no_control_characters(on_terminal, wild_model):
    done, screen = on_terminal("sample", "-m", wild_model, "--jsonl", "-p", "\x9b\x7f", "--seed", 1, "-n", 1)
    assert done.code == 0
    assert json.loads(screen)["prompt"] == "\ufffd\u2421"


def test_a_terminal_as_stdin_is_a_usage_error(model):
    master, slave = pty.openpty()
    done = run_process("sample", "-m", model, "-f", "-", stdin=slave)
    assert "standard input is a terminal" in error_line(done, 2)
    os.close(master)
    os.close(slave)
    done = run_in_process("train", "-", stdin=Terminal(io.BytesIO(b"abc")))
    assert "standard input is a terminal" in error_line(done, 2)


def test_a_closed_pipe_ends_sampling_quietly_with_141(model):
    done = run_shell(f"charlm sample -m '{model}' -n 1000000 --seed 1 | head -1; echo ${{PIPESTATUS[0]}}")
    assert done.stderr == ""
    _, code = done.text.splitlines()
    assert code == "141"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_stdout_is_a_storage_error(model):
    for verb in ("sample", "info"):
        with open("/dev/full", "wb") as full:
            done = run_process(verb, "-m", model, *(["--seed", 1] if verb == "sample" else []), stdout=full)
        assert "No space left" in error_line(done, 6)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_help_to_a_full_stdout_is_a_storage_error():
    with open("/dev/full", "wb") as full:
        done = run_process("sample", "--help", stdout=full)
    assert "internal" not in error_line(done, 6)


def test_a_closed_stdout_is_a_storage_error_but_a_closed_stderr_is_not(model):
    done = run_shell(f"charlm sample -m '{model}' -n 5 --seed 1 >&-; echo $? >&2;"
                     f"charlm sample -m '{model}' -n 5 --temp 0 2>&-")
    assert done.stderr.splitlines()[0].startswith("charlm: error: stdout is closed")
    assert done.stderr.splitlines()[1:] == ["6"]
    assert len(done.stdout) == 5


@pytest.mark.parametrize("strict", [{}, {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}])
def test_output_is_utf8_in_the_c_locale_and_without_a_home(model, tmp_path, strict):
    (tmp_path / "prompt").write_bytes("señor".encode())
    env = {"LC_ALL": "C", "LANG": None, "HOME": None, "XDG_CACHE_HOME": None, **strict}
    done = run_process("sample", "-m", model, "-f", "prompt", "-n", 300, "--seed", 2, env=env)
    plain = run_process("sample", "-m", model, "-f", "prompt", "-n", 300, "--seed", 2, env={"LC_ALL": "C.UTF-8"})
    assert (done.code, done.stderr) == (0, "")
    assert done.stdout == plain.stdout
    assert done.stdout.startswith("señor".encode()) and len(done.text) == 305


def written(monkeypatch, stream, write):
    monkeypatch.setattr("sys.stdout", stream)
    write()
    return stream.buffer.getvalue().decode()


def test_text_is_written_at_once_and_newlines_are_not_translated(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", newline="\r\n")
    text = "é\n\r\n\x1b"
    assert written(monkeypatch, stream, lambda: Output().write(text)) == text


def test_bytes_are_passed_on_as_they_are_but_made_visible_on_a_terminal(monkeypatch):
    for data in (b"\xffa\r\n\x1b", b"", CONTROLS.encode()):
        plain, terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii"), Terminal(io.BytesIO(), encoding="utf-8")
        monkeypatch.setattr("sys.stdout", plain)
        Output().write_bytes(data)
        assert plain.buffer.getvalue() == data
        shown = written(monkeypatch, terminal, functools.partial(lambda data: Output().write_bytes(data), data))
        assert shown == visible(data.decode("utf-8", "replace"))


def test_end_line_ends_a_line_only_once(monkeypatch):
    def write():
        output = Output()
        output.end_line()
        output.write("a")
        output.end_line()
        output.end_line()
        output.write("b\n")
        output.end_line()
    assert written(monkeypatch, io.TextIOWrapper(io.BytesIO()), write) == "a\nb\n"


def test_a_terminal_gets_visible_text(monkeypatch):
    stream = Terminal(io.BytesIO(), encoding="utf-8")
    assert written(monkeypatch, stream, lambda: Output().write(CONTROLS)) == visible(CONTROLS)


def test_a_missing_stdout_is_a_storage_error(monkeypatch):
    monkeypatch.setattr("sys.stdout", None)
    with pytest.raises(StorageError, match="closed"):
        Output()


def test_a_table_is_tab_separated_lines_or_one_json_object(monkeypatch):
    pairs = {"name": "señor", "loss": 1.23456789, "steps": 12_345_678}
    table = written(monkeypatch, io.TextIOWrapper(io.BytesIO()), lambda: write_table(pairs, jsonl=False))
    assert table == "name\tseñor\nloss\t1.23457\nsteps\t12345678\n"
    line = written(monkeypatch, io.TextIOWrapper(io.BytesIO()), lambda: write_table(pairs, jsonl=True))
    assert line.count("\n") == 1 and json.loads(line) == pairs
