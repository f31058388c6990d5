"""Real data that is not part of the project; the command inside this process, and as forks of an idle one."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest

# Runs each line of stdin, a command's arguments in JSON, in a process of its own, forked from this one that
# has imported what `charlm --version` does and no more. Answers with how it ended and what it took.
FORKS = """
import json, os, sys, tempfile
from charlm.cli.main import main

for line in sys.stdin:
    said = [tempfile.TemporaryFile() for _ in range(2)]
    process = os.fork()
    if not process:
        code = 70
        try:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            for place, file in enumerate(said, 1):
                os.dup2(file.fileno(), place)
            sys.argv = ["charlm", *json.loads(line)]
            main()
        except SystemExit as left:
            code = left.code or 0
        finally:
            sys.stdout.flush(), sys.stderr.flush()
            os._exit(code)
    _, status, usage = os.wait4(process, 0)
    out, err = (os.pread(file.fileno(), 1 << 20, 0).decode("utf-8", "replace") for file in said)
    print(json.dumps({"code": os.waitstatus_to_exitcode(status), "seconds": usage.ru_utime + usage.ru_stime,
                      "peak": usage.ru_maxrss, "out": out, "err": err}), flush=True)
"""
UNIT = 1 if sys.platform == "darwin" else 1024          # bytes of one in ru_maxrss


@pytest.fixture
def real_data():
    """A function from a name to its path in the folder that CHARLM_TEST_DATA names; skips without it."""
    def find(name):
        path = Path(os.environ.get("CHARLM_TEST_DATA", ""), name)
        if "CHARLM_TEST_DATA" not in os.environ or not path.is_file():
            pytest.skip(f"needs {name} in the folder that CHARLM_TEST_DATA names")
        return path
    return find


@pytest.fixture(scope="module")
def inside():
    """The command in this process, error boundary and all: its exit code, stdout and the lines of stderr."""
    import torch

    from charlm.cli.exit_codes import run_and_exit
    from charlm.cli.main import cli

    def run(*arguments, stdin=b""):
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
        with pytest.MonkeyPatch.context() as patch, mock.patch.dict(os.environ):
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", err)
            patch.setattr("charlm.training.session.MEASURED", 0.001)
            with pytest.raises(SystemExit) as left:
                run_and_exit(lambda: cli.main([str(one) for one in arguments], prog_name="charlm", standalone_mode=False))
            err.flush()
        return left.value.code, out.buffer.getvalue(), err.buffer.getvalue().decode().splitlines()

    threads = torch.get_num_threads()
    yield run
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def forked():
    """The command in a process of its own, cheaply: how it ended, its output, and its peak in bytes above an idle one."""
    driver = subprocess.Popen([sys.executable, "-c", FORKS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                              encoding="utf-8", env=os.environ | {"OMP_NUM_THREADS": "1"})

    def run(*arguments):
        driver.stdin.write(json.dumps([str(one) for one in arguments]) + "\n")
        driver.stdin.flush()
        return SimpleNamespace(**json.loads(driver.stdout.readline()))

    idle = run("--version")
    assert idle.code == 0 and idle.out.startswith("charlm ")

    def measured(*arguments):
        ended = run(*arguments)
        ended.more = (ended.peak - idle.peak) * UNIT
        return ended

    yield measured
    driver.stdin.close()
    driver.wait(10)
