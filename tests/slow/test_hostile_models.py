"""Malicious models under valid checksums, and damaged ones, through the command.

Each is refused with exit code 3 and one line, quickly and in little memory. Not here: the check that finds each fault
(test_container.py, test_modelfile.py, test_modelfile_lines.py), malicious checkpoints (test_hostile_checkpoints.py).
"""

import io
import itertools
import pickle
import random
import zipfile

import numpy as np
import pytest

from tests.helpers.forging import replace_parts, rewrite
from tests.helpers.runners import error_line, run_in_process

pytestmark = pytest.mark.slow

SECONDS, MEGABYTE = 2, 1_000_000
TINY = ["--hidden", "8", "--layers", "1", "--steps", "2", "--batch-size", "2", "--bptt", "8", "--threads", "1",
        "--quiet"]
TEXT = "she sells sea shells by the sea shore\nthe shells she sells are surely sea shells\n" * 20
PAIRS = "".join(f"{number % 7} apples\t{'odd' if number % 2 else 'even'}\n" for number in range(200))
LABELLED = "".join(f"{'odd' if number % 2 else 'even'}\t{number} pears\n" for number in range(200))
HUGE = 2 ** 62
FIRST = "decoder.0.bias_ih_l0"          # a tensor that every model has


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """The bytes of a valid model of each kind."""
    folder, blobs = tmp_path_factory.mktemp("good"), {}
    for kind, text, flags in (("char", TEXT, []), ("bpe", TEXT, ["--tokenizer", "bpe", "--vocab-size", "300"]),
                              ("pairs", PAIRS, ["--pairs"]),
                              ("labels", LABELLED, ["--labels"]), ("lines", TEXT, ["--lines"]),
                              ("fill", TEXT, ["--fill"])):
        (folder / "text").write_text(text)
        run_in_process("train", folder / "text", "-o", folder / kind, *TINY, *flags).check()
        blobs[kind] = (folder / kind).read_bytes()
    return blobs


def entry(values):
    """Return a change of the entry of the first tensor."""
    return lambda metadata, header: header[FIRST].update(values)


def network(values):
    """Return a change of the configuration of the network."""
    return lambda metadata, header: metadata["model"].update(values)


def stated(values):
    """Return a change of the metadata."""
    return lambda metadata, header: metadata.update(values)


def same_offsets(metadata, header):
    """Give two tensors the same data."""
    header[FIRST]["data_offsets"] = header["decoder.0.bias_hh_l0"]["data_offsets"]


