"""What docs/server.md shows works: its commands, its loop, cron's lines, units, rotated logs, a full disk.

The folder of a test takes the place of /srv/charlm, and a script that of /opt/charlm/bin/charlm. Variables make runs
short.
"""

import contextlib
import gzip
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from charlm.modelfile import content_digest, load
from tests.helpers.runners import environment, is_running

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "server.md").read_text(encoding="utf-8")
STEPS = 800                             # of a run that is disturbed
SECONDS = 300                           # a busy machine takes long to load torch
NETWORK = {"HIDDEN": "16", "LAYERS": "1", "EMBEDDING": "8", "BATCH_SIZE": "8", "THREADS": "1", "PATIENCE": "0",
           "CHECKPOINT_EVERY": "0.2"}

SEARCHED = f"{os.environ['PATH']}{os.pathsep}/usr/sbin"     # where Debian has logrotate

pytestmark = pytest.mark.slow


def blocks(language):
    """Return the contents of the page's fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


class Server:
    """A folder with two corpora and the command."""

    def __init__(self, folder):
        self.folder, self.bin = folder / "srv", folder / "bin"
        self.folder.mkdir()
        self.bin.mkdir()
        for name in ("corpus.txt", "big.txt"):
            (self.folder / name).write_text("a cat sat\non a mat\n" * 60, encoding="utf-8")
        for name, module in (("charlm", "charlm"), ("torchrun", "torch.distributed.run")):
            (self.bin / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {module} "$@"\n')
            (self.bin / name).chmod(0o755)
        self.write_loop()

    def here(self, text):
        """Return text of the page with this server's paths."""
        return text.replace("/srv/charlm", str(self.folder)).replace("/opt/charlm/bin", str(self.bin))

    def write_loop(self):
        """Write until-trained as the page does, without the run that it then makes."""
        block, = (block for block in blocks("sh") if "until-trained" in block)
        self.shell(block.rpartition("./until-trained")[0])

    def start(self, script, steps=40, **popen):
        """Start a shell script whose trainings have this many steps."""
        variables = {f"CHARLM_TRAIN_{name}": value for name, value in (NETWORK | {"STEPS": str(steps)}).items()}
        return subprocess.Popen(["sh", "-c", self.here(script)], cwd=self.folder, text=True, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, start_new_session=True, **popen,
                                env=environment(**variables, PAUSE="0.1", PYTHONPATH=str(ROOT), OMP_NUM_THREADS="1",
                                                PATH=f"{self.bin}{os.pathsep}{SEARCHED}"))

    def shell(self, script, **more):
        """Run a shell script; return its exit code, stdout and stderr."""
        with self.start(script, **more) as process:
            out, err = process.communicate(timeout=SECONDS)
        return process.returncode, out, err

    def pid(self, besides=None):
        """Return the process that trains model.charlm, once it is another one and has written a checkpoint."""
        lock, began = self.folder / ".model.charlm.lock", self.newest()
        wait_until(lambda: int(lock.read_text()) != besides and self.newest() > began)
        return int(lock.read_text())

    def newest(self):
        """Return when a checkpoint was last written."""
        return max((path.stat().st_mtime_ns for path in self.folder.glob("model.charlm.checkpoint-?")), default=0)

    def heartbeat(self):
        """Return the fields of the heartbeat."""
        return dict(field.split("=") for field in (self.folder / "heartbeat").read_text().split())

    def digest(self):
        """Return the content digest of model.charlm."""
        return content_digest(load(str(self.folder / "model.charlm")))


def wait_until(condition):
    """Wait until a condition holds; files that come and go do not hold it."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        with contextlib.suppress(FileNotFoundError, ValueError):
            if condition():
                return
        time.sleep(0.02)
    raise AssertionError("it never came true")


@pytest.fixture
def server(tmp_path):
    return Server(tmp_path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The content digest of a run of STEPS steps that nothing disturbs."""
    server = Server(tmp_path_factory.mktemp("whole"))
    assert server.shell("charlm train corpus.txt -o model.charlm --quiet", steps=STEPS)[0] == 0
    return server.digest()


def test_commands_of_the_page_run_in_order(server):
    code, out, err = server.shell("set -e\n" + "".join(blocks("sh")))
    assert (code, err) == (0, "")
    assert re.match(r"time=\S+ status=finished pid=\d+ output=model.charlm step=40 of=40 .* exit=0\nit moves\n$", out)


def test_a_run_that_is_killed_again_and_again_ends_as_if_it_was_not(server, whole):
    with server.start("./until-trained corpus.txt -o model.charlm --quiet", steps=STEPS) as loop:
        pid = None
        for _ in range(2):
            pid = server.pid(besides=pid)
            os.kill(pid, signal.SIGKILL)
        assert loop.wait(SECONDS) == 0
    assert server.digest() == whole


@pytest.mark.parametrize("words, code", [("missing.txt", 4), ("corpus.txt --hidden 0", 2)])
def test_the_loop_ends_where_repeating_cannot_help(server, words, code):
    assert server.shell(f"./until-trained {words} -o model.charlm")[0] == code


