"""The error boundary: exit codes, and one line on stderr whatever happens."""

import os
import signal
import subprocess
import sys

import click
import pytest

from charlm import errors
from charlm.cli.exit_codes import message, run_and_exit
from tests.helpers.runners import error_line, run_process


def raising(error):
    def command():
        raise error
    return command


@pytest.mark.parametrize("error, code", [
    (errors.CharlmError("x"), 1), (errors.UsageError("x"), 2), (errors.ModelFileError("x"), 3),
    (errors.CorpusError("x"), 4), (errors.DivergedError("x"), 5), (errors.StorageError("x"), 6),
    (click.UsageError("x"), 2), (MemoryError(), 1), (KeyError("x"), 1), (OSError(5, "x"), 6),
    (RuntimeError("CUDA out of memory. Tried"), 1)])
def test_every_error_has_its_exit_code_and_one_line(capsys, monkeypatch, error, code):
    monkeypatch.delenv("CHARLM_DEBUG", raising=False)
    with pytest.raises(SystemExit) as exit_:
        run_and_exit(raising(error))
    captured = capsys.readouterr()
    assert exit_.value.code == code
    assert captured.out == ""
    assert captured.err.startswith("charlm: error: ") and captured.err.count("\n") == 1


def test_out_of_memory_names_the_flags_that_need_less(capsys):
    for error in (MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: x")):
        with pytest.raises(SystemExit):
            run_and_exit(raising(error))
        assert "--batch-size, --bptt or --hidden" in capsys.readouterr().err


def test_an_internal_error_names_the_debug_variable_which_shows_it(capsys, monkeypatch):
    monkeypatch.delenv("CHARLM_DEBUG", raising=False)
    with pytest.raises(SystemExit):
        run_and_exit(raising(ZeroDivisionError("odd")))
    assert "internal: ZeroDivisionError: odd; CHARLM_DEBUG=1" in capsys.readouterr().err
    monkeypatch.setenv("CHARLM_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        run_and_exit(raising(ZeroDivisionError("odd")))


def test_success_is_0_and_a_returned_number_is_the_exit_code():
    for returned, code in ((None, 0), (0, 0), (3, 3)):
        with pytest.raises(SystemExit) as exit_:
            run_and_exit(lambda value=returned: value)
        assert exit_.value.code == code


def test_a_closed_pipe_is_141_and_silent(capsys):
    with pytest.raises(SystemExit) as exit_:
        run_and_exit(raising(BrokenPipeError()))
    assert exit_.value.code == 141
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("error, signum", [
    ("KeyboardInterrupt()", signal.SIGINT), ("click.Abort()", signal.SIGINT),
    (f"TerminatedBySignal({int(signal.SIGTERM)})", signal.SIGTERM),
    (f"TerminatedBySignal({int(signal.SIGHUP)})", signal.SIGHUP)])
def test_an_interrupted_command_dies_by_the_signal(error, signum):
    code = ("import click\nfrom charlm.cli.exit_codes import TerminatedBySignal, run_and_exit\n"
            f"def command(): raise {error}\nrun_and_exit(command)")
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signum, b"", b"")


def test_a_message_is_one_line_without_controls(capsys):
    message("bad\nname \x1b[31m\r in\x9bC1")
    assert capsys.readouterr().err == "charlm: bad name ␛[31m in\ufffdC1\n"


def test_a_message_to_a_closed_or_absent_stderr_is_dropped(monkeypatch, capsys):
    tried = []

    class Gone:
        def write(self, text):
            tried.append(text)
            raise BrokenPipeError

    for stream in (Gone(), None):
        monkeypatch.setattr(sys, "stderr", stream)
        message("unheard")
    assert tried == ["charlm: unheard\n"] and capsys.readouterr().out == ""


def test_an_error_keeps_its_code_when_stderr_is_gone():
    reader, writer = os.pipe()
    os.close(reader)
    done = run_process("sample", "-m", "missing.charlm", stderr=writer)
    os.close(writer)
    assert done.code == 3


def test_file_names_that_are_not_text_are_shown_escaped():
    done = run_process("info", os.fsdecode(b"caf\xe9.charlm"))
    assert r"caf\udce9.charlm" in error_line(done, 3)
