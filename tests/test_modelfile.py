"""A model file is read back to the bit, or refused: every cut, every flipped bit, every lie about its tensors.

Not here: the container's own form (test_container.py), safe writing (test_storage.py).
"""

import functools
import hashlib
import json
import os
import threading
import time

import numpy as np
import pytest

from charlm import modelfile
from charlm.config import ModelConfig
from charlm.container import pack
from charlm.errors import CharlmError, ModelFileError, StorageError
from charlm.modelfile import Model, load, save
from charlm.text.kinds import fit

TEXT = "abc\nabba cab\n" * 40
SMALL = ModelConfig(5, cell="rnn", num_layers=1, embedding_size=3, hidden_size=4)
CONFIGS = {"char": SMALL,
           "byte": ModelConfig(256, cell="gru", num_layers=2, embedding_size=4, hidden_size=4, tied=True),
           "bpe": ModelConfig(265, cell="lstm", num_layers=1, embedding_size=2, hidden_size=3),
           "unigram": ModelConfig(262, cell="lstm", num_layers=1, embedding_size=2, hidden_size=3)}


@functools.lru_cache(maxsize=None)
def tokenizer_of(kind):
    text, size = ("abc\n", None) if kind == "char" else (TEXT, CONFIGS[kind].vocabulary_size)
    return fit(kind, [text], vocabulary_size=size)


def random_weights(config, seed=0):
    generator = np.random.default_rng(seed)
    return {name: generator.standard_normal(shape).astype(np.float32)
            for name, shape in config.parameter_shapes().items()}


def model_of(kind="char"):
    return Model(CONFIGS[kind], tokenizer_of(kind), random_weights(CONFIGS[kind]), {"steps": 7, "corpus": "é.txt"})


def parts_of(model):
    """Metadata and tensors, as `pack` takes them."""
    metadata = {"model": model.config.to_json(), "tokenizer": {"kind": model.tokenizer.kind}, "training": model.training}
    return metadata, {**model.weights, **model.tokenizer.tensors()}


def put(folder, blob):
    path = folder / "file.charlm"
    path.write_bytes(blob)
    return str(path)


def refusal(folder, blob):
    with pytest.raises(ModelFileError) as caught:
        load(put(folder, blob))
    return str(caught.value)


def refusal_of(folder, *, metadata=(), tensors=(), without=()):
    """What is said of the small model with some parts replaced, under a checksum that matches."""
    table, arrays = parts_of(model_of())
    arrays = {name: values for name, values in (arrays | dict(tensors)).items() if name not in without}
    return refusal(folder, pack(table | dict(metadata), arrays))


def rewritten(change):
    """The small model's file with its header as JSON changed by `change`, under a checksum that matches."""
    blob = pack(*parts_of(model_of()))
    length = int.from_bytes(blob[:8], "little")
    header, data = json.loads(blob[8:8 + length]), blob[8 + length:]
    metadata = json.loads(header["__metadata__"]["charlm"])
    metadata["checksum"] = "0" * 64
    header = {"__metadata__": header.pop("__metadata__")} | header
    change(metadata, header)
    header["__metadata__"]["charlm"] = json.dumps(metadata, separators=(",", ":"))
    text = json.dumps(header, separators=(",", ":")).encode()
    blob = len(text).to_bytes(8, "little") + text + data
    return blob.replace(b"0" * 64, hashlib.blake2b(blob, digest_size=32).hexdigest().encode())


@pytest.mark.parametrize("kind", CONFIGS)
def test_saved_model_is_read_back_to_the_bit(tmp_path, kind):
    model, path = model_of(kind), str(tmp_path / "file.charlm")
    save(path, model)
    again = load(path)
    assert again.config == model.config and again.training == model.training
    assert list(again.weights) == list(model.config.parameter_shapes())
    for name, values in model.weights.items():
        assert again.weights[name].dtype == np.float32
        assert again.weights[name].tobytes() == values.tobytes()
    assert again.tokenizer.kind == kind
    assert again.tokenizer.encode(TEXT).tolist() == model.tokenizer.encode(TEXT).tolist()


