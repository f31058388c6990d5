"""Model files changed in one place, under a checksum that matches: what somebody could send on purpose.

The checksum is the one that the top of container.py describes, worked out here by itself.
"""

import hashlib
import json

from safetensors.numpy import load

from charlm.container import pack

DIGITS = b"0" * 64


def sealed(header, data=b""):
    """A file of this header and data, with the checksum that belongs to it; its 64 digits must be zeros."""
    blob = len(header).to_bytes(8, "little") + header + data
    assert blob.count(DIGITS) == 1
    return blob.replace(DIGITS, hashlib.blake2b(blob, digest_size=32).hexdigest().encode())


def opened(blob):
    """Metadata, the rest of the header, and the data of a file."""
    length = int.from_bytes(blob[:8], "little")
    header = json.loads(blob[8:8 + length])
    metadata = json.loads(header.pop("__metadata__")["charlm"])
    return metadata | {"checksum": DIGITS.decode()}, header, blob[8 + length:]


def reforged(blob, change=None, *, edit=None):
    """A file with its metadata and header changed in place by `change`, and the header's text by `edit`."""
    metadata, header, data = opened(blob)
    if change:
        change(metadata, header)
    text = json.dumps({"__metadata__": {"charlm": json.dumps(metadata, separators=(",", ":"))}, **header}, separators=(",", ":"))
    return sealed((edit(text) if edit else text).encode(), data)


def repacked(blob, *, metadata=(), tensors=(), without=()):
    """A file with some of its parts replaced by others of any size."""
    table, arrays = opened(blob)[0], load(blob) | dict(tensors)
    table = {name: value for name, value in table.items() if name not in ("checksum", "format")} | dict(metadata)
    return pack(table, {name: values for name, values in arrays.items() if name not in without})
