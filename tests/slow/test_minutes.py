"""A run with --minutes: it ends in time although the machine slows down, and the command that it prints repeats it."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time

import pytest

from charlm.modelfile import load
from tests.helpers.texts import VERSES

pytestmark = pytest.mark.slow


def start(words, folder):
    return subprocess.Popen([sys.executable, "-m", *words], cwd=folder, text=True, stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE, env=os.environ | {"OMP_NUM_THREADS": "1"})


@pytest.fixture
def verses(tmp_path):
    (tmp_path / "verses.txt").write_text(VERSES * 8, encoding="utf-8")
    return tmp_path


def test_the_printed_command_repeats_a_run_of_changing_speed(verses):
    began = time.monotonic()
    run = start(["charlm", "train", "verses.txt", "-o", "first.charlm", "--minutes", "0.3", "--seed", "5"], verses)
    time.sleep(8)
    for _ in range(30):                     # the machine becomes half as fast
        os.kill(run.pid, signal.SIGSTOP)
        time.sleep(0.1)
        os.kill(run.pid, signal.SIGCONT)
        time.sleep(0.1)
    errors = run.communicate(timeout=60)[1]
    seconds = time.monotonic() - began
    assert run.returncode == 0, errors
    assert 0.9 * 18 <= seconds <= 1.1 * 18 + 1, errors      # a second to start Python and end it
    command = re.search(r'repeat="(charlm train .*)"$', errors, re.MULTILINE)[1]
    assert "--replan" in command and "--minutes" not in command
    repeated = start(shlex.split(command), verses)
    errors = repeated.communicate(timeout=90)[1]
    assert repeated.returncode == 0, errors
    assert load(str(verses / "again.charlm")).training == load(str(verses / "first.charlm")).training, command
    assert (verses / "again.charlm").read_bytes() == (verses / "first.charlm").read_bytes()