@pytest.mark.parametrize("kind", CONFIGS)
def test_equal_models_give_equal_files(tmp_path, kind):
    first, second = tmp_path / "first", tmp_path / "second"
    save(str(first), model_of(kind))
    save(str(second), load(str(first)))
    assert first.read_bytes() == second.read_bytes()


def test_safetensors_reads_a_model(tmp_path):
    from safetensors import safe_open
    model, path = model_of(), str(tmp_path / "file.charlm")
    save(path, model)
    with safe_open(path, framework="numpy") as file:
        assert set(file.keys()) == {*SMALL.parameter_shapes(), "tokenizer.characters"}
        assert all((file.get_tensor(name) == values).all() for name, values in model.weights.items())
        assert file.get_tensor("tokenizer.characters").tolist() == [10, 97, 98, 99]


def test_every_truncation_is_refused(tmp_path):
    whole = pack(*parts_of(model_of()))
    path = put(tmp_path, whole)
    for length in reversed(range(len(whole))):
        os.truncate(path, length)
        with pytest.raises(ModelFileError):
            load(path)


def test_every_flipped_bit_is_refused(tmp_path):
    whole = pack(*parts_of(model_of()))
    path = put(tmp_path, whole)
    load(path)
    with open(path, "r+b", buffering=0) as file:
        for place, byte in enumerate(whole):
            for bit in range(8):
                file.seek(place)
                file.write(bytes([byte ^ 1 << bit]))
                with pytest.raises(ModelFileError):
                    load(path)
            file.seek(place)
            file.write(bytes([byte]))
    load(path)                                              # it was put together again


def test_every_added_byte_is_refused(tmp_path):
    whole = pack(*parts_of(model_of()))
    for byte in range(256):
        refusal(tmp_path, whole + bytes([byte]))


def test_two_files_cut_together_are_refused(tmp_path):
    first, second = (pack(*parts_of(Model(SMALL, tokenizer_of("char"), random_weights(SMALL, seed), {}))) for seed in (1, 2))
    assert len(first) == len(second)
    for place in range(1, len(first)):
        if first[place:] != second[place:] and first[:place] != second[:place]:
            refusal(tmp_path, first[:place] + second[place:])


def test_refusal_names_the_file(tmp_path):
    path = put(tmp_path, b"x" * 1000)
    with pytest.raises(ModelFileError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize("name", ["missing", "folder", "missing/folder", "a\0b"])
def test_what_cannot_be_opened_is_refused(tmp_path, name):
    (tmp_path / "folder").mkdir()
    with pytest.raises(ModelFileError, match="cannot be read"):
        load(str(tmp_path / name))


def test_fifo_is_refused_without_waiting(tmp_path):
    path, said = str(tmp_path / "fifo"), []
    os.mkfifo(path)

    def read():
        try:
            load(path)
        except ModelFileError:
            said.append("refused")

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(0.5)
    in_time = list(said)
    if not in_time:
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))    # let the thread go
        thread.join(5)
    assert in_time == ["refused"]


def test_device_is_refused():
    for path in ("/dev/null", "/dev/zero"):
        with pytest.raises(ModelFileError):
            load(path)


# Lies under a checksum that matches.

def test_rewriting_without_a_change_is_accepted(tmp_path):
    assert load(put(tmp_path, rewritten(lambda metadata, header: None))).config == SMALL


@pytest.mark.parametrize("name", [*SMALL.parameter_shapes(), "tokenizer.characters"])
def test_missing_tensor_is_refused(tmp_path, name):
    assert "not those of its configuration" in refusal_of(tmp_path, without=[name])


@pytest.mark.parametrize("name", ["more", "decoder.1.bias_ih_l0", "../../evil", "/tmp/evil", "", "head.weight\0", "é" * 1000])
def test_tensor_too_many_is_refused(tmp_path, name):
    message = refusal_of(tmp_path, tensors={name: np.zeros(1, np.float32)})
    assert "not those of its configuration" in message
    assert [path.name for path in tmp_path.iterdir()] == ["file.charlm"]


