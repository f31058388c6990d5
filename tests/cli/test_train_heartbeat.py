"""`charlm train --heartbeat` and `--timestamps`: which file is replaced, how it ends, and what a line begins with."""

import re

import pytest

from charlm.lock import locked
from tests.helpers.runners import error_line, run_in_process
from tests.helpers.texts import BRIEF

STAMP = r"time=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d event=\w+ "


def train(*flags, **more):
    return run_in_process("train", "corpus", "-o", "model", *BRIEF, *flags, **more)


@pytest.fixture(autouse=True)
def corpus(tmp_path):
    (tmp_path / "corpus").write_text("a cat sat\non a mat\n" * 30, encoding="utf-8")


def beat(tmp_path):
    return (tmp_path / "beat").read_text(encoding="utf-8")


def test_a_finished_run_says_so_even_with_quiet(tmp_path):
    assert train("--heartbeat", "beat", "--quiet").check().stderr == ""
    assert re.match(r"time=\S+ status=finished pid=\d+ output=model step=\d+ of=\d+ loss=", beat(tmp_path))
    assert beat(tmp_path).endswith(" exit=0\n")
    train("--heartbeat", "beat", "--force").check()         # its own file is replaced


def test_a_run_that_fails_leaves_its_exit_code(tmp_path):
    (tmp_path / "corpus").write_bytes(b"\xff" * 100)
    error_line(train("--heartbeat", "beat"), 4)
    assert " status=failed " in beat(tmp_path) and beat(tmp_path).endswith(" exit=4\n")


def test_a_second_run_leaves_the_heartbeat_of_the_first_alone(tmp_path):
    (tmp_path / "beat").write_text("time=now status=running\n")
    with locked("model"):
        error_line(train("--heartbeat", "beat"), 7)
    assert beat(tmp_path) == "time=now status=running\n"


@pytest.mark.parametrize("path", ["corpus", "model", "./model", "model.checkpoint-b", "log"])
def test_a_heartbeat_in_another_file_of_the_run_is_refused(path):
    assert "another file of this run" in error_line(train("--heartbeat", path, "--log", "log", "--force"), 2)


@pytest.mark.parametrize("make", [lambda path: path.write_text("dear diary\n"), lambda path: path.mkdir(),
                                  lambda path: path.symlink_to("/dev/null")], ids=["text", "folder", "device"])
def test_a_file_that_is_no_heartbeat_is_refused(tmp_path, make):
    make(tmp_path / "beat")
    assert "is not a heartbeat" in error_line(train("--heartbeat", "beat", "--force"), 2)


def test_a_heartbeat_that_cannot_be_read_is_refused(tmp_path, monkeypatch):
    def refuse(path, mode):
        raise PermissionError(13, "Permission denied")
    (tmp_path / "beat").write_text("time=now status=running\n")
    monkeypatch.setattr("charlm.cli.train_output.open", refuse, raising=False)
    assert "is not a heartbeat" in error_line(train("--heartbeat", "beat"), 2)


def test_a_heartbeat_that_cannot_be_written_does_not_stop_the_training(tmp_path):
    assert train("--heartbeat", "missing/beat").check().stderr.count("heartbeat cannot be written") == 1


@pytest.mark.parametrize("flags, variables", [(["--timestamps"], {}), ([], {"CHARLM_TRAIN_TIMESTAMPS": "1"})])
def test_every_event_line_begins_with_its_time_if_asked(flags, variables):
    lines = [line for line in train(*flags, env=variables).check().stderr.splitlines() if "event=" in line]
    assert len(lines) > 3 and all(re.match(STAMP, line) for line in lines)


def test_no_event_line_has_a_time_otherwise():
    assert "time=" not in train().check().stderr
