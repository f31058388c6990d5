"""Twenty trainings of one output, started at once by the command itself."""

import os
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.slow

STARTED = 20
ALL_TOLD = 240                          # seconds, for twenty interpreters on a busy machine
COMMAND = [sys.executable, "-m", "charlm", "train", "corpus", "-o", "model", "--hidden", "16", "--layers", "1", "--threads", "1",
           "--steps", "1000000", "--patience", "0"]


@pytest.fixture
def trainings(tmp_path):
    (tmp_path / "corpus").write_text("the ape and the bee and the cod\n" * 200, encoding="utf-8")
    training_options = [subprocess.Popen(COMMAND, cwd=tmp_path, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                    env=os.environ | {"OMP_NUM_THREADS": "1"}) for _ in range(STARTED)]
    yield training_options
    for training in training_options:
        training.kill()
        training.communicate()


def test_of_twenty_trainings_at_once_one_runs_and_the_others_name_it(tmp_path, trainings):
    deadline = time.monotonic() + ALL_TOLD
    while sum(training.poll() is None for training in trainings) > 1 and time.monotonic() < deadline:
        time.sleep(0.1)
    running = [training for training in trainings if training.poll() is None]
    assert len(running) == 1
    for training in trainings:
        if training is not running[0]:
            assert training.wait() == 7
            assert training.stderr.read().splitlines() == [
                f"charlm: error: model: a training run (process {running[0].pid}) is writing it; wait for it, or name another file with -o"]
    while "event=step" not in running[0].stderr.readline():
        pass
    running[0].send_signal(signal.SIGINT)
    assert "--resume" in running[0].communicate(timeout=60)[1]
    assert running[0].returncode == -signal.SIGINT
    assert sorted(os.listdir(tmp_path)) == ["corpus", "model", "model.checkpoint-a", "model.checkpoint-b"]
