"""Feeds a loader with random files under checksums that match: `python fuzz.py headers|pieces SEED COUNT FOLDER`.

Prints how many were taken and how many refused; whatever else happens ends the process. Run by test_fuzz.py.
"""

import copy
import hashlib
import json
import random
import sys

import numpy as np

from charlm.config import ModelConfig
from charlm.container import pack
from charlm.errors import ModelFileError
from charlm.modelfile import load
from charlm.text.tokenizers.registry import train

TEXT = "the quick brown fox jumps over the lazy dog\nand the dog sleeps\n" * 20
HOSTILE = ["", "x", "\0", "../evil", "F32", "U8", "U32", "char", "bpe", "unigram", "byte", "nfd", "word", "pairs", "fill", "lines",
           "stream", "é" * 300, 0, 1, -1, 2, 3, 4, 5, 8, 255, 256, 1 << 31, 1 << 32, 1 << 53, 1 << 62, 1 << 63, 1 << 64, 10 ** 300, 0.5,
           float("nan"), float("inf"), True, False, None, [], {}, [[]], [{}], {"": 0}, [0, 0], [1 << 32, 1 << 32], [-1], [0, 1 << 62]]
DIGITS = b"0" * 64
ENCODED = "the dog\n▁ \0é \U0010ffff <unk>"


def parts(kind):
    """Metadata and tensors of a small model."""
    tokenizer = train(kind, ["abc\n"] if kind == "char" else [TEXT], vocabulary_size=286 if kind in ("bpe", "unigram") else None)
    config = ModelConfig(tokenizer.size, cell="rnn", num_layers=1, embedding_size=1, hidden_size=1)
    weights = {name: np.zeros(shape, np.float32) for name, shape in config.parameter_shapes().items()}
    metadata = {"task": "stream", "model": config.to_json(), "tokenizer": {"kind": kind}, "source_tokenizer": None,
                "labels": None, "training": {"steps": 1}}
    return metadata, {**weights, **tokenizer.tensors()}


def places(value):
    """Every place in nested tables and lists: the table or list, and the key."""
    for key, part in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield value, key
        yield from places(part)


def changed(table, chance):
    """One more change of a table: a value replaced, taken away, doubled, or moved from elsewhere."""
    table, key = chance.choice(list(places(table)))
    what = chance.randrange(5)
    if what == 0:
        del table[key]
    elif what == 1 and isinstance(table, dict):
        table[str(chance.choice(HOSTILE))] = table.pop(key)
    elif what == 2 and isinstance(table[key], int):
        table[key] += chance.choice((-8, -4, -1, 1, 4, 8))
    elif what == 3 and isinstance(table, dict):
        table[str(chance.choice(HOSTILE))] = copy.deepcopy(table[key])
    else:
        table[key] = copy.deepcopy(chance.choice(HOSTILE))


def scribbled(text, chance):
    """Bytes replaced, taken away, doubled or made up."""
    data = bytearray(text)
    for _ in range(chance.choice((1, 1, 1, 2, 4, 16))):
        at, count = chance.randrange(len(data) + 1), chance.choice((1, 1, 2, 4, 20, 200))
        made = bytes(chance.choice((chance.randrange(256), chance.randrange(256), 0, 255, 0x80, 0x7F)) for _ in range(count))
        data[at:at + chance.choice((0, count))] = chance.choice((made, b"", bytes(data[at:at + count]) * 2,
                                                                 bytes(data[chance.randrange(len(data) + 1):][:count])))
    return bytes(data)


def sealed(header, data):
    """A file with this header, and the checksum that belongs to it where it has one."""
    blob = len(header).to_bytes(8, "little") + header + data
    return blob.replace(DIGITS, hashlib.blake2b(blob, digest_size=32).hexdigest().encode(), 1)


def random_headers(chance):
    blob = pack(*parts("char"))
    length = int.from_bytes(blob[:8], "little")
    text, data = blob[8:8 + length], blob[8 + length:]
    while True:
        header = json.loads(text)
        metadata = json.loads(header.pop("__metadata__")["charlm"])
        del metadata["checksum"]
        if chance.random() < 0.8:
            for _ in range(chance.choice((1, 1, 2, 5))):
                changed(chance.choice((metadata, header)) or {"x": 0}, chance)
        inner = json.dumps({"checksum": DIGITS.decode(), **metadata}, separators=(",", ":"))
        whole = json.dumps({"__metadata__": {"charlm": inner}, **header}, separators=(",", ":")).encode()
        if chance.random() < 0.4:
            mark = whole.index(DIGITS) + 64                 # what stands before it is looked at before the checksum
            whole = whole[:mark] + scribbled(whole[mark:], chance)
        yield sealed(whole, data if chance.random() < 0.9 else scribbled(data, chance))


def random_pieces(chance):
    models = [parts(kind) for kind in ("bpe", "unigram")]
    while True:
        metadata, tensors = chance.choice(models)
        model = tensors["tokenizer.sentencepiece"].tobytes()
        model = scribbled(model, chance) if chance.random() < 0.9 else chance.randbytes(chance.randrange(200))
        yield pack(metadata, {**tensors, "tokenizer.sentencepiece": np.frombuffer(model, np.uint8)})


def main(what, seed, count, folder):
    files = {"headers": random_headers, "pieces": random_pieces}[what](random.Random(seed))
    path, ends = f"{folder}/file", {"taken": 0, "refused": 0}
    for _ in range(count):
        with open(path, "wb") as file:                      # the one that crashed is left there
            file.write(next(files))
        try:
            tokenizer = load(path).tokenizer
        except ModelFileError:
            ends["refused"] += 1
        else:
            ends["taken"] += 1
            tokenizer.decoder().push(tokenizer.encode(ENCODED).tolist())    # it can be used without a crash, too
    print(json.dumps(ends))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
