"""A training that is killed and resumed, against the same one left alone: both must end with the same model file."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

from timing import Row

from charlm.checkpoint import Checkpoints

TEXT = Path(__file__).resolve().parents[2] / "corpora" / "ferrywoman.txt"
STEPS, QUICK_STEPS = 600, 60
CHECKPOINT_EVERY = 0.1                  # seconds
LONGEST = 120                           # seconds of a process


def start(folder: str, device: str, steps: int, output: str, *flags: str) -> subprocess.Popen:
    """Start `charlm train` on the text."""
    command = [sys.executable, "-m", "charlm", "train", str(TEXT), "-o", output, "--device", device]
    if "--resume" not in flags:
        command += ["--hidden", "64", "--layers", "2", "--dropout", "0.2", "--seed", "1", "--patience", "0",
                    "--steps", str(steps)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CHARLM_")}
    return subprocess.Popen([*command, "--checkpoint-every", str(CHECKPOINT_EVERY), *flags], cwd=folder,
                            env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)


def kill_midway(process: subprocess.Popen, output: str, steps: int) -> int:
    """Kill a training once it has a checkpoint of a third of its steps; return that step, or 0 if it ended before."""
    end = time.monotonic() + LONGEST
    while process.poll() is None and time.monotonic() < end:
        found = Checkpoints(output)
        checkpoint = found.newest(lambda warning: None) if found.exist() else None
        if checkpoint is not None and checkpoint.run["state"]["step"] >= steps // 3:
            process.kill()
            process.wait()
            return checkpoint.run["state"]["step"]
        time.sleep(0.02)
    process.kill()
    process.wait()
    return 0


def digest(path: str) -> str:
    """Return the SHA-256 of a file; an empty string if there is no file."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest() if os.path.exists(path) else ""


def measure(folder: str, device: str, *, quick: bool) -> Row:
    """Run both at the same time, kill one and resume it; return whether their files are equal."""
    steps = QUICK_STEPS if quick else STEPS
    whole, killed = (os.path.join(folder, name) for name in ("whole.charlm", "killed.charlm"))
    processes = [start(folder, device, steps, path) for path in (whole, killed)]
    step = kill_midway(processes[1], killed, steps)
    codes = [processes[0].wait(LONGEST), start(folder, device, steps, killed, "--resume").wait(LONGEST)]
    one, other = digest(whole), digest(killed)
    equal = "equal" if one and one == other and not any(codes) else "different"
    return Row(f"killed at step {step or '-'} of {steps} and resumed: model file", "equal",
               equal if step else "not killed",
               f"exit {codes[0]}, {codes[1]}", f"sha256 {one[:12]} and {other[:12]}")
