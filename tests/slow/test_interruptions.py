"""Hundreds of trainings are killed, interrupted or lose their corpus, and none loses its progress.

All are forked from one process that has imported torch, because hundreds of interpreters would take too long to start.
"""

import contextlib
import json
import os
import random
import select
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from charlm.checkpoint import Checkpoints

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("CHARLM_TEST_KILLS", 80))         # 200 take three minutes more
IN_A_SAVE = 0.25                        # share of the kills
INTERVAL = 0.1                          # seconds between checkpoints
DELAY = 1.0                             # seconds that a busy machine may add
NETWORK = ["--hidden", "16", "--layers", "1", "--embedding", "8", "--dropout", "0.2", "--averaging", "0.9",
           "--batch-size", "8", "--threads", "1", "--patience", "0", "--checkpoint-every", str(INTERVAL)]
TASKS = {"stream": [], "lines": ["--lines"], "pairs": ["--pairs"], "fill": ["--fill"]}
STEPS = {"stream": 400, "lines": 400, "pairs": 160, "fill": 60}
WORDS = ["ape", "bee", "cod", "doe", "eel", "fox", "gnu", "hen"]


def text_of(task):
    """Return a corpus for a task."""
    lines = [f"{one} {two} {three}" for one in WORDS for two in WORDS for three in WORDS[:3]]
    lines = lines[:40] if task == "pairs" else lines
    return "".join(f"{line}\t{line[::-1]}\n" if task == "pairs" else f"{line}\n" for line in lines)


