"""Twenty trainings of the same output, started at once."""

import os
import signal
import time

import pytest

from tests.helpers.runners import start_process

pytestmark = pytest.mark.slow

STARTED = 20
LIMIT = 240                             # seconds, for twenty interpreters on a busy machine
FLAGS = ["--hidden", "16", "--layers", "1", "--threads", "1", "--steps", "1000000", "--patience", "0"]


@pytest.fixture
def trainings(tmp_path):
    (tmp_path / "corpus").write_text("the ape and the bee and the cod\n" * 200, encoding="utf-8")
    started = [start_process("train", "corpus", "-o", "model", *FLAGS, cwd=tmp_path, stdout=None, text=True,
                             env={"OMP_NUM_THREADS": "1"}) for _ in range(STARTED)]
    yield started
    for training in started:
        training.kill()
        training.communicate()


def test_of_twenty_trainings_one_runs_and_the_others_name_its_process(tmp_path, trainings):
    deadline = time.monotonic() + LIMIT
    while sum(training.poll() is None for training in trainings) > 1 and time.monotonic() < deadline:
        time.sleep(0.1)
    running = [training for training in trainings if training.poll() is None]
    assert len(running) == 1
    for training in trainings:
        if training is not running[0]:
            assert training.wait() == 7
            assert training.stderr.read().splitlines() == [
                f"charlm: error: model: a training run (process {running[0].pid}) is writing it; "
                "wait for it, or name another file with -o"]
    while "event=step" not in running[0].stderr.readline():
        pass
    running[0].send_signal(signal.SIGINT)
    assert "--resume" in running[0].communicate(timeout=60)[1]
    assert running[0].returncode == -signal.SIGINT
    assert sorted(os.listdir(tmp_path)) == ["corpus", "model", "model.checkpoint-a", "model.checkpoint-b"]
