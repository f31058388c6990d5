"""Many short runs of the `charlm` command, forked from one process that has imported everything already.

Reads lines of JSON on stdin, one a run; answers with its process id and, at its end, with its wait status.
    {"arguments": [...], "folder": "...", "hook": [name, number] or null, "seed": 0}
The stderr of the command goes to `stderr` in the folder. A hook writes to `marks` there, a pipe, when the run has
reached a phase for the number-th time, and makes it pause there for a moment; or it kills the run.
"""

import json
import mmap
import os
import random
import signal
import struct
import sys
import time
import types

import numpy.random  # noqa: F401
import torch
import torch._dynamo  # noqa: F401  # the first optimizer would import it, which takes two seconds

from charlm import lock, storage  # noqa: F401
from charlm.checkpoint import Checkpoints
from charlm.cli import signals  # noqa: F401  # imported once for all runs
from charlm.cli.main import main
from charlm.inference import generation  # noqa: F401
from charlm.reports import plain, progress  # noqa: F401
from charlm.text import line_corpus, pair_corpus, text_corpus  # noqa: F401
from charlm.training import time_plan
from charlm.training.loop import _Loop
from charlm.training.session import _RunningSession
from charlm.training.trainer import Trainer

PAUSE = 0.1                             # seconds
PHASES = {"update": (_Loop, "_update"), "validating": (Trainer, "validate"),
          "saving": (storage, "_write_new"), "finishing": (_RunningSession, "_remove_checkpoints")}
DISK = ("open", "write", "fchmod", "fsync", "replace", "unlink")


def pause_at(phase, number):
    """Write a mark when this phase is reached for the number-th time, and pause there for a moment."""
    owner, name = PHASES[phase]
    original, left = getattr(owner, name), [number]

    def pausing(*arguments, **options):
        left[0] -= 1
        if left[0] == 0:
            with open("marks", "wb", buffering=0) as marks:
                marks.write(b".")
            time.sleep(PAUSE)
        return original(*arguments, **options)
    setattr(owner, name, pausing)


def die_in_a_save(number, rng):
    """Kill this process at the number-th operation on the disk: before it, or after it."""
    left, before = [number], rng.random() < 0.5

    def touching(touch):
        def deadly(*arguments, **options):
            left[0] -= 1
            if left[0] == 0 and before:
                os.kill(os.getpid(), signal.SIGKILL)
            done = touch(*arguments, **options)
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return done
        return deadly
    storage.os = types.SimpleNamespace(**{**vars(os), **{name: touching(getattr(os, name)) for name in DISK}})


def note_times():
    """Write the time of each update as a double to `times`, which outlives a killed process."""
    with open("times", "r+b") as file:
        times = mmap.mmap(file.fileno(), 0)
    original = _Loop._update

    def noting(loop):
        struct.pack_into("d", times, 8 * loop._state.step, time.monotonic())
        return original(loop)
    _Loop._update = noting


def keep_last_checkpoint():
    """Copy the last checkpoint of a finished run, optimizer and all, to `last`."""
    original = Checkpoints.remove

    def keeping(checkpoints):
        newest = max((path for path in checkpoints._paths if os.path.exists(path)), key=os.path.getmtime, default=None)
        if newest:
            with open(newest, "rb") as file, open("last", "wb") as last:
                last.write(file.read())
        original(checkpoints)
    Checkpoints.remove = keeping


def run(job):
    """Run the command in this process, which ends with it."""
    os.chdir(job["folder"])
    for number in signals.SIGNALS:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    for descriptor, path, mode in ((0, os.devnull, os.O_RDONLY), (1, os.devnull, os.O_WRONLY),
                                   (2, "stderr", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)):
        os.dup2(os.open(path, mode), descriptor)
    sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115  # it stays open
    if os.path.exists("times"):
        note_times()
    keep_last_checkpoint()
    if job["hook"]:
        name, number = job["hook"]
        if name == "killed":
            die_in_a_save(number, random.Random(job["seed"]))
        else:
            pause_at(name, number)
    sys.argv = ["charlm", *job["arguments"]]
    main()


def fork(job):
    """Start a run and return its process id."""
    child = os.fork()
    if child == 0:
        code = 70
        try:
            run(job)
        except SystemExit as exit_:
            code = exit_.code
        finally:
            sys.stderr.flush()
            os._exit(code or 0)
    return child


def serve():
    """Answer the lines of stdin."""
    torch.set_num_threads(1)
    time_plan.MIN_MEASURED = 0.02
    for line in sys.stdin:
        child = fork(json.loads(line))
        print(child, flush=True)
        print(os.waitpid(child, 0)[1], flush=True)


if __name__ == "__main__":
    serve()
