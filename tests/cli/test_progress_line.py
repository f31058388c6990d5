"""The progress line of commands: which ones show it, where, and that nothing of it stays."""

import os
import pty
import signal
import subprocess
import sys
import threading

import pytest

from tests.helpers.runners import SECONDS, environment, run_in_process
from tests.helpers.texts import BRIEF, VERSES

ERASE = "\r\x1b[K"
AT_ONCE = ("import charlm.reports.meter as meter; meter.DELAY = meter.INTERVAL = 0\n"
           "from charlm.cli.main import main; main()")


def left_on_screen(text):
    """Return the lines that remain when everything before an erasure of its line is gone."""
    return [line for line in (line.rpartition(ERASE)[2] for line in text.split("\n")) if line]


@pytest.fixture
def eager(monkeypatch):
    """Show progress lines at once, and take stderr for a terminal and stdout for none."""
    monkeypatch.setattr("charlm.reports.meter.DELAY", 0)
    monkeypatch.setattr("charlm.reports.meter.INTERVAL", 0)
    monkeypatch.setattr("charlm.cli.metering._is_terminal", lambda stream: stream is sys.stderr)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)


@pytest.fixture
def long_text(tmp_path):
    """A file of some hundreds of lines."""
    (tmp_path / "long.txt").write_text(VERSES * 10, encoding="utf-8")
    return tmp_path / "long.txt"


def commands(request, text):
    """Return every command that may take long on this text, by name."""
    model, lines, labels, pairs, fill = (request.getfixturevalue(f"{name}model") for name in (
        "", "lines_", "labels_", "pairs_", "fill_"))
    short = text.parent / "short.txt"
    short.write_text(VERSES[:400], encoding="utf-8")
    return {"score": ["score", "-m", model, text], "total": ["score", "-m", model, "--level", "total", text],
            "summary": ["score", "-m", model, "--summary", text], "tokenize": ["tokenize", "-m", model, text],
            "filter": ["filter", "-m", lines, "--keep", "5", text], "classify": ["classify", "-m", labels, text],
            "translate": ["translate", "-m", pairs, short], "fill": ["fill", "-m", fill, short],
            "eval": ["eval", "-m", model, text], "eval lines": ["eval", "-m", lines, text],
            "compress": ["compress", "-m", model, short], "sample": ["sample", "-m", model, "-f", text, "-n", "1"],
            "train": ["train", text, "-o", text.parent / "m.charlm", *BRIEF]}


NAMES = ("score", "total", "summary", "tokenize", "filter", "classify", "translate", "fill", "eval", "eval lines",
         "compress", "sample", pytest.param("train", marks=pytest.mark.slow))


@pytest.mark.parametrize("name", NAMES)
def test_long_work_shows_a_line_that_is_gone_at_the_end(request, eager, long_text, name):
    done = run_in_process(*commands(request, long_text)[name]).check()
    assert any("B of " in part and "B/s" in part for part in done.stderr.split(ERASE)[1:])
    assert all(line.startswith(("charlm: ", "event=")) for line in left_on_screen(done.stderr))


