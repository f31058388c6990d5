"""Files of models of lines, with labels and line hashes, and files of format 2, which have neither.

Not here: what models of all tasks have in common (test_modelfile.py).
"""

import hashlib
import os
from dataclasses import asdict

import numpy as np
import pytest

from charlm.config import AdaptationSettings, ModelConfig
from charlm.container import pack
from charlm.errors import CharlmError, ModelFileError
from charlm.modelfile import Model, load, peek, save
from charlm.tasks import TASKS
from charlm.text.labels import Labels
from charlm.text.line_hashes import LineHashes, line_hash
from charlm.text.tokenizers.registry import train
from tests.helpers.forging import assemble
from tests.helpers.models import parts_of, random_weights

LINES = ["emma", "ava", "", "nur\0\u2581", "\U0010ffff"]
KNOWN = LineHashes(np.array([line_hash(line) for line in LINES], np.uint64))
LABELS = Labels(("Irish", "O'\"\\", "\U0001f680"), (7, 1, 2 ** 53 - 1))
CHARACTERS = train("char", ["aemvnur\n"], vocabulary_size=None)       # 9 ids
BYTES = train("byte", [], vocabulary_size=None)


def lines_model(labels=LABELS, tokenizer=CHARACTERS, known=KNOWN, more=0, **shape):
    config = ModelConfig(**{"vocabulary_size": tokenizer.size + 1 + more, "labels": len(labels or ()), "cell": "rnn",
                            "num_layers": 1,
                            "embedding_size": 3, "hidden_size": 4} | shape)
    task = "labels" if labels else "lines"
    return Model(config, tokenizer, random_weights(config), {"steps": 7}, task, None, labels, known)


def refusal_of(folder, model=None, *, metadata=(), tensors=(), without=()):
    """Return the message that refuses a model of lines with some parts replaced, under a checksum that matches."""
    table, arrays = parts_of(model or lines_model())
    arrays = {name: values for name, values in (arrays | dict(tensors)).items() if name not in without}
    (folder / "file.charlm").write_bytes(pack(table | dict(metadata), arrays))
    with pytest.raises(ModelFileError) as caught:
        load(str(folder / "file.charlm"))
    assert caught.value.exit_code == 3
    return str(caught.value)


# Read back


@pytest.mark.parametrize("labels", [LABELS, None, Labels(("only",), (1,))], ids=["labels", "none", "one"])
@pytest.mark.parametrize("tokenizer", [CHARACTERS, BYTES], ids=["char", "byte"])
def test_a_model_of_lines_is_read_back_with_its_labels_and_known_lines(tmp_path, labels, tokenizer):
    model, path = lines_model(labels, tokenizer), str(tmp_path / "file.charlm")
    save(path, model)
    again = load(path)
    assert (again.task, again.config, again.labels, again.training) == (model.task, model.config, labels, {"steps": 7})
    assert again.line_hashes.contains([*LINES, "olivia"]).tolist() == [True] * len(LINES) + [False]
    assert all(again.weights[name].tobytes() == values.tobytes() for name, values in model.weights.items())
    assert again.separate_source is None
    assert again.tokenizer.encode("emma").tolist() == tokenizer.encode("emma").tolist()
    save(path + "2", again)
    assert (tmp_path / "file.charlm").read_bytes() == (tmp_path / "file.charlm2").read_bytes()


def test_a_saved_model_has_the_parts_that_these_tests_change(tmp_path):
    save(str(tmp_path / "file.charlm"), lines_model())
    assert (tmp_path / "file.charlm").read_bytes() == pack(*parts_of(lines_model()))


def test_hashes_are_stored_in_order_with_four_bytes_a_line(tmp_path):
    from safetensors import safe_open
    save(str(tmp_path / "file.charlm"), lines_model())
    with safe_open(str(tmp_path / "file.charlm"), framework="numpy") as file:
        stored = file.get_tensor("lines.hashes")
    assert stored.dtype == np.uint32
    assert [f"{half:08x}" for half in stored] == sorted(hashlib.blake2b(line.encode(), digest_size=8).hexdigest()[:8]
                                                        for line in LINES)


def test_the_most_and_longest_labels_that_can_be_learned_can_be_saved(tmp_path):
    names = [f"{number:04}" + "\u4e00" * 26 for number in range(4096)]
    model = lines_model(Labels.from_counts(dict.fromkeys(names, 10 ** 6)), embedding_size=1, hidden_size=1)
    save(str(tmp_path / "file.charlm"), model)
    assert load(str(tmp_path / "file.charlm")).labels == model.labels


# Invalid labels


