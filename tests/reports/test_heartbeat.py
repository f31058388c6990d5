"""The heartbeat of a run: what its line says, when it is rewritten, and what a full disk does to it."""

import os
import time

import pytest

from charlm.events import Resumed, Step, Stopped, Validation
from charlm.reports import heartbeat
from charlm.reports.heartbeat import Heartbeat

SECONDS = 20                            # a busy machine may need a while


@pytest.fixture(autouse=True)
def often(monkeypatch):
    monkeypatch.setattr(heartbeat, "INTERVAL", 0.01)


@pytest.fixture
def beat(tmp_path):
    """A heartbeat that has begun in `beat`, with the list of its warnings."""
    warnings = []
    made = Heartbeat(str(tmp_path / "folder" / "beat"), "m.charlm", warnings.append)
    made.warnings = warnings
    yield made
    if made._exit_code is None:
        made.end(0)


def fields(path):
    """Return the fields of a heartbeat's line by name."""
    line = path.read_text(encoding="utf-8")
    assert line.endswith("\n") and line.count("\n") == 1
    return dict(field.split("=") for field in line.split())


def wait_until(condition):
    """Wait until a condition holds; a file that does not exist yet does not hold it."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        try:
            if condition():
                return
        except FileNotFoundError:
            pass
        time.sleep(0.005)
    raise AssertionError("it never came true")


def test_the_line_follows_the_run_and_ends_with_its_exit_code(beat, tmp_path):
    path = tmp_path / "folder" / "beat"
    path.parent.mkdir()
    beat.start()
    wait_until(lambda: fields(path)["status"] == "running" and "step" not in fields(path))
    for event in (Resumed(3), Step(4, 9, 2.5, 0.5, 1e-3, 1234.5, 61.7, True), Validation(4, 2.25, 3.0, True)):
        beat.show(event)
    wait_until(lambda: "held_out" in fields(path))
    running = fields(path)
    assert {**running, "time": "", "idle": ""} == {
        "time": "", "status": "running", "pid": str(os.getpid()), "output": "m.charlm", "step": "4", "of": "9",
        "loss": "2.5000", "held_out": "2.2500", "seconds_left": "62", "idle": ""}
    beat.show(Stopped("finished", 9, 2.0, 2.9, "m.charlm", 4.0))
    beat.end(0)
    ended = fields(path)
    assert (ended["status"], ended["exit"], ended["step"]) == ("finished", "0", "9") and "idle" not in ended
    assert not beat.warnings and os.listdir(path.parent) == ["beat"]


@pytest.mark.parametrize("code, status", [(0, "finished"), (1, "failed"), (4, "failed"), (5, "diverged"),
                                          (6, "failed"), (130, "interrupted"), (143, "interrupted")])
def test_the_status_follows_from_the_exit_code(beat, tmp_path, code, status):
    (tmp_path / "folder").mkdir()
    beat.start()
    beat.end(code)
    ended = fields(tmp_path / "folder" / "beat")
    assert (ended["status"], ended["exit"]) == (status, str(code))


def test_idle_counts_the_seconds_since_the_last_event(beat, tmp_path, monkeypatch):
    (tmp_path / "folder").mkdir()
    beat._last_event -= 100
    beat.start()
    wait_until(lambda: int(fields(tmp_path / "folder" / "beat")["idle"]) >= 100)
    beat.show(Resumed(3))
    wait_until(lambda: int(fields(tmp_path / "folder" / "beat")["idle"]) < 100)


def test_a_failure_is_one_warning_and_ends_when_its_cause_does(beat, tmp_path):
    beat.start()
    wait_until(lambda: beat.warnings)
    time.sleep(0.05)
    (tmp_path / "folder").mkdir()
    wait_until(lambda: fields(tmp_path / "folder" / "beat"))
    assert len(beat.warnings) == 1 and "No such file" in beat.warnings[0]


def test_a_file_that_cannot_be_replaced_is_written_over(beat, tmp_path):
    path = tmp_path / "folder" / "beat"
    (path.parent / ".beat.charlm-tmp").mkdir(parents=True)      # so that opening it fails, for root as well
    path.write_text("time=old\n" * 99)
    inode = path.stat().st_ino
    beat.start()
    wait_until(lambda: "time=old" not in path.read_text())
    beat.end(6)
    assert (fields(path)["status"], path.stat().st_ino, len(beat.warnings)) == ("failed", inode, 1)