@pytest.mark.parametrize("change", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_nothing_is_animated_where_that_is_not_wanted(eager, model, long_text, change):
    assert run_in_process("score", "-m", model, long_text, env=change).check().stderr == ""


def test_nothing_is_drawn_in_a_pipe(eager, monkeypatch, model, long_text):
    monkeypatch.setattr("charlm.cli.metering._is_terminal", lambda stream: False)
    assert run_in_process("score", "-m", model, long_text).check().stderr == ""


@pytest.mark.parametrize("flags, drawn", [(["--max-bpc", "9"], False), (["--keep", "9"], True),
                                          (["--keep", "9", "--quiet"], False)])
def test_where_records_go_the_line_precedes_them_or_is_left_out(eager, monkeypatch, model, long_text, flags, drawn):
    monkeypatch.setattr("charlm.cli.metering._is_terminal", lambda stream: True)
    done = run_in_process("filter", "-m", model, *flags, long_text).check()
    assert ("lines ·" in done.stderr) == drawn


def test_lines_that_are_answered_count_not_those_that_are_read(eager, model, tmp_path):
    (tmp_path / "lines.txt").write_text("green bottles\n" * 700, encoding="utf-8")
    done = run_in_process("score", "-m", model, "--threads", 3, "lines.txt").check()
    parts = [part.split(" · ")[:2] for part in done.stderr.split(ERASE) if " · " in part]
    assert [line for line, _ in parts] == ["32 lines", "288 lines", "544 lines", "700 lines"]
    assert [of for _, of in parts] == [f"{size} of 9.80 kB" for size in ("448 B", "4.03 kB", "7.62 kB", "9.80 kB")]


def test_the_bytes_of_records_are_counted_too(eager, model, tmp_path):
    (tmp_path / "records.jsonl").write_text('{"t": "green bottles"}\n' * 700, encoding="utf-8")
    done = run_in_process("score", "-m", model, "--json-field", "t", "records.jsonl").check()
    assert " B/s" not in done.stderr.replace(" kB/s", "").replace(" MB/s", "")


def test_of_a_compressed_file_the_line_counts_compressed_bytes(eager, model, tmp_path):
    import gzip
    (tmp_path / "lines.gz").write_bytes(gzip.compress(VERSES.encode() * 100))
    size = (tmp_path / "lines.gz").stat().st_size
    done = run_in_process("tokenize", "-m", model, "lines.gz").check()
    last = [part for part in done.stderr.split(ERASE) if " · " in part][-1]
    assert last.startswith(f"12,000 lines · {size / 1000:.2f} kB of {size / 1000:.2f} kB")


def test_an_error_removes_the_line_before_it_is_reported(eager, model, tmp_path):
    (tmp_path / "bad.txt").write_bytes(b"green\n" * 400 + b"\xff\n")
    done = run_in_process("score", "-m", model, "bad.txt")
    assert done.code == 4
    assert "lines ·" in done.stderr and len(left_on_screen(done.stderr)) == 2
    assert all(line.startswith("charlm: ") for line in left_on_screen(done.stderr))


class Terminal:
    """The command with a pseudo-terminal as stderr, and what is on that."""

    def __init__(self, *arguments, **popen):
        self.reader, slave = pty.openpty()
        self.seen = b""
        self.process = subprocess.Popen([sys.executable, "-c", AT_ONCE, *map(str, arguments)], stderr=slave,
                                        env=environment(TERM="xterm", NO_COLOR=None), **popen)
        os.close(slave)
        self.thread = threading.Thread(target=self._read)
        self.thread.start()

    def _read(self):
        try:
            while data := os.read(self.reader, 4096):
                self.seen += data
        except OSError:
            pass                        # Linux says EIO when the last writer is gone

    def ended(self):
        """Wait for the end; return the exit code and what was written to the terminal."""
        code = self.process.wait(SECONDS)
        self.thread.join(SECONDS)
        os.close(self.reader)
        return code, self.seen.decode()


def test_on_a_real_terminal_the_count_follows_the_erased_line(model, long_text, tmp_path):
    with open(tmp_path / "out", "wb") as out:
        code, screen = Terminal("filter", "-m", model, "--max-bpc", "99", long_text, stdout=out).ended()
    assert code == 0 and (tmp_path / "out").read_bytes() == long_text.read_bytes()
    assert " lines · " in screen and screen.endswith(f"{ERASE}charlm: 1,200 of 1,200 lines passed\r\n")


def test_control_c_removes_the_line(model):
    terminal = Terminal("score", "-m", model, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    terminal.process.stdin.write(b"green\n")
    terminal.process.stdin.flush()
    assert terminal.process.stdout.readline()
    while b"lines" not in terminal.seen:
        assert terminal.process.poll() is None
    terminal.process.send_signal(signal.SIGINT)
    code, screen = terminal.ended()
    terminal.process.stdin.close(), terminal.process.stdout.close()
    assert code == -signal.SIGINT and screen.strip("\r\n").endswith(ERASE.strip("\r"))
