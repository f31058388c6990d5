"""Models of lines, with labels and the hashes of known lines, read back or refused; files of format 2, without either.

Not here: all that models of every task share (test_modelfile.py).
"""

import hashlib
import json
import os

import numpy as np
import pytest

from charlm.config import ModelConfig
from charlm.container import pack
from charlm.errors import CharlmError, ModelFileError
from charlm.modelfile import Model, load, save, peek
from charlm.text.labels import Labels
from charlm.text.line_hashes import LineHashes, line_hash
from charlm.text.tokenizers.registry import train

LINES = ["emma", "ava", "", "nur\0\u2581", "\U0010ffff"]
KNOWN = LineHashes(np.array([line_hash(line) for line in LINES], np.uint64))
LABELS = Labels(("Irish", "O'\"\\", "\U0001f680"), (7, 1, 2 ** 53 - 1))
CHARACTERS = train("char", ["aemvnur\n"], vocabulary_size=None)       # 9 ids
BYTES = train("byte", [], vocabulary_size=None)


def random_weights(config):
    generator = np.random.default_rng(1)
    return {name: generator.standard_normal(shape).astype(np.float32) for name, shape in config.parameter_shapes().items()}


def lines_model(labels=LABELS, tokenizer=CHARACTERS, known=KNOWN, more=0, **shape):
    config = ModelConfig(**{"vocabulary_size": tokenizer.size + 1 + more, "labels": len(labels or ()), "cell": "rnn", "num_layers": 1,
                            "embedding_size": 3, "hidden_size": 4} | shape)
    return Model(config, tokenizer, random_weights(config), {"steps": 7}, "lines", None, labels, known)


def parts_of(model):
    """Metadata and tensors, as `pack` takes them."""
    metadata = {"task": model.task, "model": model.config.to_json(), "tokenizer": {"kind": model.tokenizer.kind},
                "source_tokenizer": None, "labels": model.labels and [list(pair) for pair in zip(model.labels.names, model.labels.counts)],
                "training": model.training}
    return metadata, {**model.weights, **model.tokenizer.tensors(), "lines.hashes": model.line_hashes.tensor}


def refusal_of(folder, model=None, *, metadata=(), tensors=(), without=()):
    """What is said of a model with some parts replaced, under a checksum that matches."""
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
    assert (again.task, again.config, again.labels, again.training) == ("lines", model.config, labels, {"steps": 7})
    assert again.line_hashes.contains([*LINES, "olivia"]).tolist() == [True] * len(LINES) + [False]
    assert all(again.weights[name].tobytes() == values.tobytes() for name, values in model.weights.items())
    assert again.separate_source is None and again.tokenizer.encode("emma").tolist() == tokenizer.encode("emma").tolist()
    save(path + "2", again)
    assert (tmp_path / "file.charlm").read_bytes() == (tmp_path / "file.charlm2").read_bytes()


def test_parts_as_written_here_are_those_of_a_saved_model(tmp_path):
    save(str(tmp_path / "file.charlm"), lines_model())
    assert (tmp_path / "file.charlm").read_bytes() == pack(*parts_of(lines_model()))


def test_hashes_are_stored_in_order_four_bytes_a_line(tmp_path):
    from safetensors import safe_open
    save(str(tmp_path / "file.charlm"), lines_model())
    with safe_open(str(tmp_path / "file.charlm"), framework="numpy") as file:
        stored = file.get_tensor("lines.hashes")
    assert stored.dtype == np.uint32
    assert [f"{half:08x}" for half in stored] == sorted(hashlib.blake2b(line.encode(), digest_size=8).hexdigest()[:8] for line in LINES)


def test_as_many_long_labels_as_can_be_learned_can_be_stored(tmp_path):
    names = [f"{number:04}" + "\u4e00" * 26 for number in range(4096)]
    model = lines_model(Labels.from_counts(dict.fromkeys(names, 10 ** 6)), embedding_size=1, hidden_size=1)
    save(str(tmp_path / "file.charlm"), model)
    assert load(str(tmp_path / "file.charlm")).labels == model.labels


# Labels that are wrong


@pytest.mark.parametrize("labels", [
    [["Irish", 7], ["O", 1]], [["A", 1], ["B", 1], ["C", 1], ["D", 1]], [["B", 1], ["A", 1], ["C", 1]], [["A", 1], ["A", 1], ["B", 1]],
    [["A", 1], ["B", 0], ["C", 1]], [["A", 1], ["B", -1], ["C", 1]], [["A", 1], ["B", 1.0], ["C", 1]], [["A", 1], ["B", True], ["C", 1]],
    [["A", 1], ["B", "1"], ["C", 1]], [["A", 1], ["", 1], ["C", 1]], [["A", 1], [5, 6], ["C", 1]], [["A", 1], ["B"], ["C", 1]],
    [["A", 1], None, ["C", 1]], [["A", 1], ["B\t", 1], ["C", 1]], [["A", 1], ["B\n", 1], ["C", 1]], [["A", 1], ["B", 1], ["\ud800", 1]],
    [], "ABC", {"A": 1, "B": 1, "C": 1}, {}, 3, 0, True, False, "", None], ids=ascii)
