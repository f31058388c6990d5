"""A model file is read back to the bit, or refused: every cut, every flipped bit, every false claim about its tensors.

Not here: the form of the container (test_container.py), safe writing (test_storage.py).
"""

import dataclasses
import functools
import os
import threading
import time

import numpy as np
import pytest

from charlm import modelfile
from charlm.config import AdaptationSettings, ModelConfig
from charlm.container import pack
from charlm.errors import CharlmError, ModelFileError, StorageError
from charlm.modelfile import Model, load, save
from charlm.text.labels import Labels
from charlm.text.special_tokens import vocabulary_sizes
from charlm.text.tokenizers.registry import train
from tests.helpers.damage import assert_every_damage_is_refused
from tests.helpers.forging import assemble, rewrite
from tests.helpers.models import parts_of, random_weights

TEXT = "abc\nabba cab\n" * 40
SMALL = ModelConfig(5, cell="rnn", num_layers=1, embedding_size=3, hidden_size=4)
CONFIGS = {"char": SMALL,
           "byte": ModelConfig(256, cell="gru", num_layers=2, embedding_size=4, hidden_size=4, tied=True),
           "bpe": ModelConfig(265, cell="lstm", num_layers=1, embedding_size=2, hidden_size=3),
           "unigram": ModelConfig(262, cell="lstm", num_layers=1, embedding_size=2, hidden_size=3)}


@functools.cache
def tokenizer_of(kind):
    text, size = ("abc\n", None) if kind not in CONFIGS or kind == "char" else (TEXT, CONFIGS[kind].vocabulary_size)
    return train(kind, [text], vocabulary_size=size)


def model_of(kind="char"):
    return Model(CONFIGS[kind], tokenizer_of(kind), random_weights(CONFIGS[kind]), {"steps": 7, "corpus": "é.txt"})


def pairs_model(target="char", source="bpe", **shape):
    """Return a model of pairs with tokenizers of these kinds."""
    writes, reads = tokenizer_of(target), tokenizer_of(source)
    config = ModelConfig(**{"vocabulary_size": writes.size + 1, "source_vocabulary_size": reads.size, "cell": "gru",
                            "num_layers": 1, "embedding_size": 2, "hidden_size": 3, "encoder": "bidirectional",
                            "attention": True} | shape)
    return Model(config, writes, random_weights(config), {"target_ratio": 0.5}, "pairs", reads)


def fill_model(kind="char", **shape):
    """Return a model of gaps with a tokenizer of this kind."""
    tokenizer = tokenizer_of(kind)
    writes, reads = vocabulary_sizes("fill", tokenizer, tokenizer)
    config = ModelConfig(**{"vocabulary_size": writes, "source_vocabulary_size": reads, "num_layers": 1,
                            "embedding_size": 2,
                            "hidden_size": 3, "encoder": "bidirectional", "attention": True} | shape)
    return Model(config, tokenizer, random_weights(config), {}, "fill")


def window_model():
    """Return a model of running text whose encoder reads the previous window."""
    config = ModelConfig(5, cell="rnn", num_layers=2, embedding_size=3, hidden_size=4, encoder="stacked",
                         source_vocabulary_size=5, window=7)
    return Model(config, tokenizer_of("char"), random_weights(config), {})


TASKED = {"pairs": pairs_model, "pairs of one kind": lambda: pairs_model("bpe", "unigram"),
          "pairs of words": lambda: pairs_model("word", "nfd", encoder="shared", attention=False),
          "fill": fill_model, "fill of bytes": lambda: fill_model("byte", encoder="stacked"), "windows": window_model}


def put(folder, blob):
    path = folder / "file.charlm"
    path.write_bytes(blob)
    return str(path)


def refusal(folder, blob):
    """Return the message that refuses a file."""
    with pytest.raises(ModelFileError) as caught:
        load(put(folder, blob))
    return str(caught.value)


def refusal_of(folder, *, model=None, metadata=(), tensors=(), without=()):
    """Return the message that refuses a model, the small one by default, with some parts replaced."""
    table, arrays = parts_of(model or model_of())
    arrays = {name: values for name, values in (arrays | dict(tensors)).items() if name not in without}
    return refusal(folder, pack(table | dict(metadata), arrays))