@pytest.mark.parametrize("labels", [
    [["Irish", 7], ["O", 1]], [["A", 1], ["B", 1], ["C", 1], ["D", 1]], [["B", 1], ["A", 1], ["C", 1]],
    [["A", 1], ["A", 1], ["B", 1]],
    [["A", 1], ["B", 0], ["C", 1]], [["A", 1], ["B", -1], ["C", 1]], [["A", 1], ["B", 1.0], ["C", 1]],
    [["A", 1], ["B", True], ["C", 1]],
    [["A", 1], ["B", "1"], ["C", 1]], [["A", 1], ["", 1], ["C", 1]], [["A", 1], [5, 6], ["C", 1]],
    [["A", 1], ["B"], ["C", 1]],
    [["A", 1], None, ["C", 1]], [["A", 1], ["B\t", 1], ["C", 1]], [["A", 1], ["B\n", 1], ["C", 1]],
    [["A", 1], ["B", 1], ["\ud800", 1]],
    [], "ABC", {"A": 1, "B": 1, "C": 1}, {}, 3, 0, True, False, "", None], ids=ascii)
def test_invalid_labels_or_another_number_of_them_are_refused(tmp_path, labels):
    message = refusal_of(tmp_path, metadata={"labels": labels})
    assert "its labels are not" in message or "labels, its network 3" in message


def test_labels_of_a_network_without_labels_are_refused(tmp_path):
    assert "1 labels, its network 0" in refusal_of(tmp_path, lines_model(None), metadata={"labels": [["A", 1]]})


@pytest.mark.parametrize("more", [-3, -1, 1, 100])
@pytest.mark.parametrize("labels", [LABELS, None], ids=["labels", "none"])
def test_a_network_of_other_sizes_is_refused(tmp_path, labels, more):
    assert "its tokenizers have" in refusal_of(tmp_path, lines_model(labels, more=more))


def test_a_file_without_an_entry_for_labels_is_refused(tmp_path):
    metadata, tensors = parts_of(lines_model(None))
    del metadata["labels"]
    (tmp_path / "file.charlm").write_bytes(pack(metadata, tensors))
    with pytest.raises(ModelFileError, match="missing or unknown parts"):
        load(str(tmp_path / "file.charlm"))


# Invalid hashes


def test_missing_hashes_are_refused(tmp_path):
    assert "not those of its configuration" in refusal_of(tmp_path, without=["lines.hashes"])


@pytest.mark.parametrize("hashes", [np.array([1.0], np.float32), np.array([1], np.uint8), np.array([[1]], np.uint32),
                                    np.array(1, np.uint32)],
                         ids=["numbers", "bytes", "table", "single"])
def test_hashes_of_another_type_or_shape_are_refused(tmp_path, hashes):
    assert "lines.hashes has the wrong type or shape" in refusal_of(tmp_path, tensors={"lines.hashes": hashes})


@pytest.mark.parametrize("hashes", [[2, 1], [1, 1], [1, 2, 3, 2 ** 32 - 1, 2 ** 32 - 1]], ids=str)
def test_unsorted_hashes_are_refused(tmp_path, hashes):
    assert "hashes of lines are not in order" in refusal_of(tmp_path, tensors={"lines.hashes": np.array(hashes,
        np.uint32)})


# Other tasks


def other_model(task):
    """Return a model of another task."""
    reads = {"text": 0, "pairs": CHARACTERS.size, "fill": CHARACTERS.size + 2}[task]
    config = ModelConfig(CHARACTERS.size + (task != "text"), cell="gru", num_layers=1, embedding_size=3,
                         hidden_size=4,
                         encoder="bidirectional" if reads else "shared", source_vocabulary_size=reads,
                         attention=bool(reads))
    return Model(config, CHARACTERS, random_weights(config), {"steps": 7}, task, CHARACTERS
                 if task == "pairs" else None)


def old_parts(model):
    """Return the metadata of format 2, in its order, and the tensors of a model without labels."""
    source = model.separate_source
    config = {name: value for name, value in model.config.to_json().items() if name != "labels"}
    metadata = {"task": TASKS[model.task].stored_as, "model": config, "tokenizer": {"kind": model.tokenizer.kind},
                "source_tokenizer": source and {"kind": source.kind}, "training": model.training}
    sources = {f"source.{name}": values for name, values in source.tensors().items()} if source else {}
    return metadata, {**model.weights, **model.tokenizer.tensors(), **sources}


def parts_without_labels(task):
    """Return the parts of a model of this format without the entry of labels."""
    metadata, tensors = old_parts(other_model(task))
    metadata["model"]["labels"] = 0
    return metadata | {"adaptation": asdict(AdaptationSettings()), "provenance": {}, "history": False}, tensors


every_other_task = pytest.mark.parametrize("task", ["text", "pairs", "fill"])


@every_other_task
@pytest.mark.parametrize("labels", [[["A", 1]], [], False, 0, ""], ids=str)
def test_other_tasks_with_labels_are_refused(tmp_path, task, labels):
    metadata, tensors = parts_without_labels(task)
    (tmp_path / "file.charlm").write_bytes(pack(metadata | {"labels": labels}, tensors))
    with pytest.raises(ModelFileError, match="its task has no labels"):
        load(str(tmp_path / "file.charlm"))