def test_labels_that_are_wrong_or_of_another_number_are_refused(tmp_path, labels):
    message = refusal_of(tmp_path, metadata={"labels": labels})
    assert "its labels are not" in message or "labels, its network 3" in message


def test_labels_where_the_network_knows_none_are_refused(tmp_path):
    assert "1 labels, its network 0" in refusal_of(tmp_path, lines_model(None), metadata={"labels": [["A", 1]]})


@pytest.mark.parametrize("more", [-3, -1, 1, 100])
@pytest.mark.parametrize("labels", [LABELS, None], ids=["labels", "none"])
def test_a_network_of_other_sizes_is_refused(tmp_path, labels, more):
    assert "its tokenizers have" in refusal_of(tmp_path, lines_model(labels, more=more))


def test_a_file_without_a_part_for_labels_is_refused(tmp_path):
    metadata, tensors = parts_of(lines_model(None))
    del metadata["labels"]
    (tmp_path / "file.charlm").write_bytes(pack(metadata, tensors))
    with pytest.raises(ModelFileError, match="missing or unknown parts"):
        load(str(tmp_path / "file.charlm"))


# Hashes that are wrong


def test_missing_hashes_are_refused(tmp_path):
    assert "not those of its configuration" in refusal_of(tmp_path, without=["lines.hashes"])


@pytest.mark.parametrize("hashes", [np.array([1.0], np.float32), np.array([1], np.uint8), np.array([[1]], np.uint32), np.array(1, np.uint32)],
                         ids=["numbers", "bytes", "table", "single"])
def test_hashes_of_another_form_are_refused(tmp_path, hashes):
    assert "lines.hashes has the wrong type or shape" in refusal_of(tmp_path, tensors={"lines.hashes": hashes})


@pytest.mark.parametrize("hashes", [[2, 1], [1, 1], [1, 2, 3, 2 ** 32 - 1, 2 ** 32 - 1]], ids=str)
def test_hashes_in_disorder_are_refused(tmp_path, hashes):
    assert "hashes of lines are not in order" in refusal_of(tmp_path, tensors={"lines.hashes": np.array(hashes, np.uint32)})


# Other tasks


def other_model(task):
    """A model of another task: stream, pairs or fill."""
    reads = {"stream": 0, "pairs": CHARACTERS.size, "fill": CHARACTERS.size + 2}[task]
    config = ModelConfig(CHARACTERS.size + (task != "stream"), cell="gru", num_layers=1, embedding_size=3, hidden_size=4,
                         encoder="bidirectional" if reads else "shared", source_vocabulary_size=reads, attention=bool(reads))
    return Model(config, CHARACTERS, random_weights(config), {"steps": 7}, task, CHARACTERS if task == "pairs" else None)


def old_parts(model):
    """Metadata in the order of format 2, and tensors, of a model that has no labels."""
    source = model.separate_source
    config = {name: value for name, value in model.config.to_json().items() if name != "labels"}
    metadata = {"task": model.task, "model": config, "tokenizer": {"kind": model.tokenizer.kind},
                "source_tokenizer": source and {"kind": source.kind}, "training": model.training}
    sources = {f"source.{name}": values for name, values in source.tensors().items()} if source else {}
    return metadata, {**model.weights, **model.tokenizer.tensors(), **sources}


every_other_task = pytest.mark.parametrize("task", ["stream", "pairs", "fill"])


@every_other_task
@pytest.mark.parametrize("labels", [[["A", 1]], [], False, 0, ""], ids=str)
def test_other_tasks_with_labels_are_refused(tmp_path, task, labels):
    metadata, tensors = old_parts(other_model(task))
    metadata["model"]["labels"] = 0
    (tmp_path / "file.charlm").write_bytes(pack(metadata | {"labels": labels}, tensors))
    with pytest.raises(ModelFileError, match="its task knows no labels"):
        load(str(tmp_path / "file.charlm"))


@every_other_task
def test_other_tasks_with_hashes_are_refused(tmp_path, task):
    metadata, tensors = old_parts(other_model(task))
    metadata["model"]["labels"] = 0
    (tmp_path / "file.charlm").write_bytes(pack(metadata | {"labels": None}, tensors | {"lines.hashes": KNOWN.tensor}))
    with pytest.raises(ModelFileError, match="not those of its configuration"):
        load(str(tmp_path / "file.charlm"))


@pytest.mark.parametrize("task", ["pairs", "fill"])
def test_a_network_that_reads_a_source_is_none_of_lines(tmp_path, task):
    metadata, tensors = old_parts(other_model(task))
    metadata["model"]["labels"] = 0
    (tmp_path / "file.charlm").write_bytes(
        pack(metadata | {"task": "lines", "labels": None, "source_tokenizer": None}, tensors | {"lines.hashes": KNOWN.tensor}))
    with pytest.raises(ModelFileError, match="task and its network do not belong"):
        load(str(tmp_path / "file.charlm"))