@pytest.mark.parametrize("name", [*SMALL.parameter_shapes(), "tokenizer.characters"])
def test_renamed_tensor_is_refused(tmp_path, name):
    def rename(metadata, header):
        header[name.upper()] = header.pop(name)
    assert "not those of its configuration" in refusal(tmp_path, rewritten(rename))


@pytest.mark.parametrize("name", SMALL.parameter_shapes())
def test_tensor_of_another_shape_is_refused(tmp_path, name):
    shape = SMALL.parameter_shapes()[name]
    for other in ((*shape, 1), (1, *shape), shape[::-1] if len(shape) > 1 and shape[0] != shape[1] else (), (0,),
                  (shape[0] + 1, *shape[1:])):
        assert f"{name} has the wrong type or shape" in refusal_of(tmp_path, tensors={name: np.zeros(other, np.float32)})


@pytest.mark.parametrize("name", SMALL.parameter_shapes())
def test_tensor_of_another_type_is_refused(tmp_path, name):
    values = np.zeros(SMALL.parameter_shapes()[name], np.uint32)
    assert f"{name} has the wrong type or shape" in refusal_of(tmp_path, tensors={name: values})
    for dtype in (np.float64, np.float16, np.int32):
        assert "described wrongly" in refusal_of(tmp_path, tensors={name: values.astype(dtype)})


@pytest.mark.parametrize("codes", [np.array([10, 97, 98, 99], np.float32), np.array([[10, 97], [98, 99]], np.uint32),
                                   np.array([10, 97, 98, 99], np.uint8)], ids=["type", "shape", "bytes"])
def test_character_table_of_another_form_is_refused(tmp_path, codes):
    assert "tokenizer.characters has the wrong type or shape" in refusal_of(tmp_path, tensors={"tokenizer.characters": codes})


@pytest.mark.parametrize("codes", [[], [10, 97, 98], [10, 97, 98, 99, 100], [97, 10, 98, 99], [10, 97, 97, 99],
                                   [10, 97, 98, 0x110000], [10, 97, 98, 2 ** 32 - 1]], ids=str)
def test_character_table_that_is_wrong_is_refused(tmp_path, codes):
    refusal_of(tmp_path, tensors={"tokenizer.characters": np.array(codes, np.uint32)})


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", SMALL.parameter_shapes())
def test_weight_that_is_not_finite_is_refused(tmp_path, name, value):
    values = random_weights(SMALL)[name]
    values.flat[-1] = value
    assert "not finite" in refusal_of(tmp_path, tensors={name: values})


@pytest.mark.parametrize("values", [
    {"hidden_size": 8}, {"embedding_size": 4}, {"vocabulary_size": 6}, {"num_layers": 2}, {"cell": "gru"}, {"cell": "lstm"},
    {"embedding_size": 4, "tied": True}, {"hidden_size": 1 << 16, "num_layers": 256}, {"hidden_size": 2 ** 62},
    {"vocabulary_size": 2 ** 62}, {"num_layers": 10 ** 18}, {"hidden_size": -4}, {"hidden_size": 4.0}, {"hidden_size": "4"},
    {"num_layers": True}, {"num_layers": 0}, {"cell": "transformer"}, {"cell": None}, {"cell": ["rnn"]}, {"encoder": "os.system"},
    {"nonlinearity": "eval"}, {"tied": 0}, {"more": 1}], ids=str)
def test_other_configuration_than_the_tensors_is_refused(tmp_path, values):
    began = time.monotonic()
    refusal_of(tmp_path, metadata={"model": SMALL.to_json() | values})
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("metadata", [
    {"model": None}, {"model": []}, {"model": {}}, {"tokenizer": None}, {"tokenizer": {}}, {"tokenizer": "char"},
    {"tokenizer": {"kind": "byte"}}, {"tokenizer": {"kind": "bpe"}}, {"tokenizer": {"kind": "wordpiece"}},
    {"tokenizer": {"kind": None}}, {"tokenizer": {"kind": ["char"]}}, {"tokenizer": {"kind": "char", "more": 1}},
    {"training": None}, {"training": []}, {"training": 5}, {"more": {}}], ids=str)