def overlap(metadata, header):
    """Let the first tensor reach into the next one."""
    low, high = header[FIRST]["data_offsets"]
    header[FIRST].update(data_offsets=[low, high + 4], shape=[(high - low) // 4 + 1])


def remove_tensor(metadata, header):
    del header[FIRST]


def renamed(name):
    """Return a change of the name of the first tensor."""
    return lambda metadata, header: header.update({name: header.pop(FIRST)})


CHANGED = {
    "two tensors with the same data": same_offsets, "tensors that overlap": overlap, "a tensor missing": remove_tensor,
    "2^62 numbers": entry({"shape": [HUGE]}), "2^62 rows of nothing": entry({"shape": [HUGE, 0],
    "data_offsets": [0, 0]}),
    "a size that is 0 in 64 bits": entry({"shape": [2 ** 32, 2 ** 32], "data_offsets": [0, 0]}),
    "8 GB of numbers": entry({"shape": [2 * 10 ** 9], "data_offsets": [0, 8 * 10 ** 9]}),
    "a negative size": entry({"shape": [-32]}), "two negative sizes": entry({"shape": [-1, -32]}),
    "a size of 32.0": entry({"shape": [32.0]}), "a size that is true": entry({"shape": [True]}),
    "no shape": entry({"shape": None}),
    "40 dimensions": entry({"shape": [1] * 40}), "offsets backwards": entry({"data_offsets": [128, 0]}),
    "a negative offset": entry({"data_offsets": [-128, 0]}), "offsets of 2^63": entry({"data_offsets": [2 ** 63,
    2 ** 63 + 128]}),
    "weights of float64": entry({"dtype": "F64"}), "weights of int32": entry({"dtype": "I32"}),
    "weights of U32": entry({"dtype": "U32"}),
    "weights of objects": entry({"dtype": "O"}), "a dtype that is a list": entry({"dtype": ["F32"]}),
    "a name with ../": renamed("../../evil"), "an absolute name": renamed("/tmp/evil"),
    "a name with NUL": renamed(FIRST + "\0"),
    "a name with ESC": renamed("\x1b[2J\n"), "an empty name": renamed(""), "a name of 100 kB": renamed("x" * 100_000),
    "2^62 cells": network({"hidden_size": HUGE}), "10^18 layers": network({"num_layers": 10 ** 18}),
    "2^62 ids": network({"vocabulary_size": HUGE}), "-8 cells": network({"hidden_size": -8}),
    "8.0 cells": network({"hidden_size": 8.0}),
    "a million layers": network({"num_layers": 1_000_000}), "another cell": network({"cell": "gru"}),
    "an unknown cell": network({"cell": "__import__('os')"}), "a network that is a list": stated({"model": []}),
    "an unknown task": stated({"task": "pickle"}), "a task that is a list": stated({"task": ["stream"]}),
    "an unknown tokenizer": stated({"tokenizer": {"kind": "../evil"}}),
    "a tokenizer without its tensor": stated({"tokenizer": {"kind": "bpe"}}),
    "training that is a list": stated({"training": []}), "a newer format": stated({"format": 1000}),
    "format 2^63": stated({"format": 2 ** 63}),
    "format -1": stated({"format": -1}), "an unknown part": stated({"more": 1}),
    "labels of running text": stated({"labels": [["a", 1]]}),
    "a history denied": stated({"history": False}), "a history that is a list": stated({"history": []}),
    "provenance that is a list": stated({"provenance": []}), "unknown provenance": stated({"provenance": {"more": 1}}),
    "a command of 900 kB": stated({"provenance": {"command": "x" * 900_000}}),
    "10^5 texts": stated({"provenance": {"corpus": [""] * 100_000}}),
    "seconds that are infinite": stated({"provenance": {"seconds": float("inf")}})}


def in_header(more):
    """Return an edit of the header's text that appends to it."""
    return lambda text: text[:-1] + more + "}"


EDITED = {
    "a tensor twice": in_header(f',"{FIRST}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}'),
    "metadata twice": in_header(',"__metadata__":{}'),
    "lists in lists": in_header(',"a":' + "[" * 400_000 + "]" * 400_000),
    "tables in tables": in_header(',"a":' + '{"a":' * 150_000 + "1" + "}" * 150_000),
    "300,000 tables": in_header(',"a":[' + "{}," * 300_000 + "{}]"),
    "a number of 900,000 digits": in_header(',"a":' + "9" * 900_000),
    "14,000 empty tensors": in_header("".join(f',"{number}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}'
                                              for number in range(14_000))),
    "a header of 100 MB": lambda text: text + " " * 100 * MEGABYTE, "a header cut short": lambda text: text[:-1],
    "NUL behind the header": lambda text: text + "\0",
    "a bare word": in_header(",a:1"), "metadata that ends early": lambda text: text.replace('\\"', "", 1)}


def numbers(kind, name, values, dtype=np.uint32):
    """Return a replacement of a tensor by these values."""
    return kind, {"tensors": {name: np.array(values, dtype)}}


def text_of(kind, name, data):
    """Return a replacement of a tensor by these bytes."""
    return kind, {"tensors": {name: np.frombuffer(data, np.uint8)}}


SUBWORDS, CHARACTERS, WORDS = "tokenizer.sentencepiece", "tokenizer.characters", "tokenizer.words"
HASHES, STEPS, LOSS = "lines.hashes", "history.steps", "history.loss"
REPLACED = {
    "weights that are NaN": numbers("char", FIRST, [np.nan] * 32, np.float32),
    "one infinite weight": numbers("char", FIRST, [0] * 31 + [np.inf], np.float32),
    "more weights than cells": numbers("char", FIRST, [0] * 64, np.float32),
    "a tensor too many": numbers("char", "evil", [0], np.float32),
    "steps backwards": numbers("char", STEPS, [2, 1]), "a million steps": numbers("char", STEPS, range(1, 10 ** 6)),
    "a million losses": numbers("char", LOSS, [1] * 10 ** 6, np.float32), "steps of bytes": numbers("char", STEPS,
    [1, 2], np.uint8), "a loss below 0": numbers("char", LOSS, [2, -1], np.float32), "a loss that is NaN": numbers(
    "char", LOSS, [2, np.nan], np.float32), "a sample of 2^32 bytes": numbers("char", "history.samples.lengths",
    [2 ** 32 - 1] * 2), "samples that are not UTF-8": text_of("char", "history.samples.text", b"\xff" * 480),
    "no history": ("char", {"without": [STEPS]}),
    "no characters": numbers("char", CHARACTERS, []), "characters in disorder": numbers("char", CHARACTERS, [97, 10]),
    "characters beyond Unicode": numbers("char", CHARACTERS, [2 ** 32 - 1]),
    "surrogates": numbers("char", CHARACTERS, [0xD800]),
    "characters that are floats": numbers("char", CHARACTERS, [1.0], np.float32),
    "no pieces": text_of("bpe", SUBWORDS, b""), "pieces of NUL": text_of("bpe", SUBWORDS, bytes(1000)),
    "pieces that are text": text_of("bpe", SUBWORDS, b"model"),
    "pieces that are a pickle": text_of("bpe", SUBWORDS, pickle.dumps(["x"] * 50)),
    "pieces of a length of 2^63": text_of("bpe", SUBWORDS, b"\x0a" + b"\xff" * 9 + b"\x7f"),
    "words in disorder": text_of("pairs", WORDS, b"odd even"), "words twice": text_of("pairs", WORDS, b"odd odd"),
    "words that are not UTF-8": text_of("pairs", WORDS, b"\xff"),
    "hashes in disorder": numbers("lines", HASHES, [2, 1]), "hashes twice": numbers("lines", HASHES, [1, 1]),
    "hashes of bytes": numbers("lines", HASHES, [1], np.uint8),
    "hashes in a table": numbers("labels", HASHES, [[1, 2]]), "no hashes": ("lines", {"without": [HASHES]}),
    "no head": ("fill", {"without": ["head.weight"]}),
    "labels in disorder": ("labels", {"metadata": {"labels": [["odd", 1], ["even", 1]]}}),
    "a label too few": ("labels", {"metadata": {"labels": [["odd", 1]]}}),
    "labels twice": ("labels", {"metadata": {"labels": [["odd", 1], ["odd", 1]]}}),
    "a label never met": ("labels", {"metadata": {"labels": [["even", 0], ["odd", 1]]}}),
    "a label met 2^62 times": ("labels", {"metadata": {"labels": [["even", HUGE], ["odd", 1]]}}),
    "labels that are numbers": ("labels", {"metadata": {"labels": [[1, 1], [2, 1]]}}),
    "a label with a tab": ("labels", {"metadata": {"labels": [["even\t", 1], ["odd", 1]]}}),
    "labels that are a table": ("labels", {"metadata": {"labels": {"even": 1}}}),
    "no labels": ("labels", {"metadata": {"labels": None}}), "pairs without a source": ("pairs",
    {"metadata": {"source_tokenizer": None}}),
    "gaps as a stream": ("fill", {"metadata": {"task": "stream"}}), "lines as gaps": ("lines",
    {"metadata": {"task": "fill"}})}


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def other_files(good, folder):
    """Return files that are not containers, by name."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("../evil", "x" * 1000)
        archive.writestr("archive/data.pkl", pickle.dumps(Bomb(folder / "evil")))
    return {"nothing": b"", "one byte": b"\0", "zeros": bytes(5000), "a text": TEXT.encode(),
            "a pickle": pickle.dumps([Bomb(folder / "evil"), "x" * 1000]),
            "a zip": packed.getvalue(), "a zip behind a model": good["char"] + packed.getvalue(),
            "a model behind a zip": packed.getvalue() + good["char"],
            "two models": good["char"] * 2, "a header of 2^63": (1 << 63).to_bytes(8, "little") + good["char"][8:],
            "a header of 100 MB that is not there": (100 * MEGABYTE).to_bytes(8, "little") + good["char"][8:]}


def broken_subword_models(good):
    """Return models whose sentencepiece model is broken, or another one."""
    import sentencepiece
    from safetensors.numpy import load
    whole, other = load(good["bpe"])[SUBWORDS].tobytes(), io.BytesIO()
    sentencepiece.SentencePieceTrainer.Train(sentence_iterator=iter(TEXT.splitlines()), model_writer=other,
                                             vocab_size=30, model_type="bpe", minloglevel=3)
    cases = [whole[:len(whole) // 2], other.getvalue(), whole + b"\x0a", whole * 2, whole.replace(b"sea", b"she"),
             whole[::-1]]
    return [replace_parts(good["bpe"], tensors={SUBWORDS: np.frombuffer(data, np.uint8)}) for data in cases]


@pytest.fixture
def assert_refused(run_process, tmp_path):
    """Return a function that asserts that a command refuses these bytes as a model, quickly and in little memory."""
    (tmp_path / "text").write_text("sea\n")
    uses = itertools.cycle((["sample", "-n", "5"], ["score", tmp_path / "text"], ["eval", tmp_path / "text"],
                            ["tokenize", tmp_path / "text"], ["info"]))

    def check(blob):
        path = tmp_path / "m.charlm"
        path.write_bytes(blob)
        verb, *rest = next(uses)
        ended = run_process(verb, "-m", path, *rest)
        message = error_line(ended, 3)
        assert message.startswith(f"charlm: error: {path}: ") and message[:-1].isprintable()
        assert ended.seconds < SECONDS and ended.memory < 100 * MEGABYTE, ended
        assert sorted(file.name for file in tmp_path.iterdir()) == ["m.charlm", "text"]
    return check


def test_valid_models_are_accepted(run_process, tmp_path, good):
    for kind, blob in good.items():
        (tmp_path / kind).write_bytes(blob)
        assert run_process("info", "-m", tmp_path / kind).check().stderr == ""


@pytest.mark.parametrize("name", CHANGED)
def test_a_changed_header_is_refused(good, assert_refused, name):
    assert_refused(rewrite(good["char"], CHANGED[name]))


@pytest.mark.parametrize("name", EDITED)
def test_an_edited_header_is_refused(good, assert_refused, name):
    assert_refused(rewrite(good["char"], edit=EDITED[name]))


@pytest.mark.parametrize("name", REPLACED)
def test_other_contents_are_refused(good, assert_refused, name):
    kind, parts = REPLACED[name]
    assert_refused(replace_parts(good[kind], **parts))


def test_broken_subword_models_are_refused(good, assert_refused):
    for blob in broken_subword_models(good):
        assert_refused(blob)


def test_other_files_are_refused_and_never_run(good, assert_refused, tmp_path):
    for blob in other_files(good, tmp_path).values():
        assert_refused(blob)


def test_damaged_models_are_refused(good, assert_refused):
    rng, kinds = random.Random(5), itertools.cycle(good)
    for _ in range(45):
        blob = bytearray(good[next(kinds)])
        position = rng.randrange(len(blob))
        blob[position] ^= 1 << rng.randrange(8)
        assert_refused(bytes(blob))
    for _ in range(15):
        blob = good[next(kinds)]
        assert_refused(blob[:rng.randrange(len(blob))])


FALSE_VALUES = [-1, 0, 1e300, 10 ** 30, -10 ** 30, "x", None, [], {}, True, float("nan"), float("inf")]


@pytest.mark.parametrize("value", FALSE_VALUES, ids=str)
def test_false_training_metadata_does_no_harm(run_process, good, tmp_path, value):
    for kind, name, verb in (("lines", "longest_line", "sample"), ("pairs", "target_ratio", "eval"),
                             ("char", "perplexity", "info")):
        (tmp_path / "text").write_text("3 apples\todd\n4 apples\teven\n")
        (tmp_path / "m.charlm").write_bytes(replace_parts(good[kind], metadata={"training": {name: value}}))
        ended = run_process(verb, "-m", tmp_path / "m.charlm", *([tmp_path / "text"] if verb == "eval" else []))
        assert ended.code in (0, 3) and "error: internal" not in ended.stderr, ended
        assert ended.memory < 100 * MEGABYTE and ended.seconds < 10


@pytest.mark.parametrize("path", ["", "/", "/dev/null", "/dev/zero", "a\nb", "x" * 300])
def test_paths_that_do_not_name_a_model_are_refused(run_process, tmp_path, path):
    error_line(run_process("sample", "-m", path or tmp_path), 3)
