"""Checkpoints with valid checksums and invalid contents are refused when they are resumed.

The file is tested in test_checkpoint.py, checkpoints of other runs in test_resume_changes.py, the command in slow/.
"""

import copy

import numpy as np
import pytest

from charlm.checkpoint import Checkpoint, Checkpoints
from charlm.errors import ModelFileError
from charlm.training.checkpoint_state import restore
from charlm.training.starting_point import StartingPoint

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def resume_after(rich, tmp_path):
    """A function that changes the metadata and tensors of a checkpoint, stores it, loads it and resumes from it."""
    runner, whole = rich[0], rich[1].checkpoints[20]

    def resume(change):
        model, run, tensors = copy.deepcopy(whole.model), copy.deepcopy(whole.run), dict(whole.tensors)
        change(model, run, tensors)
        output = str(tmp_path / "m")
        Checkpoints(output).save(Checkpoint(model, run, tensors))
        found = Checkpoints(output).newest(pytest.fail)
        StartingPoint.from_checkpoint(found)
        return restore(found, runner.trainer())
    return resume


def put(*path, table="run"):
    """Return a change that sets the metadata at a path to the last argument."""
    *inner, last, value = path

    def change(model, run, tensors):
        place = model if table == "model" else run
        for name in inner:
            place = place[name]
        place[last] = value
    return change


def test_an_unchanged_checkpoint_is_resumed(resume_after):
    assert resume_after(lambda model, run, tensors: None).step == 20


@pytest.mark.parametrize("names", [b"decoder 9", b"", b"x\x1b[2J", b"a\nb\nc\nd\ne\nf\ng"], ids=str)
def test_norms_of_layers_that_the_network_lacks_are_refused(resume_after, names):
    def rename(model, run, tensors):
        count = names.count(b"\n") + 1
        steps = tensors["history.layers.steps"]
        tensors["history.layers.names"] = np.frombuffer(names, np.uint8)
        tensors["history.layers.norms"] = np.ones(len(steps) * count, np.float32)

    with pytest.raises(ModelFileError, match="layers"):
        resume_after(rename)


def test_a_checkpoint_without_norms_of_layers_is_resumed(resume_after):
    def drop(model, run, tensors):
        for name in ("names", "steps", "norms"):
            del tensors[f"history.layers.{name}"]
        del run["state"]["history"]["layers"]

    state = resume_after(drop)
    assert state.step == 20 and state.history.layer_names == () and len(state.history.points.rows) > 1


INVALID_COUNTS = ["3", -1, True, 2.5, None, [], {}, 1 << 60, float("nan"), float("inf")]
INVALID = {
    "task": ["x", None, 5, ["stream"], {}, "lines"],
    "failures": ["x", "1", -1, True, None, [], 1.5, float("inf"), float("nan"), 1 << 60],
    "config": [None, [], {}, "x", 1],
    "reading": [None, [], {}, "x", 1],
    "environment": [None, [], "x", *({"threads": threads} for threads in ("x", -1, 0, 1 << 40, [1]))],
    "changes": [None, {}, "x", [1], ["x"], [[]]],
    "more": [1],
}


@pytest.mark.parametrize("name, value", [(name, value) for name, values in INVALID.items() for value in values],
                         ids=str)
def test_invalid_metadata_is_refused(resume_after, name, value):
    with pytest.raises(ModelFileError):
        resume_after(put(name, value))


@pytest.mark.parametrize("value", INVALID_COUNTS, ids=str)
@pytest.mark.parametrize("name", ["step", "validations_since_best", "validated"])
def test_an_invalid_count_is_refused(resume_after, name, value):
    with pytest.raises(ModelFileError):
        resume_after(put("state", name, value))


@pytest.mark.parametrize("value", ["3", -1, True, None, [], float("nan"), float("inf")], ids=str)
def test_an_invalid_time_is_refused(resume_after, value):
    with pytest.raises(ModelFileError):
        resume_after(put("state", "seconds", value))


@pytest.mark.parametrize("name, value", [
    *((name, value) for name in ("loss", "bits_per_character")
      for value in ("x", None, [], True, float("nan"), float("inf"))),
    *(("step", value) for value in INVALID_COUNTS), ("best", 1), ("best", None), ("error_rate", "x"),
    ("error_rate", float("nan")), ("more", 1)], ids=str)
def test_an_invalid_best_validation_is_refused(resume_after, name, value):
    with pytest.raises(ModelFileError):
        resume_after(put("state", "best", name, value))


@pytest.mark.parametrize("name, value", [
    ("validation", []), ("validation", "2.0"), ("errors", "x"), ("errors", []), ("vocabulary_size", "9"),
    ("vocabulary_size", 1), ("tokenizer", "nfd"), ("more", 1)], ids=str)
def test_invalid_options_of_the_corpus_are_refused(resume_after, name, value):
    with pytest.raises(ModelFileError):
        resume_after(put("reading", name, value))


@pytest.mark.parametrize("name, value", [
    *(("tokenizer", value) for value in (None, "x", "char", {"kind": "x"}, {"kind": ["char"]}, {"kind": "bpe"}, {}, 0)),
    *(("source_tokenizer", value) for value in (0, "", [], {"kind": "nfd"})),
    *(("labels", value) for value in (5, [], [["a", 0]], "x")), ("model", None), ("model", {}), ("task", "lines"),
    ("task", []), ("training", None), ("more", 1)], ids=str)
def test_an_invalid_model_is_refused(resume_after, name, value):
    with pytest.raises(ModelFileError):
        resume_after(put(name, value, table="model"))


@pytest.mark.parametrize("values", [
    np.array([10, 97], np.float32), np.array([[10, 97]], np.uint32), np.array([10, 97], np.uint8),
    np.array([97, 10], np.uint32), np.array([0x110000], np.uint32), np.array(10, np.uint32),
    np.array([0xD800], np.uint32)], ids=lambda values: f"{values.dtype} {values.tolist()}")
def test_an_invalid_character_table_is_refused(resume_after, values):
    with pytest.raises(ModelFileError):
        resume_after(lambda model, run, tensors: tensors.update({"model.tokenizer.characters": values}))


@pytest.mark.parametrize("part", ["model.head.bias", "average.head.bias", "best.head.bias",
                                  "optimizer.head.bias.exp_avg", "objective.layers.0.0"])
@pytest.mark.parametrize("change", [lambda values: values.astype(np.uint32), lambda values: values.astype(np.uint8),
                                    lambda values: values[..., :-1], lambda values: values[None],
                                    lambda values: values.flat[0]],
                         ids=["uint32", "uint8", "shorter", "one more axis", "scalar"])
def test_a_tensor_of_another_shape_or_type_is_refused(resume_after, part, change):
    with pytest.raises(ModelFileError):
        resume_after(lambda model, run, tensors: tensors.update({part: np.array(change(tensors[part]))}))


@pytest.mark.parametrize("name", ["more", "model.more", "average.more", "best.more", "optimizer.more.exp_avg",
                                  "objective.more", "model.source.tokenizer.characters", "../evil"])
def test_an_unexpected_tensor_is_refused(resume_after, name):
    with pytest.raises(ModelFileError):
        resume_after(lambda model, run, tensors: tensors.update({name: np.zeros(3, np.float32)}))
