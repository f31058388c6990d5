"""The command on a GPU: a run that is killed or interrupted is resumed to the very file of one that was left alone."""

import hashlib
import signal
import time

import numpy as np
import pytest

import charlm
from charlm.checkpoint import Checkpoints
from tests.helpers.runners import run_process, start_process

DEVICE = "cuda"
SECONDS = 120
STEPS = 400
SENTENCE = "the quick brown fox jumps over the lazy dog\n"
FLAGS = ("--hidden", "32", "--dropout", "0.2", "--seed", "1", "--patience", "0", "--steps", STEPS, "--device", DEVICE,
         "--checkpoint-every", "0.1", "--batch-size", "8", "--quiet")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with a small text, and `whole.charlm` trained on it without an interruption."""
    path = tmp_path_factory.mktemp("runs")
    (path / "text.txt").write_text(SENTENCE * 200)
    run_process("train", "text.txt", "-o", "whole.charlm", *FLAGS, cwd=path, timeout=SECONDS).check()
    return path


def digest(path):
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def stop_midway(folder, output, signum):
    """Start a run and send a signal once a checkpoint is written between two steps; return how the process ended."""
    with start_process("train", "text.txt", "-o", output, *FLAGS, cwd=folder) as run:
        end = time.monotonic() + SECONDS
        while run.poll() is None and time.monotonic() < end:
            found = Checkpoints(str(folder / output))
            if found.exist() and found.newest(lambda warning: None).run["state"]["step"]:
                break
            time.sleep(0.01)
        run.send_signal(signum)
        return run.wait(SECONDS)


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM], ids=["KILL", "TERM"])
def test_a_stopped_run_on_the_gpu_resumes_to_the_same_file(folder, signum):
    output = f"{signum.name}.charlm"
    assert stop_midway(folder, output, signum) == -signum                # a shell's 137 or 143
    resumed = run_process("train", "text.txt", "-o", output, "--resume", "--device", DEVICE, cwd=folder,
                          timeout=SECONDS).check()
    assert "event=resumed" in resumed.stderr and f"reason=finished step={STEPS}" in resumed.stderr
    assert digest(folder / output) == digest(folder / "whole.charlm")


def test_scores_by_the_command_on_the_gpu_equal_those_on_the_cpu(folder):
    scored = run_process("score", "-m", "whole.charlm", "--device", DEVICE, "text.txt", cwd=folder,
                         timeout=SECONDS).check()
    gpu = np.array([line.split("\t")[0] for line in scored.text.splitlines()], float)
    lines = (folder / "text.txt").read_text().splitlines(keepends=True)
    cpu = np.array([score.bits_per_character for score in charlm.load(str(folder / "whole.charlm")).scores(lines)])
    assert len(gpu) == 200 and np.abs(gpu - cpu).max() < 1e-3
