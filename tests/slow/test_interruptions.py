"""Hundreds of trainings are killed, interrupted and robbed of their corpus, and none loses anything.

All are forked from one process that has imported torch, as hundreds of interpreters would take too long.
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

KILLS = int(os.environ.get("CHARLM_KILLS", 80))         # 200 take three minutes more
IN_A_SAVE = 0.25                        # of the kills
INTERVAL = 0.1                          # seconds between checkpoints
LATE = 1.0                              # seconds that a busy machine may add
NETWORK = ["--hidden", "16", "--layers", "1", "--embedding", "8", "--dropout", "0.2", "--averaging", "0.9",
           "--batch-size", "8", "--threads", "1", "--patience", "0", "--checkpoint-every", str(INTERVAL)]
TASKS = {"stream": [], "lines": ["--lines"], "pairs": ["--pairs"], "fill": ["--fill"]}
STEPS = {"stream": 400, "lines": 400, "pairs": 160, "fill": 60}
WORDS = ["ape", "bee", "cod", "doe", "eel", "fox", "gnu", "hen"]


def text_of(task):
    lines = [f"{one} {two} {three}" for one in WORDS for two in WORDS for three in WORDS[:3]]
    lines = lines[:40] if task == "pairs" else lines
    return "".join(f"{line}\t{line[::-1]}\n" if task == "pairs" else f"{line}\n" for line in lines)


class Forks:
    """One process from which lives of the command are forked, one at a time."""

    def __init__(self):
        self.server = subprocess.Popen([sys.executable, str(Path(__file__).with_name("forks.py"))], text=True,
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       env=os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"})

    def start(self, folder, *arguments, hook=None, seed=0):
        life = {"arguments": [*map(str, arguments)], "folder": str(folder), "hook": hook, "seed": seed}
        self.server.stdin.write(json.dumps(life) + "\n")
        self.server.stdin.flush()
        return int(self.server.stdout.readline())

    def ended(self):
        """The exit code, or minus the signal that the life died by."""
        return os.waitstatus_to_exitcode(int(self.server.stdout.readline()))

    def run(self, folder, *arguments, **more):
        self.start(folder, *arguments, **more)
        return self.ended()


@pytest.fixture(scope="module")
def forks():
    made = Forks()
    yield made
    made.server.stdin.close()
    made.server.wait()


class Work:
    """A folder with a corpus, and what an uninterrupted training of it comes to."""

    def __init__(self, forks, folder, task, steps):
        self.forks, self.folder = forks, folder
        self.trained = 0                # lives that came to an update
        self.kills = self.in_a_save = 0
        (folder / "corpus").write_text(text_of(task), encoding="utf-8")
        self.train = ["train", "corpus", "-o", "model", *NETWORK, *TASKS[task], "--steps", str(steps)]
        assert forks.run(folder, *self.train) == 0, self.said()
        self.model, self.tensors = self.ending()

    def ending(self):
        """The model's bytes and the last checkpoint's tensors; both are removed."""
        os.rename(self.folder / "last", self.folder / "m.checkpoint-a")
        tensors = Checkpoints(str(self.folder / "m")).newest(print).tensors
        (self.folder / "m.checkpoint-a").unlink()
        model = (self.folder / "model").read_bytes()
        (self.folder / "model").unlink()
        return model, {name: values.tobytes() for name, values in tensors.items()}

    def said(self):
        return (self.folder / "stderr").read_text(encoding="utf-8")

    def left(self):
        """Names of files that no training should leave."""
        return sorted(path.name for path in self.folder.iterdir() if path.name not in (
            "corpus", "stderr", "times", "marks", "model", "last"))


@pytest.fixture(scope="module")
def work_of(forks, tmp_path_factory):
    def make(task, steps=None):
        return Work(forks, tmp_path_factory.mktemp(task), task, steps or STEPS[task])
    return make


# kill -9


def lost(work):
    """Seconds of updates that the last life made and no checkpoint has."""
    newest = Checkpoints(str(work.folder / "model")).newest(print)
    times = np.frombuffer((work.folder / "times").read_bytes())
    done = newest.run["standing"]["step"] if newest else 0
    return max(times.max() - times[done], 0) if times[done] else 0.0


def killed(work, chance, *more):
    """One life, killed at a random instant or between two touches of the disk, unless it ends before; whether it was killed."""
    (work.folder / "times").write_bytes(struct.pack("d", 0) * 1000)
    in_a_save = work.in_a_save <= IN_A_SAVE * work.kills
    pid = work.forks.start(work.folder, *work.train, *more, seed=chance.random(),
                           hook=["killed", chance.randrange(1, 40)] if in_a_save else None)
    if not in_a_save:
        time.sleep(chance.uniform(0, 1.5))
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    code = work.forks.ended()
    assert code in (0, -signal.SIGKILL), work.said()
    work.trained += np.frombuffer((work.folder / "times").read_bytes()).any()
    work.kills += code != 0
    work.in_a_save += code != 0 and in_a_save
    return code != 0


def kill_until_it_is_done(work, chance):
    """Kill one training until it has ended, each time at most one interval after a checkpoint."""
    while killed(work, chance, "--resume"):
        assert lost(work) < INTERVAL + LATE
    assert work.ending() == (work.model, work.tensors)
    assert not work.left()


@pytest.mark.parametrize("task", TASKS)
def test_a_training_that_is_killed_again_and_again_ends_with_the_same_bits(work_of, task):
    work, chance = work_of(task), random.Random(task)
    while work.kills < KILLS // len(TASKS):
        kill_until_it_is_done(work, chance)
    assert work.trained > work.kills / 2                    # not only while it was still starting
    assert work.in_a_save >= IN_A_SAVE * work.kills


# INT, TERM, HUP


PHASES = {"reading": None, "measuring": 1, "first update": 1, "training": 25, "validating": 2, "saving": 3, "finishing": 1}
SOON = 5.0                              # seconds
TIMES = 5


@pytest.fixture(scope="module")
def brief(work_of):
    work = work_of("stream", 40)
    os.mkfifo(work.folder / "marks")
    return work


def reached(work, phase, chance):
    """A life that is in this phase now, as its process id."""
    number = PHASES[phase]
    place = "update" if phase in ("first update", "training") else phase
    pid = work.forks.start(work.folder, *work.train, hook=[place, number])
    marks = os.open(work.folder / "marks", os.O_RDWR)       # so that it never waits for a writer
    assert select.select([marks], [], [], 30)[0], (phase, work.said())
    assert os.read(marks, 1) == b"."
    os.close(marks)
    time.sleep(chance.uniform(0, 0.05))
    return pid


@contextlib.contextmanager
def half_fed(work, text):
    """While active a FIFO stands for the corpus, and half of the text has been written into it."""
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


def interrupted(work, signum, pid):
    """Send the signal, and see that the life ends by it, soon."""
    began = time.monotonic()
    os.kill(pid, signum)
    assert work.forks.ended() == -signum, work.said()
    assert time.monotonic() - began < SOON


def assert_it_goes_on(work, phase):
    assert work.forks.run(work.folder, *work.train, "--resume") == 0, work.said()
    if phase == "finishing":
        assert "model has no checkpoint: its run is finished" in work.said()
    assert work.ending() == (work.model, work.tensors)
    assert not work.left()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("phase", [phase for phase in PHASES if phase != "reading"])
def test_a_signal_ends_a_training_that_goes_on_to_the_same_bits(brief, phase, signum):
    chance = random.Random(f"{phase} {signum}")
    for _ in range(TIMES):
        interrupted(brief, signum, reached(brief, phase, chance))
        assert ("charlm train corpus -o model --resume" in brief.said()) == (phase != "finishing"), brief.said()
        assert_it_goes_on(brief, phase)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_reading_of_a_corpus(brief, signum):
    chance, text = random.Random(signum), text_of("stream").encode()
    for _ in range(TIMES):
        with half_fed(brief, text):
            pid = brief.forks.start(brief.folder, *brief.train)
            time.sleep(chance.uniform(0.1, 0.2))
            interrupted(brief, signum, pid)
        assert_it_goes_on(brief, "reading")


# A corpus that is changed by others


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


@pytest.mark.parametrize("robbery", [truncated, grown, replaced, unlinked])
def test_a_corpus_that_changes_meanwhile_never_ends_a_training_by_a_signal(work_of, robbery):
    work, chance = work_of("stream", 10), random.Random(robbery.__name__)
    corpus, long = work.folder / "corpus", text_of("stream").encode() * 40
    for _ in range(20):
        corpus.write_bytes(long)
        work.forks.start(work.folder, *work.train, "--force")
        time.sleep(chance.uniform(0, 0.25))
        robbery(corpus)
        code = work.forks.ended()
        assert code in (0, 4) and "internal" not in work.said(), work.said()


@pytest.mark.parametrize("robbery", [truncated, grown, replaced, unlinked])
def test_a_corpus_that_changes_once_it_is_read_changes_nothing(brief, robbery):
    corpus = brief.folder / "corpus"
    text = corpus.read_bytes()
    reached(brief, "first update", random.Random(0))
    robbery(corpus)
    assert brief.forks.ended() == 0, brief.said()
    corpus.write_bytes(text)
    assert brief.ending() == (brief.model, brief.tensors)