class Forks:
    """One process from which runs of the command are forked, one at a time."""

    def __init__(self):
        self.server = subprocess.Popen([sys.executable, str(Path(__file__).with_name("forks.py"))], text=True,
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       env=os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"})

    def start(self, folder, *arguments, hook=None, seed=0):
        """Start a run and return its process id."""
        job = {"arguments": [*map(str, arguments)], "folder": str(folder), "hook": hook, "seed": seed}
        self.server.stdin.write(json.dumps(job) + "\n")
        self.server.stdin.flush()
        return int(self.server.stdout.readline())

    def wait(self):
        """Return the exit code, or minus the signal that killed the run."""
        return os.waitstatus_to_exitcode(int(self.server.stdout.readline()))

    def run(self, folder, *arguments, **more):
        """Start a run and wait for it."""
        self.start(folder, *arguments, **more)
        return self.wait()


@pytest.fixture(scope="module")
def forks():
    made = Forks()
    yield made
    made.server.stdin.close()
    made.server.wait()


class Work:
    """A folder with a corpus, and the result of an uninterrupted training on it."""

    def __init__(self, forks, folder, task, steps):
        self.forks, self.folder = forks, folder
        self.trained = 0                # runs that reached an update
        self.kills = self.in_a_save = 0
        (folder / "corpus").write_text(text_of(task), encoding="utf-8")
        self.train = ["train", "corpus", "-o", "model", *NETWORK, *TASKS[task], "--steps", str(steps)]
        assert forks.run(folder, *self.train) == 0, self.stderr()
        self.model, self.tensors = self.take_result()

    def take_result(self):
        """Return the bytes of the model and what repeats of the last checkpoint's tensors, and remove both files."""
        os.rename(self.folder / "last", self.folder / "m.checkpoint-a")
        tensors = Checkpoints(str(self.folder / "m")).newest(print).tensors
        (self.folder / "m.checkpoint-a").unlink()
        model = (self.folder / "model").read_bytes()
        (self.folder / "model").unlink()
        return model, {name: values.tobytes() for name, values in tensors.items() if name != "history.seconds"}

    def stderr(self):
        """Return the stderr of the last run."""
        return (self.folder / "stderr").read_text(encoding="utf-8")

    def leftovers(self):
        """Return the names of files that no training should leave."""
        return sorted(path.name for path in self.folder.iterdir() if path.name not in (
            "corpus", "stderr", "times", "marks", "model", "last"))


@pytest.fixture(scope="module")
def work_of(forks, tmp_path_factory):
    def make(task, steps=None):
        return Work(forks, tmp_path_factory.mktemp(task), task, steps or STEPS[task])
    return make


# kill -9


def seconds_lost(work):
    """Return the seconds of updates that the last run made and no checkpoint holds."""
    newest = Checkpoints(str(work.folder / "model")).newest(print)
    times = np.frombuffer((work.folder / "times").read_bytes())
    done = newest.run["state"]["step"] if newest else 0
    return max(times.max() - times[done], 0) if times[done] else 0.0


def run_and_kill(work, rng, *more):
    """Start a run and kill it at a random time or at an operation on the disk; return False if it ended before."""
    (work.folder / "times").write_bytes(struct.pack("d", 0) * 1000)
    in_a_save = work.in_a_save <= IN_A_SAVE * work.kills
    pid = work.forks.start(work.folder, *work.train, *more, seed=rng.random(),
                           hook=["killed", rng.randrange(1, 40)] if in_a_save else None)
    if not in_a_save:
        time.sleep(rng.uniform(0, 1.5))
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    code = work.forks.wait()
    assert code in (0, -signal.SIGKILL), work.stderr()
    work.trained += np.frombuffer((work.folder / "times").read_bytes()).any()
    work.kills += code != 0
    work.in_a_save += code != 0 and in_a_save
    return code != 0


def kill_until_finished(work, rng):
    """Kill a training until it finishes; each time it must lose at most one checkpoint interval."""
    while run_and_kill(work, rng, "--resume", "--force"):
        assert seconds_lost(work) < INTERVAL + DELAY
    assert work.take_result() == (work.model, work.tensors)
    assert not work.leftovers()


@pytest.mark.parametrize("task", TASKS)
def test_a_training_killed_many_times_ends_with_the_same_bits(work_of, task):
    work, rng = work_of(task), random.Random(task)
    while work.kills < KILLS // len(TASKS):
        kill_until_finished(work, rng)
    assert work.trained > work.kills / 2                    # most kills came after the start-up
    assert work.in_a_save >= IN_A_SAVE * work.kills


# INT, TERM, HUP


PHASES = {"reading": None, "first update": 1, "training": 25, "validating": 2, "saving": 3,
          "finishing": 1}
SOON = 5.0                              # seconds
TIMES = 5


@pytest.fixture(scope="module")
def brief(work_of):
    """A training of 40 steps, with a pipe for the marks of its phases."""
    work = work_of("stream", 40)
    os.mkfifo(work.folder / "marks")
    return work


def start_until(work, phase, rng):
    """Start a run, wait until it is in this phase, and return its process id."""
    number = PHASES[phase]
    hook = "update" if phase in ("first update", "training") else phase
    pid = work.forks.start(work.folder, *work.train, hook=[hook, number])
    marks = os.open(work.folder / "marks", os.O_RDWR)       # opening for writing, too, never waits for a writer
    assert select.select([marks], [], [], 30)[0], (phase, work.stderr())
    assert os.read(marks, 1) == b"."
    os.close(marks)
    time.sleep(rng.uniform(0, 0.05))
    return pid


@contextlib.contextmanager
def half_fed(work, text):
    """Replace the corpus by a FIFO that holds half of the text, and put it back afterwards."""
    corpus = work.folder / "corpus"
    corpus.unlink()
    os.mkfifo(corpus)
    writer = os.open(corpus, os.O_RDWR)
    try:
        os.write(writer, text[:len(text) // 2])
        yield
    finally:
        os.close(writer)
        corpus.unlink()
        corpus.write_bytes(text)


def interrupt(work, signum, pid):
    """Send the signal, and assert that the run soon dies by it."""
    began = time.monotonic()
    os.kill(pid, signum)
    assert work.forks.wait() == -signum, work.stderr()
    assert time.monotonic() - began < SOON


def assert_resumes(work, phase):
    """Assert that the run is resumed to the result of the uninterrupted one."""
    start_if_none = ["--force"] if phase == "reading" else []
    assert work.forks.run(work.folder, *work.train, "--resume", *start_if_none) == 0, work.stderr()
    if phase == "finishing":
        assert "model has no checkpoint: its run finished" in work.stderr()
    assert work.take_result() == (work.model, work.tensors)
    assert not work.leftovers()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("phase", [phase for phase in PHASES if phase != "reading"])
def test_a_training_ended_by_a_signal_is_resumed_to_the_same_bits(brief, phase, signum):
    rng = random.Random(f"{phase} {signum}")
    for _ in range(TIMES):
        interrupt(brief, signum, start_until(brief, phase, rng))
        assert ("charlm train corpus -o model --resume" in brief.stderr()) == (phase != "finishing"), brief.stderr()
        assert_resumes(brief, phase)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_reading_of_a_corpus(brief, signum):
    rng, text = random.Random(signum), text_of("stream").encode()
    for _ in range(TIMES):
        with half_fed(brief, text):
            pid = brief.forks.start(brief.folder, *brief.train)
            time.sleep(rng.uniform(0.1, 0.2))
            interrupt(brief, signum, pid)
        assert_resumes(brief, "reading")


# A corpus that changes during the training


def truncated(corpus):
    os.truncate(corpus, 1000)


def grown(corpus):
    with corpus.open("ab") as file:
        file.write(b"more\n" * 20_000)


def replaced(corpus):
    (corpus.parent / "other").write_bytes(b"others write here\n" * 100)
    os.replace(corpus.parent / "other", corpus)


def unlinked(corpus):
    corpus.unlink()


@pytest.mark.parametrize("change", [truncated, grown, replaced, unlinked])
def test_a_corpus_that_changes_during_the_run_never_crashes_it(work_of, change):
    work, rng = work_of("stream", 10), random.Random(change.__name__)
    corpus, long = work.folder / "corpus", text_of("stream").encode() * 40
    for _ in range(20):
        corpus.write_bytes(long)
        work.forks.start(work.folder, *work.train, "--force")
        time.sleep(rng.uniform(0, 0.25))
        change(corpus)
        code = work.forks.wait()
        assert code in (0, 4) and "internal" not in work.stderr(), work.stderr()


@pytest.mark.parametrize("change", [truncated, grown, replaced, unlinked])
def test_a_corpus_that_changes_after_it_was_read_changes_nothing(brief, change):
    corpus = brief.folder / "corpus"
    text = corpus.read_bytes()
    start_until(brief, "first update", random.Random(0))
    change(corpus)
    assert brief.forks.wait() == 0, brief.stderr()
    corpus.write_bytes(text)
    assert brief.take_result() == (brief.model, brief.tensors)
