"""Load random files under valid checksums: `python fuzz.py headers|pieces SEED COUNT FOLDER`.

Prints the numbers of accepted and refused files; anything else ends the process. Run by test_fuzz.py.
"""

import copy
import dataclasses
import hashlib
import json
import random
import sys

import numpy as np

from charlm.config import AdaptationSettings, ModelConfig
from charlm.container import pack
from charlm.errors import ModelFileError
from charlm.modelfile import load
from charlm.text.tokenizers.registry import train

TEXT = "the quick brown fox jumps over the lazy dog\nand the dog sleeps\n" * 20
HOSTILE = ["", "x", "\0", "../evil", "F32", "U8", "U32", "char", "bpe", "unigram", "byte", "nfd", "word", "pairs",
           "fill", "lines", "stream", "é" * 300, 0, 1, -1, 2, 3, 4, 5, 8, 255, 256, 1 << 31, 1 << 32, 1 << 53, 1 << 62,
           1 << 63, 1 << 64, 10 ** 300, 0.5, float("nan"), float("inf"), True, False, None, [], {}, [[]], [{}],
           {"": 0}, [0, 0], [1 << 32, 1 << 32], [-1], [0, 1 << 62]]
DIGITS = b"0" * 64
ENCODED = "the dog\n▁ \0é \U0010ffff <unk>"


def parts(kind):
    """Return the metadata and tensors of a small model."""
    tokenizer = train(kind, ["abc\n"] if kind == "char" else [TEXT], vocabulary_size=286
                      if kind in ("bpe", "unigram") else None)
    config = ModelConfig(tokenizer.size, cell="rnn", num_layers=1, embedding_size=1, hidden_size=1)
    weights = {name: np.zeros(shape, np.float32) for name, shape in config.parameter_shapes().items()}
    metadata = {"task": "stream", "model": config.to_json(), "tokenizer": {"kind": kind}, "source_tokenizer": None,
                "labels": None, "adaptation": dataclasses.asdict(AdaptationSettings()), "training": {"steps": 1},
                "provenance": {}, "history": False}
    return metadata, {**weights, **tokenizer.tensors()}


def entries(value):
    """Yield every entry in nested tables and lists: the table or list, and the key."""
    for key, part in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield value, key
        yield from entries(part)


def change(table, rng):
    """Change an entry of a table in place: remove, rename, resize, copy or replace it."""
    table, key = rng.choice(list(entries(table)))
    what = rng.randrange(5)
    if what == 0:
        del table[key]
    elif what == 1 and isinstance(table, dict):
        table[str(rng.choice(HOSTILE))] = table.pop(key)
    elif what == 2 and isinstance(table[key], int):
        table[key] += rng.choice((-8, -4, -1, 1, 4, 8))
    elif what == 3 and isinstance(table, dict):
        table[str(rng.choice(HOSTILE))] = copy.deepcopy(table[key])
    else:
        table[key] = copy.deepcopy(rng.choice(HOSTILE))


def scribbled(text, rng):
    """Return a text with some bytes replaced, removed, doubled or inserted."""
    data = bytearray(text)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        at, count = rng.randrange(len(data) + 1), rng.choice((1, 1, 2, 4, 20, 200))
        made = bytes(rng.choice((rng.randrange(256), rng.randrange(256), 0, 255, 0x80, 0x7F)) for _ in range(count))
        data[at:at + rng.choice((0, count))] = rng.choice((made, b"", bytes(data[at:at + count]) * 2,
                                                                 bytes(data[rng.randrange(len(data) + 1):][:count])))
    return bytes(data)


def sealed(header, data):
    """Return a file with this header, and its checksum if the header still has a place for it."""
    blob = len(header).to_bytes(8, "little") + header + data
    return blob.replace(DIGITS, hashlib.blake2b(blob, digest_size=32).hexdigest().encode(), 1)


def random_headers(rng):
    blob = pack(*parts("char"))
    length = int.from_bytes(blob[:8], "little")
    text, data = blob[8:8 + length], blob[8 + length:]
    while True:
        header = json.loads(text)
        metadata = json.loads(header.pop("__metadata__")["charlm"])
        del metadata["checksum"]
        if rng.random() < 0.8:
            for _ in range(rng.choice((1, 1, 2, 5))):
                change(rng.choice((metadata, header)) or {"x": 0}, rng)
        inner = json.dumps({"checksum": DIGITS.decode(), **metadata}, separators=(",", ":"))
        whole = json.dumps({"__metadata__": {"charlm": inner}, **header}, separators=(",", ":")).encode()
        if rng.random() < 0.4:
            mark = whole.index(DIGITS) + 64                 # the text before the mark is checked before the checksum
            whole = whole[:mark] + scribbled(whole[mark:], rng)
        yield sealed(whole, data if rng.random() < 0.9 else scribbled(data, rng))


def random_pieces(rng):
    models = [parts(kind) for kind in ("bpe", "unigram")]
    while True:
        metadata, tensors = rng.choice(models)
        model = tensors["tokenizer.sentencepiece"].tobytes()
        model = scribbled(model, rng) if rng.random() < 0.9 else rng.randbytes(rng.randrange(200))
        yield pack(metadata, {**tensors, "tokenizer.sentencepiece": np.frombuffer(model, np.uint8)})


def main(what, seed, count, folder):
    files = {"headers": random_headers, "pieces": random_pieces}[what](random.Random(seed))
    path, ends = f"{folder}/file", {"accepted": 0, "refused": 0}
    for _ in range(count):
        with open(path, "wb") as file:                      # a file that crashes the loader stays there
            file.write(next(files))
        try:
            tokenizer = load(path).tokenizer
        except ModelFileError:
            ends["refused"] += 1
        else:
            ends["accepted"] += 1
            tokenizer.decoder().push(tokenizer.encode(ENCODED).tolist())    # using it must not crash either
    print(json.dumps(ends))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
