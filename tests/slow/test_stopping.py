"""Large networks: a signal ends their run within seconds in every phase, and one that cannot fit is refused."""

import contextlib
import os
import re
import resource
import signal
import subprocess
import time
from pathlib import Path

import pytest

from charlm.config import TrainingConfig
from charlm.modelfile import load
from charlm.training.memory import needed
from tests.helpers.runners import start_process

pytestmark = pytest.mark.slow

SOON = 5.0                              # seconds
# The length of a run, how a line of stderr that precedes the phase begins, and whether a checkpoint precedes it, too.
PHASES = {"building": (["--steps", "50"], b"charlm: loading", False),
          "measuring": (["--minutes", "1"], b"event=measuring", True),
          "updating": (["--steps", "50"], b"event=plan", True)}


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "corpus.txt").write_text("a cat sat\non a mat\n" * 5000, encoding="utf-8")
    return "corpus.txt"


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_large_run_within_five_seconds(corpus, phase, signum):
    length, mark, saved = PHASES[phase]
    with start_process("train", corpus, "--hidden", 2048, "--batch-size", 4, "--bptt", 16, *length,
                       stdout=subprocess.DEVNULL) as process:
        seen = b""
        while mark not in seen:
            line = process.stderr.readline()
            assert line, seen
            seen += line
        while saved and not os.path.exists("corpus.charlm.checkpoint-a"):
            time.sleep(0.1)
        time.sleep(3)
        began = time.monotonic()
        process.send_signal(signum)
        seen += process.stderr.read()
        assert process.wait() == -signum, seen
        assert time.monotonic() - began < SOON, seen
    assert b"Traceback" not in seen and (b"--resume" in seen) == saved


def test_a_run_beyond_the_limit_of_its_memory_is_refused_with_the_figure(corpus):
    def limited():
        resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))

    with start_process("train", corpus, "--hidden", 10_000, preexec_fn=limited) as process:
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1 and not os.path.exists("corpus.charlm")
    assert re.search(r"out of memory: this run needs about \d+\.\d GB, and \d\.\d GB are available; lower --hidden",
                     stderr.decode()), stderr


def peak(corpus, *options):
    """Return the peak memory in bytes of a run of two steps."""
    with start_process("train", corpus, "--force", "--steps", 2, "--threads", 1, "--precision", "float32", *options,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        found = 0
        while process.poll() is None:       # the maximum in its resource usage includes that of the process that forked
            with contextlib.suppress(OSError, TypeError):
                status = Path(f"/proc/{process.pid}/status").read_text()
                found = max(found, 1024 * int(re.search(r"VmHWM:\s+(\d+)", status)[1]))
            time.sleep(0.01)
    assert process.returncode == 0
    return found


@pytest.mark.parametrize("options", [
    ["--hidden", 768, "--batch-size", 8, "--bptt", 16], ["--hidden", 128, "--batch-size", 256, "--bptt", 128],
    ["--hidden", 1024, "--batch-size", 4, "--bptt", 16, "--optimizer", "adamw", "--averaging", 0.9]])
def test_the_estimate_is_near_the_peak_of_a_run(corpus, options):
    torch_alone = peak(corpus, "--hidden", 8, "--layers", 1, "--batch-size", 1, "--bptt", 4)
    taken = peak(corpus, *options) - torch_alone
    model = load("corpus.charlm")
    run = TrainingConfig(**{name: model.training[name] for name in ("steps", "batch_size", "bptt", "optimizer",
                                                                   "averaging")})
    assert sum(needed(model.config, run, run.batch_size * run.bptt)) == pytest.approx(taken, rel=0.25)
