"""Real data that is not part of the project, and `run_process` as forks of one process that has charlm imported."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.helpers.runners import BYTES_PER_UNIT, Result

# Runs each line of stdin, the arguments of a command in JSON, in a process forked from this one, which imported only
# what `charlm --version` needs. Answers with the exit code, both outputs, the seconds and the peak memory.
SERVER = """
import json, os, sys, tempfile
from charlm.cli.main import main

for line in sys.stdin:
    outputs = [tempfile.TemporaryFile() for _ in range(2)]
    process = os.fork()
    if not process:
        code = 70
        try:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            for descriptor, file in enumerate(outputs, 1):
                os.dup2(file.fileno(), descriptor)
            sys.argv = ["charlm", *json.loads(line)]
            main()
        except SystemExit as exit_:
            code = exit_.code or 0
        finally:
            sys.stdout.flush(), sys.stderr.flush()
            os._exit(code)
    _, status, usage = os.wait4(process, 0)
    out, err = (os.pread(file.fileno(), 1 << 20, 0).decode("utf-8", "replace") for file in outputs)
    print(json.dumps({"code": os.waitstatus_to_exitcode(status), "seconds": usage.ru_utime + usage.ru_stime,
                      "peak": usage.ru_maxrss, "stdout": out, "stderr": err}), flush=True)
"""


@dataclass(frozen=True)
class MeasuredResult(Result):
    """A result with the seconds of processor time, and the peak memory in bytes beyond that of `charlm --version`."""

    seconds: float
    memory: int


@pytest.fixture
def real_data():
    """Return a function from a name to its path in the folder CHARLM_TEST_DATA; it skips tests of missing files."""
    def find(name):
        path = Path(os.environ.get("CHARLM_TEST_DATA", ""), name)
        if "CHARLM_TEST_DATA" not in os.environ or not path.is_file():
            pytest.skip(f"needs {name} in the folder that CHARLM_TEST_DATA names")
        return path
    return find


@pytest.fixture(scope="module")
def run_process():
    """Return `run_process` as forks, which start in no time and whose memory can be measured."""
    server = subprocess.Popen([sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                              encoding="utf-8", env=os.environ | {"OMP_NUM_THREADS": "1"})

    def answer(*arguments):
        server.stdin.write(json.dumps([str(argument) for argument in arguments]) + "\n")
        server.stdin.flush()
        return json.loads(server.stdout.readline())

    idle = answer("--version")
    assert idle["code"] == 0 and idle["stdout"].startswith("charlm ")

    def run(*arguments):
        ended = answer(*arguments)
        memory = (ended.pop("peak") - idle["peak"]) * BYTES_PER_UNIT
        return MeasuredResult(**ended | {"stdout": ended["stdout"].encode()}, memory=memory)

    yield run
    server.stdin.close()
    server.wait(10)
