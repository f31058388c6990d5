"""Malicious checkpoints under valid checksums are refused by `train --resume` with exit code 3 and one line.

Not here: damage that the checksum detects (test_checkpoint.py), malicious models (test_hostile_models.py).
"""

import functools

import numpy as np
import pytest

from tests.helpers.forging import disassemble, replace_parts, rewrite
from tests.helpers.runners import Result, error_line, run_in_process

pytestmark = pytest.mark.slow

TEXT = "she sells sea shells by the sea shore\nthe shells she sells are surely sea shells\n" * 20
TINY = ["--hidden", "8", "--layers", "1", "--batch-size", "2", "--bptt", "8", "--threads", "1", "--quiet"]
BEGUN = ["--steps", "4", "--averaging", "0.9", "--checkpoint-every", "0"]
HUGE = 2 ** 62


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    """The bytes of a checkpoint at step 3 of 4, and of the finished model."""
    folder = tmp_path_factory.mktemp("started")
    (folder / "text").write_text(TEXT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("charlm.checkpoint.Checkpoints.remove", lambda self: None)
        assert run_in_process("train", folder / "text", "-o", folder / "m", *TINY, *BEGUN) == Result(0, b"", "")
    older = min(folder.glob("m.checkpoint-*"), key=lambda path: path.stat().st_mtime_ns)
    return older.read_bytes(), (folder / "m").read_bytes()


@pytest.fixture
def resume(tmp_path):
    """Return a function that resumes a run with these bytes as its checkpoint."""
    def run(blob):
        (tmp_path / "text").write_text(TEXT)
        (tmp_path / "m.checkpoint-a").write_bytes(blob)
        return run_in_process("train", tmp_path / "text", "-o", tmp_path / "m", "--resume", "--quiet", threads=None)
    return run


@pytest.fixture
def assert_refused(resume, tmp_path):
    """Return a function that asserts that these bytes are refused as a checkpoint and change no file."""
    def check(blob):
        error_line(resume(blob), 3)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["m.checkpoint-a", "text"]
    return check


def put(*path):
    """Return a change of metadata that sets the entry at this path to the last argument."""
    *path, last, value = path

    def change(metadata, header):
        functools.reduce(dict.__getitem__, path, metadata)[last] = value
    return change


def without(*path):
    """Return a change of metadata that removes the entry at this path."""
    def change(metadata, header):
        del functools.reduce(dict.__getitem__, path[:-1], metadata)[path[-1]]
    return change


RUN_PARTS = ("config", "task", "reading", "state", "failures", "environment", "changes")
CONFIG = ("steps", "batch_size", "bptt", "optimizer", "learning_rate", "weight_decay", "warmup", "dropout", "clip",
          "clip_value", "label_smoothing", "averaging", "patience", "seed")
STATE = ("step", "best", "validations_since_best", "validated", "seconds", "loss_sum", "losses")
BEST = {"step": 1, "loss": "x", "bits_per_character": 1.0, "best": True, "error_rate": None,
        "train_loss": None}
CHANGED = {
    **{f"no {part}": without("run", part) for part in RUN_PARTS},
    **{f"{part} is a text": put("run", part, "x") for part in RUN_PARTS},
    **{f"{part} is null": put("run", part, None) for part in RUN_PARTS},
    **{f"no {name}": without("run", "config", name) for name in CONFIG},
    **{f"{name} is a list": put("run", "config", name, [1]) for name in CONFIG},
    **{f"{name} is -1": put("run", "config", name, -1) for name in CONFIG},
    **{f"{name} is NaN": put("run", "config", name, float("nan")) for name in CONFIG},
    **{f"no {name} of the state": without("run", "state", name) for name in STATE},
    **{f"{name} of the state is a text": put("run", "state", name, "x") for name in STATE},
    **{f"{name} of the state is -5": put("run", "state", name, -5) for name in STATE},
    "a step beyond the last": put("run", "state", "step", 10 ** 30),
    "a step of 2.5": put("run", "state", "step", 2.5),
    "validated after the last step": put("run", "state", "validated", 100),
    "the seconds are infinite": put("run", "state", "seconds", float("inf")),
    "no counts of the history": without("run", "state", "history"),
    "a history of 2^62 steps": put("run", "state", "history", "points", HUGE),
    "a history of more steps than it has": put("run", "state", "history", "points", 2),
    "provenance that is text": put("run", "provenance", "x"),
    "an empty best": put("run", "state", "best", {}), "a best loss that is text": put("run", "state", "best", BEST),
    "an unknown part of the state": put("run", "state", "more", 1),
    "failures are many": put("run", "failures", 10 ** 30), "failures are -1": put("run", "failures", -1),
    "2^62 cells": put("model", "model", "hidden_size", HUGE),
    "2^62 ids": put("model", "model", "vocabulary_size", HUGE),
    "10^18 layers": put("model", "model", "num_layers", 10 ** 18),
    "16 cells": put("model", "model", "hidden_size", 16), "another cell": put("model", "model", "cell", "gru"),
    "a batch of 2^62": put("run", "config", "batch_size", HUGE), "a window of 2^62": put("run", "config", "bptt", HUGE),
    "an unknown optimizer": put("run", "config", "optimizer", "os.system"),
    "another optimizer": put("run", "config", "optimizer", "adamw"),
    "no averaging": put("run", "config", "averaging", 0.0),
    "an unknown task": put("run", "task", "pickle"), "a task that is a list": put("run", "task", ["text"]),
    **{f"the task {task}": put("run", "task", task) for task in ("pairs", "lines", "labels", "fill")},
    "a model of an unknown task": put("model", "task", "pickle"), "a model of lines": put("model", "task", "lines"),
    "an unknown tokenizer": put("model", "tokenizer", {"kind": "../evil"}),
    "a tokenizer without its tensor": put("model", "tokenizer", {"kind": "bpe"}),
    "a tokenizer that is a list": put("model", "tokenizer", {"kind": ["char"]}),
    "a tokenizer of bytes": put("model", "tokenizer", {"kind": "byte"}),
    "a source tokenizer": put("model", "source_tokenizer", {"kind": "byte"}),
    "labels that are text": put("model", "labels", "x"), "labels": put("model", "labels", [["x", 1]]),
    "a model without metadata": put("model", {}), "a model that is a list": put("model", []),
    "training that is a list": put("model", "training", []),
    "invalid errors": put("run", "reading", "errors", "evil"),
    "errors that are a list": put("run", "reading", "errors", []),
    "a held-out part that is a list": put("run", "reading", "validation", [1]),
    "a vocabulary size that is a text": put("run", "reading", "vocabulary_size", "x"),
    "an unknown option of the corpus": put("run", "reading", "more", 1),
    "changes of numbers": put("run", "changes", [1]), "an unknown part": put("more", 1),
    "an unknown part of the run": put("run", "more", 1),
    "no generation": without("generation"), "generation 0": put("generation", 0),
    "generation -1": put("generation", -1), "generation 2^53": put("generation", 2 ** 53),
    "generation 1.0": put("generation", 1.0), "a newer format": put("format", 1000),
    "threads that are a text": put("run", "environment", "threads", "x"),
    "threads that are -1": put("run", "environment", "threads", -1),
    "2^62 threads": put("run", "environment", "threads", HUGE),
    "an environment of lists": put("run", "environment", "torch", [])}


def test_the_unchanged_checkpoint_is_resumed(started, resume, tmp_path):
    assert resume(started[0]) == Result(0, b"", "")
    assert (tmp_path / "m").read_bytes() == started[1]


@pytest.mark.parametrize("name", CHANGED)
def test_a_changed_run_is_refused(started, assert_refused, name):
    assert_refused(rewrite(started[0], CHANGED[name]))


def test_every_missing_tensor_is_refused(started, assert_refused):
    for name in disassemble(started[0])[1]:
        assert_refused(replace_parts(started[0], without=[name]))


def test_every_tensor_of_another_shape_or_type_is_refused(started, assert_refused):
    from safetensors.numpy import load
    for name, values in load(started[0]).items():
        for other in (np.zeros((*values.shape, 2), values.dtype), values.astype(np.uint8
                if values.dtype == np.float32 else np.float32)):
            assert_refused(replace_parts(started[0], tensors={name: other}))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused(started, assert_refused, value):
    from safetensors.numpy import load
    for name, values in load(started[0]).items():
        if values.dtype == np.float32 and values.size:      # its history is still empty
            assert_refused(replace_parts(started[0], tensors={name: np.full_like(values, value)}))


@pytest.mark.parametrize("name", ["more", "../../evil", "model.evil", "best.evil", "optimizer.evil",
                                  "model.source.tokenizer.characters", "objective.layers.9.9", ""])
def test_an_extra_tensor_is_refused(started, assert_refused, name):
    assert_refused(replace_parts(started[0], tensors={name: np.zeros(1, np.float32)}))


def test_models_and_checkpoints_are_not_mistaken_for_each_other(started, assert_refused, tmp_path):
    assert_refused(started[1])
    (tmp_path / "m").write_bytes(started[0])
    for verb in ("sample", "info"):
        assert error_line(run_in_process(verb, "-m", tmp_path / "m"),
                          3).startswith(f"charlm: error: {tmp_path / 'm'}: ")
