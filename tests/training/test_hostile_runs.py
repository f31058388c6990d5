"""Checkpoints that are no run, under checksums that match: refused when they are gone on from, and before anything is done.

Not here: the file (test_checkpoint.py), checkpoints of other runs (test_resuming_changes.py), the command (slow/).
"""

import copy

import numpy as np
import pytest

from charlm.checkpoint import Checkpoint, Checkpoints
from charlm.errors import ModelFileError
from charlm.training.checkpoint_state import go_on
from charlm.training.starting_point import of_checkpoint

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def go_on_from(rich, tmp_path):
    """A function that goes on from the run's checkpoint after a change of its facts and tensors, by way of the disk."""
    runner, whole = rich[0], rich[1].checkpoints[20]

    def resume(change):
        run, tensors = copy.deepcopy(whole.run), dict(whole.tensors)
        change(run, tensors)
        output = str(tmp_path / "m")
        Checkpoints(output).save(Checkpoint(run, tensors))
        found = Checkpoints(output).newest(pytest.fail)
        of_checkpoint(found)
        return go_on(found, runner.trainer())
    return resume


def put(*path):
    *inner, last, value = path

    def change(run, tensors):
        for name in inner:
            run = run[name]
        run[last] = value
    return change


def test_an_unchanged_checkpoint_is_resumed(go_on_from):
    assert go_on_from(lambda run, tensors: None).step == 20


NO_COUNT = ["3", -1, True, 2.5, None, [], {}, 1 << 60, float("nan"), float("inf")]
FACTS = {
    "task": ["x", None, 5, ["stream"], {}],
    "failures": ["x", "1", -1, True, None, [], 1.5, float("inf"), float("nan"), 1 << 60],
    "model": [None, [], {}, "x", 1],
    "config": [None, [], {}, "x", 1],
    "flags": [None, [], "x", {"validation": []}, {"validation": 2.0}, {"errors": "x"}, {"vocab_size": "9"}],
    "corpus": [None, [], "x"],
    "environment": [None, [], "x", {"threads": "x"}, {"threads": -1}, {"threads": 0}, {"threads": 1 << 40}, {"threads": [1]}],
    "changes": [None, {}, "x", [1], ["x"], [[]]],
    "texts": [None, [], {}, "x"],
    "more": [1],
}


@pytest.mark.parametrize("name, value", [(name, value) for name, values in FACTS.items() for value in values], ids=str)
def test_invalid_metadata_is_refused(go_on_from, name, value):
    with pytest.raises(ModelFileError):
        go_on_from(put(name, value))


@pytest.mark.parametrize("value", NO_COUNT, ids=str)
@pytest.mark.parametrize("name", ["step", "validations_since_best", "validated"])
def test_an_invalid_count_is_refused(go_on_from, name, value):
    with pytest.raises(ModelFileError):
        go_on_from(put("standing", name, value))


@pytest.mark.parametrize("value", ["3", -1, True, None, [], float("nan"), float("inf")], ids=str)
def test_an_invalid_time_is_refused(go_on_from, value):
    with pytest.raises(ModelFileError):
        go_on_from(put("standing", "seconds", value))


@pytest.mark.parametrize("name, value", [
    *((name, value) for name in ("loss", "bits_per_character") for value in ("x", None, [], True, float("nan"), float("inf"))),
    *(("step", value) for value in NO_COUNT), ("best", 1), ("best", None), ("error_rate", "x"), ("error_rate", float("nan")),
    ("more", 1)], ids=str)
def test_an_invalid_best_validation_is_refused(go_on_from, name, value):
    with pytest.raises(ModelFileError):
        go_on_from(put("standing", "best", name, value))


@pytest.mark.parametrize("name, value", [
    ("tokenizer", None), ("tokenizer", "x"), ("tokenizer", ["char"]), ("tokenizer", "bpe"), ("tokenizer", 0), ("source_tokenizer", 0),
    ("source_tokenizer", ""), ("source_tokenizer", []), ("source_tokenizer", "nfd"), ("labels", 5), ("labels", []), ("labels", [["a", 0]]),
    ("labels", "x")], ids=str)
def test_invalid_tokenizers_and_labels_are_refused(go_on_from, name, value):
    with pytest.raises(ModelFileError):
        go_on_from(put("texts", name, value))


@pytest.mark.parametrize("values", [
    np.array([10, 97], np.float32), np.array([[10, 97]], np.uint32), np.array([10, 97], np.uint8), np.array([97, 10], np.uint32),
    np.array([0x110000], np.uint32), np.array(10, np.uint32), np.array([0xD800], np.uint32)], ids=lambda values: f"{values.dtype} {values.tolist()}")
def test_an_invalid_character_table_is_refused(go_on_from, values):
    with pytest.raises(ModelFileError):
        go_on_from(lambda run, tensors: tensors.update({"writes.tokenizer.characters": values}))


@pytest.mark.parametrize("part", ["weights.head.bias", "average.head.bias", "best.head.bias", "optimizer.head.bias.exp_avg",
                                  "objective.layers.0.0"])
@pytest.mark.parametrize("how", [lambda values: values.astype(np.uint32), lambda values: values.astype(np.uint8),
                                 lambda values: values[..., :-1], lambda values: values[None], lambda values: values.flat[0]],
                         ids=["counts", "bytes", "shorter", "deeper", "broadcast"])
def test_a_tensor_of_another_shape_or_type_is_refused(go_on_from, part, how):
    with pytest.raises(ModelFileError):
        go_on_from(lambda run, tensors: tensors.update({part: np.array(how(tensors[part]))}))


@pytest.mark.parametrize("name", ["more", "weights.more", "average.more", "best.more", "optimizer.more.exp_avg", "objective.more",
                                  "writes.more", "reads.tokenizer.characters", "../evil"])
def test_an_unexpected_tensor_is_refused(go_on_from, name):
    with pytest.raises(ModelFileError):
        go_on_from(lambda run, tensors: tensors.update({name: np.zeros(3, np.float32)}))