def rewritten(change):
    """Return the file of the small model with its header changed by a function, under a checksum that matches."""
    return rewrite(pack(*parts_of(model_of())), change)


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_saved_model_is_read_back_to_the_bit(tmp_path, kind):
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


@pytest.mark.parametrize("build", TASKED.values(), ids=TASKED)
def test_a_model_of_every_task_is_read_back_to_the_bit(tmp_path, build):
    model, path = build(), str(tmp_path / "file.charlm")
    save(path, model)
    again = load(path)
    assert (again.config, again.task, again.training) == (model.config, model.task, model.training)
    assert list(again.weights) == list(model.config.parameter_shapes())
    assert all(again.weights[name].tobytes() == values.tobytes() for name, values in model.weights.items())
    assert (again.separate_source is None) == (model.separate_source is None)
    for mine, yours in ((again.tokenizer, model.tokenizer), (again.source_tokenizer, model.source_tokenizer)):
        assert mine.kind == yours.kind
        assert mine.encode(TEXT + "abc\n").tolist() == yours.encode(TEXT + "abc\n").tolist()
    save(path + "2", again)
    assert (tmp_path / "file.charlm").read_bytes() == (tmp_path / "file.charlm2").read_bytes()


def test_the_two_tokenizers_of_pairs_keep_their_own_tensors(tmp_path):
    path = str(tmp_path / "file.charlm")
    save(path, pairs_model("bpe", "unigram"))
    again = load(path)
    assert again.tokenizer.tensors()["tokenizer.sentencepiece"].tobytes() \
        != again.source_tokenizer.tensors()["tokenizer.sentencepiece"].tobytes()
    assert again.source_tokenizer.encode(TEXT).tolist() == tokenizer_of("unigram").encode(TEXT).tolist()


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


def test_every_cut_and_every_flipped_bit_is_refused(tmp_path):
    path = put(tmp_path, pack(*parts_of(model_of())))
    assert_every_damage_is_refused(path, lambda: load(path))


def test_every_added_byte_is_refused(tmp_path):
    whole = pack(*parts_of(model_of()))
    for byte in range(256):
        refusal(tmp_path, whole + bytes([byte]))


def test_the_begin_of_a_file_and_the_end_of_another_are_refused(tmp_path):
    first, second = (pack(*parts_of(Model(SMALL, tokenizer_of("char"), random_weights(SMALL, seed), {})))
                     for seed in (1, 2))
    assert len(first) == len(second)
    for cut in range(1, len(first)):
        if first[cut:] != second[cut:] and first[:cut] != second[:cut]:
            refusal(tmp_path, first[:cut] + second[cut:])


def test_a_refusal_names_the_file(tmp_path):
    path = put(tmp_path, b"x" * 1000)
    with pytest.raises(ModelFileError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize("name", ["missing", "folder", "missing/folder", "a\0b"])
def test_a_path_that_cannot_be_opened_is_refused(tmp_path, name):
    (tmp_path / "folder").mkdir()
    with pytest.raises(ModelFileError, match="cannot be read"):
        load(str(tmp_path / name))


def test_a_fifo_is_refused_without_waiting(tmp_path):
    path, refused = str(tmp_path / "fifo"), []
    os.mkfifo(path)

    def read():
        try:
            load(path)
        except ModelFileError:
            refused.append(True)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(0.5)
    in_time = list(refused)
    if not in_time:
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))    # let the thread end
        thread.join(5)
    assert in_time == [True]


def test_a_device_is_refused():
    for path in ("/dev/null", "/dev/zero"):
        with pytest.raises(ModelFileError):
            load(path)


# False claims under a checksum that matches.

def test_a_file_rewritten_without_a_change_is_accepted(tmp_path):
    assert load(put(tmp_path, rewritten(lambda metadata, header: None))).config == SMALL


@pytest.mark.parametrize("name", [*SMALL.parameter_shapes(), "tokenizer.characters"])
def test_a_missing_tensor_is_refused(tmp_path, name):
    assert "not those of its configuration" in refusal_of(tmp_path, without=[name])


