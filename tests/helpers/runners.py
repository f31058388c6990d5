"""Three ways to run the `charlm` command: `run_in_process`, `run_process` and `run_shell`.

Each returns a `Result`. They are plain functions, so that Hypothesis can call them many times; all of them run in the
current directory and without the `CHARLM...` variables of the outer environment.
"""

import contextlib
import io
import json
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass

import pytest

SECONDS = 60                            # a command that takes longer has hung
BYTES_PER_UNIT = 1 if sys.platform == "darwin" else 1024        # of ru_maxrss
MEASURED = 0.001                        # seconds that a training in this process measures its speed


@dataclass(frozen=True)
class Result:
    """An ended command: its exit code (minus the signal that killed it), stdout as bytes and stderr as text."""

    code: int
    stdout: bytes
    stderr: str

    @property
    def text(self):
        """Return stdout as text."""
        return self.stdout.decode()

    @property
    def records(self):
        """Return stdout as JSON records, one a line."""
        return [json.loads(line) for line in self.stdout.splitlines()]

    def check(self):
        """Return this result if the command succeeded; raise AssertionError otherwise."""
        assert self.code == 0, (self.code, self.stderr)
        return self


def error_line(result, code):
    """Return the only line that a command wrote which failed with this exit code: an error on stderr."""
    assert result.code == code, result
    assert result.stderr.startswith("charlm: error: "), result
    assert result.stderr.endswith("\n") and result.stderr.count("\n") == 1, result
    assert not result.stdout
    return result.stderr


def environment(**changes):
    """Return this process's environment without settings of charlm or of Python's text mode; None removes a name."""
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith(("CHARLM", "_CHARLM", "PYTHONUTF8", "PYTHONIOENCODING"))}
    return {name: value for name, value in {**kept, **changes}.items() if value is not None}


def run_in_process(*arguments, stdin=b"", env=None, threads=1):
    """Run the command in this process, through `run_and_exit`.

    `stdin` is bytes, or a text stream to read instead. A training gets `--threads` as its first flag, because torch's
    threads are shared by the whole process; with None it gets none.
    """
    from charlm.cli.exit_codes import run_and_exit
    from charlm.cli.main import cli
    words = [str(argument) for argument in arguments]
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    with pytest.MonkeyPatch.context() as patch, _environment_of(env), contextlib.ExitStack() as stack:
        if words[:1] == ["train"]:
            stack.enter_context(_torch_settings_kept(patch))
            words[1:1] = [] if threads is None else ["--threads", str(threads)]
        if isinstance(stdin, bytes):
            stdin = io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8")
        patch.setattr(sys, "stdin", stdin)
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        with pytest.raises(SystemExit) as exit_:
            run_and_exit(lambda: cli.main(words, prog_name="charlm", standalone_mode=False))
        out.flush(), err.flush()
    return Result(exit_.value.code, out.buffer.getvalue(), err.buffer.getvalue().decode())


def start_process(*arguments, python=(), env=None, **popen):
    """Start `python -m charlm ...` and return its Popen; by default stdin is empty and both outputs are pipes."""
    popen = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | popen
    return subprocess.Popen([sys.executable, *python, "-m", "charlm", *map(str, arguments)],
                            env=environment(**(env or {})), **popen)


def run_process(*arguments, stdin=None, timeout=SECONDS, **popen):
    """Run `python -m charlm ...`; `stdin` is bytes, or a file or descriptor to read instead."""
    data = stdin if isinstance(stdin, bytes) else None
    if stdin is not None:
        popen["stdin"] = subprocess.PIPE if data is not None else stdin
    with start_process(*arguments, **popen) as process:
        try:
            out, err = process.communicate(data, timeout)
        except BaseException:
            process.kill()
            raise
    return Result(process.returncode, out or b"", (err or b"").decode())


def is_running(pid):
    """Return True if a process exists and has not ended; needs /proc."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def run_shell(script, env=None):
    """Run a bash script in which `charlm` is the command."""
    define = f'charlm() {{ {shlex.quote(sys.executable)} -m charlm "$@"; }}\n'
    done = subprocess.run(["bash", "-c", define + script], timeout=SECONDS, env=environment(**(env or {})),
                          stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return Result(done.returncode, done.stdout, done.stderr.decode())


def measure_memory(*arguments, feed=None, **popen):
    """Run `python -m charlm ...` and return its peak memory in bytes; raise AssertionError if it fails.

    `feed` is called with the process's stdin. Both outputs must go to files, or nowhere, because nobody reads pipes.
    """
    popen = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL} | popen
    process = start_process(*arguments, **popen)
    if feed:
        feed(process.stdin)
    process.stdin.close()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss * BYTES_PER_UNIT


@contextlib.contextmanager
def _environment_of(env):
    """Set the environment of a command, and put the whole environment back afterwards."""
    before = dict(os.environ)
    wanted = environment(**(env or {}))
    try:
        os.environ.clear()
        os.environ.update(wanted)
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def _torch_settings_kept(patch):
    """Put torch's settings back after a training, whose speed is measured for a moment only."""
    from charlm.training.spinning import spin_briefly
    spin_briefly()
    import torch
    patch.setattr("charlm.training.time_plan.MIN_MEASURED", MEASURED)
    patch.setattr("charlm.cli.announcing.DELAY", SECONDS)       # a busy machine must not change what is said
    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_flush_denormal(False)