def test_a_loop_that_is_stopped_stops_its_run_and_leaves_it_ready(server):
    with server.start("exec ./until-trained corpus.txt -o model.charlm --heartbeat heartbeat", steps=100_000) as loop:
        pid = server.pid()
        loop.terminate()
        assert loop.wait(SECONDS) == 143
    assert not is_running(pid)
    assert (server.heartbeat()["status"], server.heartbeat()["exit"]) == ("interrupted", "143")
    assert list(server.folder.glob("model.charlm.checkpoint-?"))


def test_lines_of_cron_train_and_report_heartbeats_that_stopped(server):
    lines = [line.split(None, 5)[5] for line in "".join(blocks("cron")).splitlines() if not line.startswith("#")]
    heartbeat = server.folder / "heartbeat"
    assert [server.shell(line)[1:] for line in lines] == [("", "")] * 4
    assert {path.name for path in server.folder.glob("*.charlm")} == {"model.charlm", "big.charlm"}
    finished = heartbeat.read_text()
    for status, old, expected in (("finished", True, ["", ""]), ("running", False, ["", ""]),
                                  ("running", True, [f"{heartbeat}\n", ""]), ("failed", False, ["", "failed"])):
        heartbeat.write_text(finished.replace("finished", status))
        os.utime(heartbeat, (0, 0) if old else None)
        found = [server.shell(line)[1] for line in lines[2:]]
        assert found == [expected[0], heartbeat.read_text() if expected[1] else ""], (status, old)


def test_a_run_that_cron_ends_in_the_morning_goes_on_the_next_night(server, whole):
    line, = (line.split(None, 5)[5] for line in "".join(blocks("cron")).splitlines() if "timeout" in line)
    line = line.replace("big", "model").replace("model.txt", "corpus.txt")
    with server.start(line.replace("timeout 5h", "timeout 300"), steps=STEPS) as night:
        pid = server.pid()
        parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]
        os.kill(int(parent), signal.SIGALRM)        # for `timeout`, the time is up
        assert night.wait(SECONDS) == 124
    assert server.shell(line, steps=STEPS)[0] == 0 and server.digest() == whole


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_units_are_valid(server):
    names = []
    for block in blocks("ini"):
        names.append(re.match(r"# (\S+)\n", block).group(1))
        (server.folder / names[-1]).write_text(server.here(block))
    assert len(names) == 4
    done = subprocess.run(["systemd-analyze", "verify", *(str(server.folder / name) for name in names)],
                          capture_output=True, text=True, timeout=60, check=False)
    own = [line for line in done.stderr.splitlines() if "charlm" in line]
    assert (done.returncode, own) == (0, [])


@pytest.mark.skipif(not shutil.which("logrotate", path=SEARCHED), reason="logrotate is not installed")
def test_logs_that_are_rotated_lose_no_step(server):
    server.folder.chmod(0o755)          # logrotate refuses folders that others may write to
    (server.folder / "conf").write_text(server.here("".join(blocks("conf"))))
    with server.start("charlm train corpus.txt -o model.charlm --log steps.jsonl --timestamps 2>> train.err",
                      steps=STEPS) as run:
        for _ in range(3):
            wait_until(lambda: (server.folder / "steps.jsonl").stat().st_size > 5000)
            assert server.shell("logrotate -f -s state conf") == (0, "", "")
        assert run.wait(SECONDS) == 0
    logs = sorted(server.folder.glob("steps.jsonl*"), reverse=True)
    records = [json.loads(line) for path in logs for line in content(path).splitlines()]
    assert len(logs) == 4
    assert [record["step"] for record in records if record["event"] == "step"] == [*range(1, STEPS + 1)]
    assert all(b"\0" not in content(path) for path in server.folder.glob("train.err*"))


def content(path):
    """Return the bytes of a log, compressed or not."""
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def test_a_disk_that_fills_up_costs_time_alone(server, whole):
    command = "exec charlm train corpus.txt -o model.charlm --resume --force --heartbeat heartbeat"
    with server.start(command, steps=STEPS) as run:
        pid = server.pid()
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))     # no file grows beyond 4 KiB
        messages = run.communicate(timeout=SECONDS)[1]
        assert run.returncode == 6
    assert "event=warning" in messages and messages.splitlines()[-1].startswith("charlm: error: model.charlm")
    assert (server.heartbeat()["status"], server.heartbeat()["exit"]) == ("failed", "6")
    assert server.shell(command, steps=STEPS)[0] == 0 and server.digest() == whole


def test_a_second_run_on_one_output_ends_at_once_and_harms_nothing(server, whole):
    command = "charlm train corpus.txt -o model.charlm --resume --force --quiet --heartbeat heartbeat"
    with server.start(command, steps=STEPS) as first:
        pid = server.pid()
        code, _, err = server.shell(command)
        assert code == 7 and f"process {pid}" in err and server.heartbeat()["pid"] == str(pid)
        assert first.wait(SECONDS) == 0
    assert server.digest() == whole
