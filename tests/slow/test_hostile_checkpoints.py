"""Checkpoints made to do harm, under checksums that match, through `train --resume`: refused by exit code 3 and one line.

Not here: damage that the checksum tells (tests/test_checkpoint.py), hostile models (test_hostile_models.py).
"""

import numpy as np
import pytest

pytestmark = pytest.mark.slow

TEXT = "she sells sea shells by the sea shore\nthe shells she sells are surely sea shells\n" * 20
TINY = ["--hidden", "8", "--layers", "1", "--batch-size", "2", "--bptt", "8", "--threads", "1", "--quiet"]
BEGUN = ["--steps", "4", "--averaging", "0.9", "--checkpoint-every", "0"]
HUGE = 2 ** 62
WEIGHT = "weights.decoder.0.bias_ih_l0"


@pytest.fixture(scope="module")
def begun(tmp_path_factory, inside):
    """The bytes of a checkpoint at step 3 of 4, and of the model that was made."""
    folder = tmp_path_factory.mktemp("begun")
    (folder / "text").write_text(TEXT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("charlm.checkpoint.Checkpoints.remove", lambda self: None)
        assert inside("train", folder / "text", "-o", folder / "m", *TINY, *BEGUN) == (0, b"", [])
    older = min(folder.glob("m.checkpoint-*"), key=lambda path: path.stat().st_mtime_ns)
    return older.read_bytes(), (folder / "m").read_bytes()


@pytest.fixture
def resumed(inside, tmp_path):
    """Ends a run that finds these bytes as its checkpoint: exit code and lines of stderr."""
    def resume(blob):
        (tmp_path / "text").write_text(TEXT)
        (tmp_path / "m.checkpoint-a").write_bytes(blob)
        code, out, lines = inside("train", tmp_path / "text", "-o", tmp_path / "m", "--resume", "--quiet")
        assert out == b""
        return code, lines
    return resume


def refused(ended, folder):
    code, lines = ended
    assert code == 3 and len(lines) == 1 and lines[0].startswith("charlm: error: "), ended
    assert sorted(path.name for path in folder.iterdir()) == ["m.checkpoint-a", "text"]


def put(*place):
    """A change of the run's facts: the last item at the place that the others name."""
    *path, last, value = place

    def change(metadata, header):
        facts = metadata
        for name in path:
            facts = facts[name]
        facts[last] = value
    return change


def gone(*path):
    def change(metadata, header):
        facts = metadata
        for name in path[:-1]:
            facts = facts[name]
        del facts[path[-1]]
    return change


RUN_PARTS = ("model", "config", "task", "standing", "failures", "flags", "corpus", "environment", "changes", "texts")
CONFIG = ("steps", "batch_size", "bptt", "optimizer", "learning_rate", "weight_decay", "warmup", "dropout", "clip", "clip_value",
          "label_smoothing", "averaging", "patience", "seed")
STANDING = ("step", "best", "validations_since_best", "validated", "seconds")
CHANGED = {
    **{f"no {part}": gone("run", part) for part in RUN_PARTS}, **{f"{part} is a text": put("run", part, "x") for part in RUN_PARTS},
    **{f"{part} is null": put("run", part, None) for part in RUN_PARTS},
    **{f"no {name}": gone("run", "config", name) for name in CONFIG if name != "seed"}, **{f"{name} is a list": put("run", "config", name, [1]) for name in CONFIG},
    **{f"{name} is -1": put("run", "config", name, -1) for name in CONFIG if name not in ("optimizer",)},
    **{f"{name} is NaN": put("run", "config", name, float("nan")) for name in CONFIG},
    **{f"no {name} of standing": gone("run", "standing", name) for name in STANDING},
    **{f"{name} of standing is a text": put("run", "standing", name, "x") for name in STANDING},
    **{f"{name} of standing is -5": put("run", "standing", name, -5) for name in STANDING},
    "a step beyond the last": put("run", "standing", "step", 10 ** 30), "a step of 2.5": put("run", "standing", "step", 2.5),
    "validated later than it stands": put("run", "standing", "validated", 100), "the seconds are infinite": put("run", "standing", "seconds", float("inf")),
    "a best of nothing": put("run", "standing", "best", {}), "a best that is text": put("run", "standing", "best", {"step": 1, "loss": "x", "bits_per_character": 1.0, "best": True, "error_rate": None}),
    "an unknown part of standing": put("run", "standing", "more", 1), "failures are many": put("run", "failures", 10 ** 30), "failures are -1": put("run", "failures", -1),
    "2^62 cells": put("run", "model", "hidden_size", HUGE), "2^62 ids": put("run", "model", "vocabulary_size", HUGE), "10^18 layers": put("run", "model", "num_layers", 10 ** 18),
    "16 cells": put("run", "model", "hidden_size", 16), "another cell": put("run", "model", "cell", "gru"), "a batch of 2^62": put("run", "config", "batch_size", HUGE),
    "a window of 2^62": put("run", "config", "bptt", HUGE), "an unknown optimizer": put("run", "config", "optimizer", "os.system"),
    "another optimizer": put("run", "config", "optimizer", "adamw"), "no averaging": put("run", "config", "averaging", 0.0), "an unknown task": put("run", "task", "pickle"),
    "a task that is a list": put("run", "task", ["stream"]), "pairs": put("run", "task", "pairs"), "lines": put("run", "task", "lines"), "fill": put("run", "task", "fill"),
    "an unknown tokenizer": put("run", "texts", "tokenizer", "../evil"), "a tokenizer without its tensor": put("run", "texts", "tokenizer", "bpe"),
    "a tokenizer that is a list": put("run", "texts", "tokenizer", ["char"]), "a tokenizer of bytes": put("run", "texts", "tokenizer", "byte"),
    "a source tokenizer": put("run", "texts", "source_tokenizer", "byte"), "labels that are text": put("run", "texts", "labels", "x"), "labels": put("run", "texts", "labels", [["x", 1]]),
    "errors that are none": put("run", "flags", "errors", "evil"), "errors that are a list": put("run", "flags", "errors", []),
    "texts of its own": put("run", "flags", "corpus", ["/etc/passwd"]),
    "a held-out part that is a list": put("run", "flags", "validation", [1]), "a vocabulary size that is a text": put("run", "flags", "vocab_size", "x"),
    "changes of numbers": put("run", "changes", [1]), "an unknown part": put("more", 1), "an unknown part of the run": put("run", "more", 1),
    "no generation": gone("generation"), "generation 0": put("generation", 0), "generation -1": put("generation", -1), "generation 2^53": put("generation", 2 ** 53),
    "generation 1.0": put("generation", 1.0), "a newer format": put("format", 1000), "threads that are a text": put("run", "environment", "threads", "x"),
    "threads that are -1": put("run", "environment", "threads", -1), "2^62 threads": put("run", "environment", "threads", HUGE), "an environment of lists": put("run", "environment", "torch", [])}


def test_the_checkpoint_itself_is_gone_on_from(begun, resumed, tmp_path):
    assert resumed(begun[0]) == (0, [])
    assert (tmp_path / "m").read_bytes() == begun[1]


@pytest.mark.parametrize("name", CHANGED)
def test_a_changed_run_is_refused(begun, forging, resumed, tmp_path, name):
    refused(resumed(forging.reforged(begun[0], CHANGED[name])), tmp_path)


@pytest.mark.parametrize("flag, value", [("output", "evil"), ("device", "abacus"), ("checkpoint_every", "x"), ("steps", 10 ** 9)])
def test_flags_of_anything_but_texts_are_not_taken_from_it(begun, forging, resumed, tmp_path, flag, value):
    assert resumed(forging.reforged(begun[0], put("run", "flags", flag, value))) == (0, [])
    assert (tmp_path / "m").read_bytes() == begun[1]


def test_every_missing_tensor_is_refused(begun, forging, resumed, tmp_path):
    for name in forging.opened(begun[0])[1]:
        refused(resumed(forging.repacked(begun[0], without=[name])), tmp_path)


def test_every_tensor_of_another_shape_or_type_is_refused(begun, forging, resumed, tmp_path):
    from safetensors.numpy import load
    for name, values in load(begun[0]).items():
        for other in (np.zeros((*values.shape, 2), values.dtype), values.astype(np.uint8 if values.dtype == np.float32 else np.float32)):
            refused(resumed(forging.repacked(begun[0], tensors={name: other})), tmp_path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused(begun, forging, resumed, tmp_path, value):
    from safetensors.numpy import load
    for name, values in load(begun[0]).items():
        if values.dtype == np.float32:
            refused(resumed(forging.repacked(begun[0], tensors={name: np.full_like(values, value)})), tmp_path)


@pytest.mark.parametrize("name", ["more", "../../evil", "weights.evil", "best.evil", "optimizer.evil", "reads.tokenizer.characters", "objective.layers.9.9", ""])
def test_a_tensor_too_many_is_refused(begun, forging, resumed, tmp_path, name):
    refused(resumed(forging.repacked(begun[0], tensors={name: np.zeros(1, np.float32)})), tmp_path)


def test_a_model_is_no_checkpoint_and_a_checkpoint_no_model(begun, inside, resumed, tmp_path):
    refused(resumed(begun[1]), tmp_path)
    (tmp_path / "m").write_bytes(begun[0])
    for verb in ("sample", "info"):
        code, out, lines = inside(verb, "-m", tmp_path / "m")
        assert (code, out, len(lines)) == (3, b"", 1) and lines[0].startswith(f"charlm: error: {tmp_path / 'm'}: ")
