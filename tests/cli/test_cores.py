"""--threads: several cores change nothing that is written, and every way to end stays as it is with one."""

import os
import select
import signal
import subprocess
import threading
import time

import pytest

from charlm.cli import line_input
from charlm.inference import parallel
from tests.helpers.runners import SECONDS, error_line, is_running, run_in_process, run_shell, start_process
from tests.helpers.texts import as_lines

LINES = [*(f"O'Ban{'ez' * (at % 7)}\tx" if at % 9 == 4 else f"Lu{'tsson' * (at % 4)}" for at in range(40)), "", "Mñez"]
COMMANDS = {
    "names": ["score"], "tokens": ["score", "--level", "token", "--jsonl"], "total": ["score", "--level", "total"],
    "carried": ["score", "--carry"], "bounds": ["filter", "--max-bpc", 6.2, "--with-score"],
    "quota": ["filter", "--keep", "30%"], "labels": ["classify", "--n-best", 2], "pairs": ["translate", "--jsonl"],
    "gaps": ["fill", "--gap", "ez", "-N", 2, "--seed", 5, "--jsonl"]}


@pytest.fixture
def command(model, pairs_model, fill_model, lines_model, labels_model):
    """Return a function that returns the words of a command with its model."""
    models = {"carried": model, "labels": labels_model, "pairs": pairs_model, "gaps": fill_model,
              "tokens": labels_model}
    return lambda name: [*COMMANDS[name], "-m", models.get(name, lines_model)]


@pytest.mark.parametrize("name", COMMANDS)
def test_output_and_reports_do_not_depend_on_the_number_of_cores(command, name, monkeypatch):
    monkeypatch.setattr(line_input, "MAX_BATCH", 5)
    monkeypatch.setattr(parallel, "START_AFTER", 0)
    data = as_lines(LINES).encode() + b"not \xff UTF-8\nO'Ban\r\nBan"
    one, *others = (run_in_process(*command(name), "--threads", number, stdin=data) for number in (1, 2, 3))
    assert one.code == 4 and one.stdout and "not UTF-8" in one.stderr
    for other in others:
        assert other == one


@pytest.mark.parametrize("flags", [[], ["--window", 8]])
def test_metrics_do_not_depend_on_the_number_of_cores(request, flags, verses, lexicon, names, labelled_names,
                                                      monkeypatch):
    monkeypatch.setattr(parallel, "START_AFTER", 0)
    monkeypatch.setattr("charlm.evaluators.LINES_AT_ONCE", 5)
    monkeypatch.setattr("charlm.inference.evaluation.SOURCES_AT_ONCE", 9)
    monkeypatch.setattr("charlm.inference.evaluation.GAPS_AT_ONCE", 2)
    monkeypatch.setattr("charlm.inference.text_scoring.LOGITS", 2000)
    files = {"model": verses} | ({} if flags else {"pairs_model": lexicon, "fill_model": verses, "lines_model": names,
                                                   "labels_model": labelled_names})
    for given, file in files.items():
        one, two = (run_in_process("eval", "-m", request.getfixturevalue(given), *flags, "--jsonl", file,
                                   "--threads", number).check() for number in (1, 2))
        assert one == two


LONG = b"Ban" * 30 + b"\n"


def children(pid):
    """Return the processes that a process has started."""
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(child) for child in file.read().split()]


@pytest.fixture
def busy(lines_model):
    """A `charlm score` with two workers, whose stdin stays open; its first answers have been read."""
    with start_process("score", "-m", lines_model, "--threads", 2, stdin=subprocess.PIPE, bufsize=0,
                       preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler)) as process:
        try:
            writer = threading.Thread(target=process.stdin.write, args=(LONG * 3000,), daemon=True)
            writer.start()              # more than the pipes hold
            read_lines(process, 3000)
            writer.join()
            assert len(children(process.pid)) == 2
            yield process
        finally:
            process.kill()


def read_lines(process, count):
    """Read this many lines of a process's stdout, which must come while its stdin is open."""
    data = b""
    while data.count(b"\n") < count:
        assert select.select([process.stdout], [], [], SECONDS)[0], data[-99:]
        more = os.read(process.stdout.fileno(), 1 << 16)
        assert more
        data += more
    return data


on_linux = pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="no /proc here")


@on_linux
def test_workers_answer_a_line_while_the_next_one_is_not_there(busy):
    for part in (b"Ban\n", b"Ban\nB", b"an\n"):
        busy.stdin.write(part)
        assert read_lines(busy, 1).endswith(b"\tBan\n")
    busy.stdin.close()
    assert busy.stdout.read() == busy.stderr.read() == b"" and busy.wait(SECONDS) == 0


@on_linux
def test_a_killed_worker_ends_the_command_with_one_error_line(busy):
    workers = children(busy.pid)
    os.kill(workers[0], signal.SIGKILL)
    _, stderr = busy.communicate(LONG * 3000, timeout=SECONDS)
    assert (busy.returncode, stderr) == (
        1, b"charlm: error: a worker process was killed by signal 9; if memory was short, give --threads 1\n")
    assert not any(map(is_running, workers))


@on_linux
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_command_and_its_workers(busy, number):
    workers = children(busy.pid)
    os.kill(workers[0], signal.SIGINT)              # as a terminal sends it to all; workers leave it to their parent
    busy.send_signal(number)
    _, stderr = busy.communicate(timeout=SECONDS)
    assert (busy.returncode, stderr.strip()) == (-number, b"")
    end = time.monotonic() + SECONDS
    while any(map(is_running, workers)):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_closed_pipe_ends_a_command_with_workers_with_141(lines_model):
    done = run_shell(f"yes Ban | charlm score -m {lines_model} --threads 2 | head -1; echo ${{PIPESTATUS[1]}}")
    assert done.stderr == "" and done.text.splitlines()[1] == "141"


def test_a_missing_file_and_cores_are_refused_in_one_line(lines_model):
    assert "cannot be read" in error_line(run_in_process("score", "-m", lines_model, "--threads", 2, "missing"), 4)