def test_wrong_metadata_is_refused(tmp_path, metadata):
    refusal_of(tmp_path, metadata=metadata)


@pytest.mark.parametrize("part", ["model", "tokenizer", "training", "format"])
def test_missing_metadata_is_refused(tmp_path, part):
    refusal(tmp_path, rewritten(lambda metadata, header: metadata.pop(part)))


def test_newer_model_is_refused_naming_both_versions(tmp_path):
    message = refusal(tmp_path, rewritten(lambda metadata, header: metadata.update(format=2)))
    assert "format 2 " in message and "format 1," in message


def test_newer_model_is_recognised_whatever_else_is_new_in_its_metadata(tmp_path):
    def change(metadata, header):
        metadata.update(format=2, optimizer={"kind": "new"}, model=[])
        header["more"] = header.pop("head.bias")
    assert "format 2 " in refusal(tmp_path, rewritten(change))


def test_exchanged_offsets_are_another_model_and_overlapping_ones_none(tmp_path):
    first, second = "decoder.0.bias_ih_l0", "decoder.0.bias_hh_l0"

    def exchange(metadata, header):
        header[first], header[second] = header[second], header[first]

    def overlap(metadata, header):
        header[first] = header[second]

    exchanged = load(put(tmp_path, rewritten(exchange)))
    assert (exchanged.weights[first] == model_of().weights[second]).all()
    assert "overlap or leave gaps" in refusal(tmp_path, rewritten(overlap))


def test_no_memory_is_taken_for_tensors_that_do_not_fit(tmp_path, monkeypatch):
    taken = []
    monkeypatch.setattr(modelfile, "read_tensor", lambda *arguments: taken.append(arguments))
    refusal_of(tmp_path, without=["head.bias"])
    refusal_of(tmp_path, tensors={"head.bias": np.zeros(6, np.float32)})
    refusal_of(tmp_path, metadata={"model": SMALL.to_json() | {"hidden_size": 8}})
    assert taken == []


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
@pytest.mark.parametrize("content", [b"", b"\0" * 50, b"\xff" * 50, b"not a model"])
def test_subword_model_that_is_none_is_refused(tmp_path, kind, content):
    metadata, tensors = parts_of(model_of(kind))
    tensors["tokenizer.sentencepiece"] = np.frombuffer(content, np.uint8)
    refusal(tmp_path, pack(metadata, tensors))


def test_subword_model_of_another_size_is_refused(tmp_path):
    metadata, tensors = parts_of(model_of("bpe"))
    tensors.update(tokenizer_of("unigram").tensors())
    assert "265" in refusal(tmp_path, pack(metadata, tensors))


# Saving.

@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_not_written(tmp_path, value):
    model, path = model_of(), tmp_path / "file.charlm"
    save(str(path), model)
    before = path.read_bytes()
    model.weights["head.bias"][2] = value
    with pytest.raises(CharlmError, match="head.bias"):
        save(str(path), model)
    assert path.read_bytes() == before


def test_failed_save_keeps_the_old_model(tmp_path, monkeypatch):
    path = tmp_path / "file.charlm"
    save(str(path), model_of())
    before = path.read_bytes()

    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("charlm.storage.os.fsync", fail)
    with pytest.raises(StorageError, match="No space left"):
        save(str(path), model_of("byte"))
    assert path.read_bytes() == before
    assert [name.name for name in tmp_path.iterdir()] == ["file.charlm"]


def test_description_too_long_to_be_read_is_not_written(tmp_path):
    small = model_of()
    long = Model(small.config, small.tokenizer, small.weights, {"corpus": "x" * (1 << 20)})
    with pytest.raises(CharlmError):
        save(str(tmp_path / "file.charlm"), long)
