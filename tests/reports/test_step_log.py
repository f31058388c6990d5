"""The log of every step: each step once, whatever was resumed, and never the end of a training."""

import json
import math
import os

import pytest

from charlm.events import Planned, Resumed, Sampled, Saved, Step, Validation, Warned
from charlm.reports.step_log import StepLog


def make_step(number, loss=2.5):
    return Step(number, 9, loss, 0.5, 1e-3, 1234.5, 3.2, math.isfinite(loss), {"head": loss, "decoder 1": 2.0})


def log(path, *events, replace=False):
    """Log events and return the warnings."""
    warnings = []
    progress = StepLog(str(path), warnings.append, replace=replace)
    for event in events:
        progress.show(event)
    progress.close()
    return warnings


def records(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def steps(path):
    return [record["step"] for record in records(path) if record["event"] == "step"]


def test_every_step_validation_and_sample_is_a_line_with_its_time(tmp_path):
    path = tmp_path / "log"
    assert not log(path, Planned("lstm", "text", 9, 1.0, None, ""), make_step(1), Validation(1, 2.0, 2.9, True),
                   Sampled("é\n"), Saved("m"), make_step(2, math.nan))
    first, validation, sample, second = records(path)
    assert [record["event"] for record in records(path)] == ["step", "validation", "sample", "step"]
    assert (first["step"], first["loss"], first["gradient_norm"], first["learning_rate"]) == (1, 2.5, 0.5, 1e-3)
    assert (validation["step"], validation["loss"], validation["best"]) == (1, 2.0, True)
    assert (sample["step"], sample["text"]) == (1, "é\n") and second["loss"] is None and not second["updated"]
    assert first["layer_norms"] == {"head": 2.5, "decoder 1": 2.0} and second["layer_norms"]["head"] is None
    assert all(record["time"].endswith("Z") and len(record["time"]) == 24 for record in records(path))


@pytest.mark.parametrize("resumed", [0, 2, 4])
def test_a_resumed_run_has_every_step_once(tmp_path, resumed):
    path = tmp_path / "log"
    log(path, *map(make_step, (1, 2, 3, 4)))
    with open(path, "ab") as file:
        file.write(b'{"time": "2026')              # the run was killed while it wrote
    assert not log(path, Resumed(resumed), *map(make_step, range(resumed + 1, 7)))
    assert steps(path) == [1, 2, 3, 4, 5, 6]


def test_a_validation_of_the_checkpoint_is_kept_and_a_later_one_is_not(tmp_path):
    path = tmp_path / "log"
    log(path, make_step(1), Validation(1, 2.0, 2.9, True), make_step(2), Validation(2, 1.0, 2.9, True))
    log(path, Resumed(1), make_step(2))
    assert [record["event"] for record in records(path)] == ["step", "validation", "step"]


def test_a_run_from_scratch_replaces_an_old_log(tmp_path):
    path = tmp_path / "log"
    log(path, *map(make_step, (1, 2, 3)))
    log(path, make_step(1), replace=True)
    assert steps(path) == [1]


@pytest.mark.parametrize("content", [b"dear diary\n", b"[1]\n", b'{"step": "1"}\n', b"\xff\n", b"[" * 100_000 + b"\n"],
                         ids=["text", "list", "step", "bytes", "depth"])
def test_a_file_that_is_no_log_is_left_as_it_is(tmp_path, content):
    path = tmp_path / "log"
    path.write_bytes(content)
    warning, = log(path, Resumed(1), make_step(2), make_step(3))
    assert "not a log of charlm" in warning.message and path.read_bytes() == content


def test_a_log_that_cannot_be_opened_is_one_warning(tmp_path):
    warnings = log(tmp_path / "missing" / "log", make_step(1), make_step(2))
    assert [type(warning) for warning in warnings] == [Warned] and "No such file" in warnings[0].message


def test_a_log_that_is_renamed_goes_on_in_a_new_file(tmp_path):
    path, progress = tmp_path / "log", StepLog(str(tmp_path / "log"), print, replace=True)
    progress.show(make_step(1))
    path.rename(tmp_path / "log.1")
    progress.show(make_step(2))
    path.rename(tmp_path / "log.2")
    path.touch()                        # as logrotate's `create` does
    progress.show(make_step(3))
    progress.close()
    assert [steps(tmp_path / name) for name in ("log.1", "log.2", "log")] == [[1], [2], [3]]


def test_a_log_that_is_truncated_goes_on_without_zeros(tmp_path):
    path, progress = tmp_path / "log", StepLog(str(tmp_path / "log"), print, replace=True)
    progress.show(make_step(1))
    os.truncate(path, 0)                # as logrotate's `copytruncate` does
    progress.show(make_step(2))
    progress.close()
    assert steps(path) == [2] and b"\0" not in path.read_bytes()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no /dev/full")
def test_a_full_disk_is_one_warning():
    warning, = log("/dev/full", make_step(1), make_step(2))
    assert "No space left" in warning.message