@pytest.mark.parametrize("name", ["more", "decoder.1.bias_ih_l0", "../../evil", "/tmp/evil", "", "head.weight\0",
                                  "é" * 1000])
def test_an_extra_tensor_is_refused(tmp_path, name):
    message = refusal_of(tmp_path, tensors={name: np.zeros(1, np.float32)})
    assert "not those of its configuration" in message
    assert [path.name for path in tmp_path.iterdir()] == ["file.charlm"]


@pytest.mark.parametrize("name", [*SMALL.parameter_shapes(), "tokenizer.characters"])
def test_a_renamed_tensor_is_refused(tmp_path, name):
    def rename(metadata, header):
        header[name.upper()] = header.pop(name)
    assert "not those of its configuration" in refusal(tmp_path, rewritten(rename))


@pytest.mark.parametrize("name", SMALL.parameter_shapes())
def test_a_tensor_of_another_shape_is_refused(tmp_path, name):
    shape = SMALL.parameter_shapes()[name]
    for other in ((*shape, 1), (1, *shape), shape[::-1] if len(shape) > 1 and shape[0] != shape[1] else (), (0,),
                  (shape[0] + 1, *shape[1:])):
        assert f"{name} has the wrong type or shape" in refusal_of(tmp_path,
            tensors={name: np.zeros(other, np.float32)})


@pytest.mark.parametrize("name", SMALL.parameter_shapes())
def test_a_tensor_of_another_type_is_refused(tmp_path, name):
    values = np.zeros(SMALL.parameter_shapes()[name], np.uint32)
    assert f"{name} has the wrong type or shape" in refusal_of(tmp_path, tensors={name: values})
    for dtype in (np.float64, np.float16, np.int32):
        assert "described wrongly" in refusal_of(tmp_path, tensors={name: values.astype(dtype)})


@pytest.mark.parametrize("codes", [np.array([10, 97, 98, 99], np.float32), np.array([[10, 97], [98, 99]], np.uint32),
                                   np.array([10, 97, 98, 99], np.uint8)], ids=["type", "shape", "bytes"])
def test_a_character_table_of_another_type_or_shape_is_refused(tmp_path, codes):
    assert "tokenizer.characters has the wrong type or shape" in refusal_of(tmp_path,
        tensors={"tokenizer.characters": codes})


@pytest.mark.parametrize("codes", [[], [10, 97, 98], [10, 97, 98, 99, 100], [97, 10, 98, 99], [10, 97, 97, 99],
                                   [10, 97, 98, 0x110000], [10, 97, 98, 2 ** 32 - 1]], ids=str)
def test_an_invalid_character_table_is_refused(tmp_path, codes):
    refusal_of(tmp_path, tensors={"tokenizer.characters": np.array(codes, np.uint32)})


@pytest.mark.parametrize("name", SMALL.parameter_shapes())
def test_a_weight_that_is_not_finite_is_refused(tmp_path, name):
    for value in (np.nan, np.inf, -np.inf):
        values = random_weights(SMALL)[name]
        values.flat[-1] = value
        assert "not finite" in refusal_of(tmp_path, tensors={name: values})


@pytest.mark.parametrize("values", [
    {"hidden_size": 8}, {"embedding_size": 4}, {"vocabulary_size": 6}, {"num_layers": 2}, {"cell": "gru"},
    {"cell": "lstm"},
    {"embedding_size": 4, "tied": True}, {"hidden_size": 1 << 16, "num_layers": 256}, {"hidden_size": 2 ** 62},
    {"vocabulary_size": 2 ** 62}, {"num_layers": 10 ** 18}, {"hidden_size": -4}, {"hidden_size": 4.0},
    {"hidden_size": "4"},
    {"num_layers": True}, {"num_layers": 0}, {"cell": "transformer"}, {"cell": None}, {"cell": ["rnn"]},
    {"encoder": "os.system"},
    {"nonlinearity": "eval"}, {"tied": 0}, {"more": 1}, {"attention": True}, {"attention": 0}, {"window": 8},
    {"window": None},
    {"encoder": "stacked"}, {"encoder": "bidirectional"}, {"source_vocabulary_size": 5}, {"source_vocabulary_size": -1},
    {"encoder": "bidirectional", "source_vocabulary_size": 5, "window": 8}], ids=str)