@every_other_task
def test_other_tasks_with_hashes_are_refused(tmp_path, task):
    metadata, tensors = parts_without_labels(task)
    (tmp_path / "file.charlm").write_bytes(pack(metadata | {"labels": None}, tensors | {"lines.hashes": KNOWN.tensor}))
    with pytest.raises(ModelFileError, match="not those of its configuration"):
        load(str(tmp_path / "file.charlm"))


@pytest.mark.parametrize("task", ["pairs", "fill"])
def test_a_network_that_reads_a_source_is_refused_for_lines(tmp_path, task):
    metadata, tensors = parts_without_labels(task)
    (tmp_path / "file.charlm").write_bytes(
        pack(metadata | {"task": "lines", "labels": None, "source_tokenizer": None},
             tensors | {"lines.hashes": KNOWN.tensor}))
    with pytest.raises(ModelFileError, match="task and its network do not belong"):
        load(str(tmp_path / "file.charlm"))


def test_a_source_tokenizer_of_lines_is_refused(tmp_path):
    assert "task and its tokenizers do not belong" in refusal_of(tmp_path,
        metadata={"source_tokenizer": {"kind": "byte"}})


@pytest.mark.parametrize("kind", ["word", "nfd"])
def test_tokenizers_that_change_a_line_are_refused(tmp_path, kind):
    tokenizer = train(kind, ["aemvnur \n"], vocabulary_size=None)
    assert "its tokenizer is not one of its task's" in refusal_of(tmp_path, lines_model(tokenizer=tokenizer))


# Format 2: before there were lines.

def old_file(model, version=2, **changes):
    """Return a file of format 2."""
    metadata, tensors = old_parts(model)
    return assemble({"format": version, **metadata} | changes, tensors)


@every_other_task
def test_a_file_of_format_2_is_read(tmp_path, task):
    model, path = other_model(task), tmp_path / "old.charlm"
    path.write_bytes(old_file(model))
    again = load(str(path))
    assert (again.task, again.config, again.training, again.labels, again.line_hashes) == (task, model.config,
        {"steps": 7}, None, None)
    assert list(again.weights) == list(model.weights)
    assert all(again.weights[name].tobytes() == values.tobytes() for name, values in model.weights.items())
    assert again.source_tokenizer.encode("emma?").tolist() == CHARACTERS.encode("emma?").tolist()
    assert (again.separate_source is not None) == (task == "pairs")
    assert peek(str(path)).name == task


@every_other_task
def test_a_model_of_format_2_is_saved_in_the_present_format(tmp_path, task):
    (tmp_path / "old.charlm").write_bytes(old_file(other_model(task)))
    save(str(tmp_path / "new.charlm"), load(str(tmp_path / "old.charlm")))
    assert b'\\"format\\":4,' in (tmp_path / "new.charlm").read_bytes()
    assert load(str(tmp_path / "new.charlm")).config == other_model(task).config


@pytest.mark.parametrize("changes", [{"labels": [["A", 1]]}, {"labels": []}, {"more": None}, {"training": None},
                                     {"task": "lines"},
                                     {"version": 3}], ids=str)
def test_a_malformed_file_of_format_2_is_refused(tmp_path, changes):
    (tmp_path / "old.charlm").write_bytes(old_file(other_model("text"), **changes))
    with pytest.raises(ModelFileError):
        load(str(tmp_path / "old.charlm"))


# The task of a file, before it is checked


@pytest.mark.parametrize("labels, task", [(LABELS, "labels"), (None, "lines")], ids=["labels", "none"])
def test_peek_tells_models_of_lines_with_and_without_labels_apart(tmp_path, labels, task):
    save(str(tmp_path / "file.charlm"), lines_model(labels))
    assert peek(str(tmp_path / "file.charlm")) .name == task


def test_peek_reads_damaged_files(tmp_path):
    save(str(tmp_path / "file.charlm"), lines_model())
    blob = (tmp_path / "file.charlm").read_bytes()
    (tmp_path / "file.charlm").write_bytes(blob[:-1] + bytes([blob[-1] ^ 1]))
    assert peek(str(tmp_path / "file.charlm")) .name == "labels"
    with pytest.raises(CharlmError):
        load(str(tmp_path / "file.charlm"))


def test_peek_reads_a_file_of_format_1_as_running_text(tmp_path):
    metadata, tensors = old_parts(other_model("text"))
    del metadata["task"]
    (tmp_path / "file.charlm").write_bytes(pack(metadata, tensors))
    assert peek(str(tmp_path / "file.charlm")) .name == "text"


@pytest.mark.parametrize("data", [b"", b"x" * 1000, b"\xff" * 8 + b"x" * 500, (300).to_bytes(8, "little") + b"{" * 300],
                         ids=len)
def test_peek_returns_no_task_for_other_files(tmp_path, data):
    (tmp_path / "file.charlm").write_bytes(data)
    assert peek(str(tmp_path / "file.charlm")) is None


def test_peek_returns_no_task_for_unreadable_files(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    assert {peek(str(tmp_path / name)) for name in ("missing", "", "fifo", "a\0b")} == {None}
