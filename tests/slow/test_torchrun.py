"""Two processes under torchrun reach the loss of one, and end together if one of them dies."""

import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

from charlm.checkpoint import Checkpoints
from charlm.modelfile import load

pytestmark = pytest.mark.slow

WORDS = ["ape", "bee", "cod", "doe", "eel", "fox"]
LINES = [f"{one} {two}" for one in WORDS for two in WORDS]
TASKS = {"stream": [], "lines": ["--lines"], "pairs": ["--pairs"], "fill": ["--fill"]}
NETWORK = ["--hidden", "8", "--layers", "1", "--embedding", "6", "--dropout", "0", "--threads", "1", "--batch-size",
           "4", "--bptt", "8", "--patience", "0", "--precision", "float32"]
CLOSE = 1e-4                            # nats per token
TOGETHER = 60                           # seconds within which all end after the first


def text_of(task):
    return "".join(f"{line}\t{line[::-1]}\n" if task == "pairs" else f"{line}\n" for line in LINES) \
        * (1 if task in ("pairs", "lines") else 4)


def free_port():
    with socket.socket() as any_port:
        any_port.bind(("127.0.0.1", 0))
        return any_port.getsockname()[1]


def launch(folder, processes, *flags):
    """Start a training as one process, or as several under torchrun; stderr goes to a file."""
    torchrun = ["-m", "torch.distributed.run", "--nproc-per-node", str(processes), "--master-port", str(free_port()),
                "--master-addr", "127.0.0.1"] if processes > 1 else []
    command = [sys.executable, *torchrun, "-m", "charlm", "train", "corpus", "-o", "model", *NETWORK, *flags]
    with open(folder / "stderr", "wb") as file:
        return subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=file,
                                env=os.environ | {"OMP_NUM_THREADS": "1"}, start_new_session=True)


def stderr_of(folder):
    """Return the stderr of the last training."""
    return (folder / "stderr").read_text(encoding="utf-8")


def loss_after(folder, processes, *flags):
    """Train and return the validation loss of the model."""
    assert launch(folder, processes, *flags).wait(120) == 0, stderr_of(folder)
    return load(str(folder / "model")).training["nats_per_token"]


@pytest.mark.parametrize("task", TASKS)
def test_two_processes_reach_the_loss_of_one(tmp_path, task):
    (tmp_path / "corpus").write_text(text_of(task), encoding="utf-8")
    flags = [*TASKS[task], "--steps", "12"]
    one = loss_after(tmp_path, 1, *flags)
    (tmp_path / "model").unlink()
    assert loss_after(tmp_path, 2, *flags) == pytest.approx(one, abs=CLOSE)
    stderr = stderr_of(tmp_path)
    assert stderr.count("event=plan ") == stderr.count("event=stopped") == 1, stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "model", "stderr"]


def test_two_processes_read_and_tokenize_a_corpus_once(tmp_path):
    (tmp_path / "corpus").write_text(text_of("stream"), encoding="utf-8")
    one = loss_after(tmp_path, 1, "--steps", "12")
    (tmp_path / "model").unlink()
    (tmp_path / "corpus").unlink()
    os.mkfifo(tmp_path / "corpus")      # gives its text to one reader; a second one would wait forever
    run = launch(tmp_path, 2, "--steps", "12", "--text")
    with open(tmp_path / "corpus", "w", encoding="utf-8") as pipe:
        pipe.write(text_of("stream"))
    assert run.wait(120) == 0, stderr_of(tmp_path)
    assert load(str(tmp_path / "model")).training["nats_per_token"] == pytest.approx(one, abs=CLOSE)


def test_accumulation_in_two_processes_reaches_the_loss_of_one(tmp_path):
    (tmp_path / "corpus").write_text(text_of("stream"), encoding="utf-8")
    one = loss_after(tmp_path, 1, "--steps", "12")
    (tmp_path / "model").unlink()
    assert loss_after(tmp_path, 2, "--steps", "12", "--accumulate", "2") == pytest.approx(one, abs=CLOSE)


def workers(launcher):
    """Return the process ids of a launcher's workers, by rank."""
    found = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                parent = int(file.read().rpartition(b")")[2].split()[1])
            if parent == launcher.pid:
                with open(f"/proc/{name}/environ", "rb") as file:
                    found[int(re.search(rb"(?:^|\0)RANK=(\d+)", file.read())[1])] = int(name)
        except (OSError, TypeError):
            continue
    return found


def wait_until(ready):
    end = time.monotonic() + 60
    while not ready() and time.monotonic() < end:
        time.sleep(0.1)
    assert ready()


def steps_done(folder):
    newest = Checkpoints(str(folder / "model")).newest(print)
    return newest.run["state"]["step"] if newest else 0


def test_a_killed_process_ends_all_and_any_number_can_resume(tmp_path):
    (tmp_path / "corpus").write_text(text_of("stream"), encoding="utf-8")
    launcher = launch(tmp_path, 2, "--steps", "100000", "--checkpoint-every", "0.2")
    wait_until(lambda: launcher.poll() is not None or steps_done(tmp_path) > 10)
    both = workers(launcher)
    assert sorted(both) == [0, 1], stderr_of(tmp_path)
    began = time.monotonic()
    os.kill(both[1], signal.SIGKILL)
    assert launcher.wait(TOGETHER) != 0
    assert time.monotonic() - began < TOGETHER
    assert not any(os.path.exists(f"/proc/{pid}") for pid in both.values())
    left = {path.name: path.read_bytes() for path in tmp_path.iterdir() if "checkpoint" in path.name}
    steps = steps_done(tmp_path) + 20
    losses = []
    for processes in (2, 1):
        for name, data in left.items():
            (tmp_path / name).write_bytes(data)
        (tmp_path / "model").unlink(missing_ok=True)
        losses.append(loss_after(tmp_path, processes, "--steps", str(steps), "--resume"))
        assert stderr_of(tmp_path).count("event=resumed") == 1, stderr_of(tmp_path)
    assert losses[0] == pytest.approx(losses[1], abs=CLOSE)


def test_only_the_main_process_reports_the_checkpoint_to_resume(tmp_path):
    (tmp_path / "corpus").write_text(text_of("lines"), encoding="utf-8")
    loss_after(tmp_path, 2, "--lines", "--steps", "2", "--resume", "--force")
    assert stderr_of(tmp_path).count("starting from scratch") == 1, stderr_of(tmp_path)
    assert launch(tmp_path, 2, "--lines", "--steps", "2", "--resume").wait(60) == 0
    assert stderr_of(tmp_path).count("model has no checkpoint") == 1, stderr_of(tmp_path)


@pytest.mark.parametrize(("there", "flags", "reason"), [
    (["model"], [], "model exists"), ([], ["--validation", "nowhere"], "nowhere: cannot be read"),
    ([], ["--batch-size", "1"], "--batch-size 1 is less than one for each")])
def test_an_error_of_all_processes_is_printed_once(tmp_path, there, flags, reason):
    (tmp_path / "corpus").write_text(text_of("stream"), encoding="utf-8")
    for name in there:
        (tmp_path / name).write_bytes(b"")
    assert launch(tmp_path, 2, *flags).wait(60) != 0
    errors = [line for line in stderr_of(tmp_path).splitlines() if line.startswith("charlm: ")]
    assert len(errors) == 1 and reason in errors[0], stderr_of(tmp_path)