def test_a_configuration_that_does_not_fit_the_tensors_is_refused(tmp_path, values):
    began = time.monotonic()
    refusal_of(tmp_path, metadata={"model": SMALL.to_json() | values})
    assert time.monotonic() - began < 2


SETTINGS = dataclasses.asdict(AdaptationSettings())


def test_settings_of_adaptation_are_stored(tmp_path):
    settings, model = AdaptationSettings(head_rate=0.004), load(put(tmp_path, old_file(random_weights(SMALL))))
    save(str(tmp_path / "file.charlm"), dataclasses.replace(model, adaptation=settings))
    assert load(str(tmp_path / "file.charlm")).adaptation == settings


@pytest.mark.parametrize("metadata", [
    {"model": None}, {"model": []}, {"model": {}}, {"tokenizer": None}, {"tokenizer": {}}, {"tokenizer": "char"},
    {"tokenizer": {"kind": "byte"}}, {"tokenizer": {"kind": "bpe"}}, {"tokenizer": {"kind": "wordpiece"}},
    {"tokenizer": {"kind": None}}, {"tokenizer": {"kind": ["char"]}}, {"tokenizer": {"kind": "char", "more": 1}},
    {"training": None}, {"training": []}, {"training": 5}, {"more": {}}, {"source_tokenizer": {}},
    {"source_tokenizer": "char"}, {"source_tokenizer": False}, {"source_tokenizer": 0}, {"adaptation": None},
    {"adaptation": {}}, {"adaptation": ["head_rate"]}, {"adaptation": SETTINGS | {"more": 1}},
    {"adaptation": SETTINGS | {"concentration": 0}}, {"adaptation": SETTINGS | {"head_rate": 1e300}},
    {"adaptation": SETTINGS | {"mixing_rate": None}}, {"adaptation": SETTINGS | {"head_pull": "0.1"}}], ids=str)
def test_malformed_metadata_is_refused(tmp_path, metadata):
    refusal_of(tmp_path, metadata=metadata)


@pytest.mark.parametrize("part", ["task", "model", "tokenizer", "source_tokenizer", "training", "format"])
def test_missing_metadata_is_refused(tmp_path, part):
    refusal(tmp_path, rewritten(lambda metadata, header: metadata.pop(part)))


def test_a_newer_model_is_refused_naming_both_versions(tmp_path):
    message = refusal(tmp_path, rewritten(lambda metadata, header: metadata.update(format=5)))
    assert "format 5 " in message and "format 4," in message


def test_a_newer_model_is_recognised_whatever_its_metadata(tmp_path):
    def change(metadata, header):
        metadata.update(format=5, optimizer={"kind": "new"}, model=[])
        header["more"] = header.pop("head.bias")
    assert "format 5 " in refusal(tmp_path, rewritten(change))


# Tasks.

@pytest.mark.parametrize("task", ["line", "Stream", "", None, 0, True, ["stream"], {"stream": 1}], ids=str)
def test_an_unknown_task_is_refused_naming_the_known_ones(tmp_path, task):
    assert "not one of stream, pairs, lines, fill" in refusal_of(tmp_path, metadata={"task": task})


def test_pairs_without_a_source_tokenizer_are_refused(tmp_path):
    message = refusal_of(tmp_path, model=pairs_model(), metadata={"source_tokenizer": None},
                         without=["source.tokenizer.sentencepiece"])
    assert "task and its tokenizers do not belong" in message


@pytest.mark.parametrize("model", [model_of, window_model, fill_model])
def test_other_tasks_with_a_source_tokenizer_are_refused(tmp_path, model):
    message = refusal_of(tmp_path, model=model(), metadata={"source_tokenizer": {"kind": "char"}},
                         tensors={"source.tokenizer.characters": np.array([10, 97, 98, 99], np.uint32)})
    assert "task and its tokenizers do not belong" in message


@pytest.mark.parametrize("kind", ["wordpiece", None, ["nfd"]], ids=str)
def test_an_unknown_source_tokenizer_is_refused(tmp_path, kind):
    refusal_of(tmp_path, model=pairs_model(source="byte"), metadata={"source_tokenizer": {"kind": kind}})


