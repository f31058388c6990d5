"""`charlm train --log`: where it may be written, and a log that lasts over a resumption."""

import json

import pytest

from tests.helpers.runners import error_line, run_in_process
from tests.helpers.texts import BRIEF


def train(*flags):
    return run_in_process("train", "corpus", "-o", "model", *BRIEF, *flags)


@pytest.fixture(autouse=True)
def corpus(tmp_path):
    (tmp_path / "corpus").write_text("a cat sat\non a mat\n" * 30, encoding="utf-8")


def test_a_resumed_run_logs_every_step_once(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("charlm.checkpoint.Checkpoints.remove", lambda self: None)
        train("--steps", "8", "--log", "log", "--checkpoint-every", "1000").check()
    kept = min(tmp_path.glob("model.checkpoint-*"), key=lambda path: path.stat().st_mtime_ns)
    (set(tmp_path.glob("model.checkpoint-*")) - {kept}).pop().unlink()
    progress = train("--resume", "--steps", "8", "--log", "log").check().stderr
    records = [json.loads(line) for line in (tmp_path / "log").read_text(encoding="utf-8").splitlines()]
    assert "event=resumed step=" in progress and "event=resumed step=8" not in progress
    assert [record["step"] for record in records if record["event"] == "step"] == [*range(1, 9)]
    assert len({record["step"] for record in records if record["event"] == "validation"}) \
        == sum(record["event"] == "validation" for record in records) > 1


@pytest.mark.parametrize("log", ["corpus", "model", "./model", "model.checkpoint-a"])
def test_a_log_in_another_file_of_the_run_is_refused(log):
    assert "another file of this run" in error_line(train("--log", log, "--force"), 2)


def test_an_existing_file_is_replaced_only_with_force(tmp_path):
    (tmp_path / "log").write_text("dear diary\n")
    assert "log exists" in error_line(train("--log", "log"), 2)
    assert (tmp_path / "log").read_text() == "dear diary\n"
    train("--log", "log", "--force").check()
    assert (tmp_path / "log").read_text().startswith('{"time"')


def test_a_log_that_cannot_be_written_does_not_stop_the_training(tmp_path):
    done = train("--log", "missing/log").check()
    assert done.stderr.count("the log ends here") == 1 and (tmp_path / "model").exists()


def test_a_quiet_run_is_logged(tmp_path):
    assert train("--log", "log", "--quiet").check().stderr == ""
    assert (tmp_path / "log").stat().st_size > 100