def test_a_source_tokenizer_of_lines_is_refused(tmp_path):
    assert "task and its tokenizers do not belong" in refusal_of(tmp_path, metadata={"source_tokenizer": {"kind": "byte"}})


@pytest.mark.parametrize("kind", ["word", "nfd"])
def test_tokenizers_that_lose_a_lines_text_are_refused(tmp_path, kind):
    tokenizer = train(kind, ["aemvnur \n"], vocabulary_size=None)
    assert "none of the tokenizers of its task" in refusal_of(tmp_path, lines_model(tokenizer=tokenizer))


# Format 2: before there were lines.

def old_file(model, version=2, **changes):
    """A file of format 2, byte by byte."""
    metadata, tensors = old_parts(model)
    names, entries, data = {"float32": "F32", "uint32": "U32"}, {}, b""
    for name, values in tensors.items():
        entries[name] = {"dtype": names[values.dtype.name], "shape": list(values.shape), "data_offsets": [len(data), len(data) + values.nbytes]}
        data += values.tobytes()
    metadata = {"checksum": "0" * 64, "format": version, **metadata} | changes
    header = {"__metadata__": {"charlm": json.dumps(metadata, separators=(",", ":"))}, **entries}
    text = json.dumps(header, separators=(",", ":")).encode()
    blob = len(text).to_bytes(8, "little") + text + data
    return blob.replace(b"0" * 64, hashlib.blake2b(blob, digest_size=32).hexdigest().encode(), 1)


@every_other_task
def test_file_of_format_2_is_read_as_before(tmp_path, task):
    model, path = other_model(task), tmp_path / "old.charlm"
    path.write_bytes(old_file(model))
    again = load(str(path))
    assert (again.task, again.config, again.training, again.labels, again.line_hashes) == (task, model.config, {"steps": 7}, None, None)
    assert list(again.weights) == list(model.weights)
    assert all(again.weights[name].tobytes() == values.tobytes() for name, values in model.weights.items())
    assert again.source_tokenizer.encode("emma?").tolist() == CHARACTERS.encode("emma?").tolist()
    assert (again.separate_source is not None) == (task == "pairs")
    assert peek(str(path)) == (task, False)


@every_other_task
def test_model_of_format_2_is_stored_again_in_the_present_format(tmp_path, task):
    (tmp_path / "old.charlm").write_bytes(old_file(other_model(task)))
    save(str(tmp_path / "new.charlm"), load(str(tmp_path / "old.charlm")))
    assert b'\\"format\\":3,' in (tmp_path / "new.charlm").read_bytes()
    assert load(str(tmp_path / "new.charlm")).config == other_model(task).config


@pytest.mark.parametrize("changes", [{"labels": [["A", 1]]}, {"labels": []}, {"more": None}, {"training": None}, {"task": "lines"},
                                     {"version": 3}], ids=str)
def test_file_of_format_2_that_is_wrong_is_refused(tmp_path, changes):
    (tmp_path / "old.charlm").write_bytes(old_file(other_model("stream"), **changes))
    with pytest.raises(ModelFileError):
        load(str(tmp_path / "old.charlm"))


# What a file claims


@pytest.mark.parametrize("labels, labelled", [(LABELS, True), (None, False)], ids=["labels", "none"])
def test_a_model_of_lines_claims_its_labels(tmp_path, labels, labelled):
    save(str(tmp_path / "file.charlm"), lines_model(labels))
    assert peek(str(tmp_path / "file.charlm")) == ("lines", labelled)


def test_claims_are_read_from_a_damaged_file(tmp_path):
    save(str(tmp_path / "file.charlm"), lines_model())
    blob = (tmp_path / "file.charlm").read_bytes()
    (tmp_path / "file.charlm").write_bytes(blob[:-1] + bytes([blob[-1] ^ 1]))
    assert peek(str(tmp_path / "file.charlm")) == ("lines", True)
    with pytest.raises(CharlmError):
        load(str(tmp_path / "file.charlm"))


def test_a_file_of_format_1_claims_to_be_a_stream(tmp_path):
    metadata, tensors = old_parts(other_model("stream"))
    del metadata["task"]
    (tmp_path / "file.charlm").write_bytes(pack(metadata, tensors))
    assert peek(str(tmp_path / "file.charlm")) == ("stream", False)


@pytest.mark.parametrize("data", [b"", b"x" * 1000, b"\xff" * 8 + b"x" * 500, (300).to_bytes(8, "little") + b"{" * 300], ids=len)
def test_what_is_no_model_claims_nothing(tmp_path, data):
    (tmp_path / "file.charlm").write_bytes(data)
    assert peek(str(tmp_path / "file.charlm")) == ("", False)


def test_what_cannot_be_read_claims_nothing(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    assert {peek(str(tmp_path / name)) for name in ("missing", "", "fifo", "a\0b")} == {("", False)}