@pytest.mark.parametrize("name", ["tokenizer.characters", "source.tokenizer.sentencepiece", "bridge.weight",
                                  "context.empty"])
def test_a_missing_tensor_of_pairs_is_refused(tmp_path, name):
    assert "not those of its configuration" in refusal_of(tmp_path, model=pairs_model(), without=[name])


@pytest.mark.parametrize("model, task", [(fill_model, "stream"), (window_model, "fill"), (model_of, "fill")])
def test_a_network_of_another_task_is_refused(tmp_path, model, task):
    assert "task and its network do not belong" in refusal_of(tmp_path, model=model(), metadata={"task": task})


@pytest.mark.parametrize("shape", [
    {"encoder": "shared", "attention": False, "source_vocabulary_size": 0},         # nothing reads a source
    {"window": 5, "vocabulary_size": 5, "source_vocabulary_size": 5}])              # reads past windows
def test_pairs_need_a_network_that_reads_sources(tmp_path, shape):
    model = pairs_model(source="char", **shape)
    assert "task and its network do not belong" in refusal(tmp_path, pack(*parts_of(model)))


@pytest.mark.parametrize("model", [
    lambda: pairs_model(vocabulary_size=5), lambda: pairs_model(vocabulary_size=7),
    lambda: pairs_model("word", "char", source_vocabulary_size=6),
    lambda: pairs_model(source_vocabulary_size=264), lambda: fill_model(vocabulary_size=6, source_vocabulary_size=6),
    lambda: fill_model(vocabulary_size=13), lambda: fill_model(source_vocabulary_size=5)],
    ids=["no end", "more", "source", "fewer", "no marks", "fewer read", "read without marks"])
def test_a_network_of_other_sizes_than_its_tokenizers_is_refused(tmp_path, model):
    message = refusal(tmp_path, pack(*parts_of(model())))
    assert "its tokenizers have" in message and "its network" in message


@pytest.mark.parametrize("words", [b"b a", b"a a", b"\xff"], ids=["order", "twice", "bytes"])
def test_an_invalid_word_table_is_refused(tmp_path, words):
    tensors = {"tokenizer.words": np.frombuffer(words, np.uint8)}
    assert "table of words" in refusal_of(tmp_path, model=pairs_model("word", "nfd", vocabulary_size=4),
                                          tensors=tensors)


# The same checks on models that are not files, as those of a checkpoint.

def rebuilt(model):
    """Return the model that is rebuilt from the description of a model."""
    metadata, tensors = modelfile.describe(model)
    return modelfile.rebuild(metadata, modelfile.forms_of(tensors), tensors.__getitem__)


@pytest.mark.parametrize("build", [model_of, *TASKED.values()], ids=["text", *TASKED])
def test_a_described_model_can_be_rebuilt(build):
    model = build()
    again = rebuilt(model)
    assert (again.task, again.config, again.training) == (model.task, model.config, model.training)
    assert again.weights.keys() == model.weights.keys()


@pytest.mark.parametrize("changes, why", [
    ({"task": "lines"}, "its tensors"), ({"task": "fill"}, "task and its network"),
    ({"task": "pairs"}, "task and its tokenizers"),
    ({"tokenizer": tokenizer_of("byte")}, "its tokenizers have"), ({"tokenizer": tokenizer_of("nfd")},
    "its tokenizer is not one of"),
    ({"separate_source": tokenizer_of("char")}, "task and its tokenizers"),
    ({"labels": Labels(("x",), (1,))}, "has no labels")], ids=lambda part: part
    if isinstance(part, str) else "-".join(part))
def test_parts_of_different_models_are_refused(changes, why):
    with pytest.raises(ModelFileError, match=why):
        rebuilt(dataclasses.replace(model_of(), **changes))


def test_a_source_tokenizer_that_pairs_cannot_have_is_refused():
    with pytest.raises(ModelFileError, match="its tokenizer is not one of"):
        rebuilt(dataclasses.replace(pairs_model(), separate_source=tokenizer_of("word")))


# Format 1: running text only, before there were sources.

