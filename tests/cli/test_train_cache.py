"""`charlm train --cache-dir`: where it keeps tokens, and that it is no part of a run."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from charlm.modelfile import load
from tests.helpers.runners import error_line, run_in_process
from tests.helpers.texts import BRIEF


def train(*flags):
    return run_in_process("train", "corpus", "-o", "model", *BRIEF, *flags)


@pytest.fixture(autouse=True)
def corpus(tmp_path):
    (tmp_path / "corpus").write_text("a cat sat\non a mat\n" * 30, encoding="utf-8")


def weights():
    return {name: values.tobytes() for name, values in load("model").weights.items()}


def test_a_run_with_kept_tokens_is_the_run_without(tmp_path):
    train("--seed", "1").check()
    without, described = weights(), load("model").training
    for reused in (False, True):
        done = train("--seed", "1", "--cache-dir", "new/cache", "--force").check()
        assert ("using the tokens of an earlier run: new/cache/" in done.stderr) == reused
        assert weights() == without and load("model").training == described
    assert len([*(tmp_path / "new" / "cache").iterdir()]) == 1


@pytest.mark.parametrize("first, second", [(["--cache-dir", "one"], []), ([], ["--cache-dir", "two"])])
def test_a_run_resumes_with_or_without_a_directory_for_tokens(tmp_path, monkeypatch, first, second):
    train("--seed", "1").check()
    whole = weights()
    with monkeypatch.context() as patch:
        patch.setattr("charlm.checkpoint.Checkpoints.remove", lambda self: None)
        train("--seed", "1", "--force", *first).check()
    max(tmp_path.glob("model.checkpoint-*"), key=lambda path: path.stat().st_mtime_ns).unlink()
    assert "event=resumed" in train("--resume", *second).check().stderr
    assert weights() == whole


def test_a_changed_corpus_is_noticed_beside_kept_tokens(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("charlm.checkpoint.Checkpoints.remove", lambda self: None)
        train("--cache-dir", "cache").check()
    (tmp_path / "corpus").write_text("a cat sat\non a hat\n" * 30, encoding="utf-8")
    (tmp_path / "model").unlink()
    assert "the corpus has changed" in train("--resume", "--cache-dir", "cache").stderr


@pytest.mark.parametrize("free, refused", [(569, "a private copy of the corpus needs"),
                                           (570, "the token cache needs"), (10_000, "")])
def test_what_the_disk_cannot_hold_is_refused_before_it_is_written(monkeypatch, free, refused):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=free))
    monkeypatch.setattr("charlm.text.text_corpus.smallest_dtype", lambda size: np.dtype(np.uint32))
    if refused:
        assert refused in error_line(train("--cache-dir", "cache"), 6)
    else:
        train("--cache-dir", "cache").check()


@pytest.mark.parametrize("directory, code", [("corpus", 6), ("", 2)])
def test_a_name_that_is_no_directory_is_refused(directory, code):
    assert "--cache-dir" in error_line(train("--cache-dir", directory), code)