OLD_MODEL = {"vocabulary_size": 5, "cell": "rnn", "nonlinearity": "tanh", "num_layers": 1, "embedding_size": 3,
             "hidden_size": 4,
             "tied": False, "encoder": "shared"}


def old_file(weights, **changes):
    """Return a file of format 1."""
    metadata = {"format": 1, "model": OLD_MODEL, "tokenizer": {"kind": "char"}, "training": {"steps": 7}} | changes
    return assemble(metadata, {"tokenizer.characters": np.array([10, 97, 98, 99], "<u4"), **weights})


def test_a_file_of_format_1_is_a_text_model_with_the_same_weights(tmp_path):
    weights = random_weights(SMALL)
    model = load(put(tmp_path, old_file(weights)))
    assert (model.config, model.task, model.training) == (SMALL, "text", {"steps": 7})
    assert list(model.weights) == list(weights)
    assert all(model.weights[name].tobytes() == values.tobytes() for name, values in weights.items())
    assert model.separate_source is None and model.source_tokenizer is model.tokenizer
    assert model.adaptation == AdaptationSettings()
    assert model.tokenizer.encode("cab\n?").tolist() == [4, 2, 3, 1, 0]


def test_a_model_of_format_1_is_saved_in_the_present_format(tmp_path):
    model = load(put(tmp_path, old_file(random_weights(SMALL))))
    save(str(tmp_path / "new.charlm"), model)
    assert b'\\"format\\":4,' in (tmp_path / "new.charlm").read_bytes()
    again = load(str(tmp_path / "new.charlm"))
    assert again.config == SMALL and all((again.weights[name] == values).all() for name,
                                         values in model.weights.items())


@pytest.mark.parametrize("changes", [
    {"model": None}, {"model": []}, {"model": OLD_MODEL | {"hidden_size": 8}},
    {"model": OLD_MODEL | {"encoder": "bidirectional"}},
    {"model": {name: value for name, value in OLD_MODEL.items() if name != "cell"}}, {"model": OLD_MODEL | {"more": 1}},
    {"more": 1}, {"training": None}, {"tokenizer": None}], ids=str)
def test_a_malformed_file_of_format_1_is_refused(tmp_path, changes):
    refusal(tmp_path, old_file(random_weights(SMALL), **changes))


def test_exchanged_offsets_are_accepted_but_overlapping_ones_are_refused(tmp_path):
    first, second = "decoder.0.bias_ih_l0", "decoder.0.bias_hh_l0"

    def exchange(metadata, header):
        header[first], header[second] = header[second], header[first]

    def overlap(metadata, header):
        header[first] = header[second]

    exchanged = load(put(tmp_path, rewritten(exchange)))
    assert (exchanged.weights[first] == model_of().weights[second]).all()
    assert "overlap or leave gaps" in refusal(tmp_path, rewritten(overlap))


def test_tensors_that_do_not_fit_are_never_read(tmp_path, monkeypatch):
    taken = []
    monkeypatch.setattr(modelfile, "read_tensor", lambda *arguments: taken.append(arguments))
    refusal_of(tmp_path, without=["head.bias"])
    refusal_of(tmp_path, tensors={"head.bias": np.zeros(6, np.float32)})
    refusal_of(tmp_path, metadata={"model": SMALL.to_json() | {"hidden_size": 8}})
    assert taken == []


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
@pytest.mark.parametrize("content", [b"", b"\0" * 50, b"\xff" * 50, b"not a model"])
def test_an_invalid_subword_model_is_refused(tmp_path, kind, content):
    metadata, tensors = parts_of(model_of(kind))
    tensors["tokenizer.sentencepiece"] = np.frombuffer(content, np.uint8)
    refusal(tmp_path, pack(metadata, tensors))


def test_a_subword_model_of_another_size_is_refused(tmp_path):
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


def test_a_failed_save_keeps_the_old_model(tmp_path, monkeypatch):
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


def test_metadata_too_long_to_be_read_back_is_not_written(tmp_path):
    small = model_of()
    long = Model(small.config, small.tokenizer, small.weights, {"corpus": "x" * (1 << 20)})
    with pytest.raises(CharlmError):
        save(str(tmp_path / "file.charlm"), long)
