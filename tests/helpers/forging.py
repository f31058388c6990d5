"""Model files changed under a checksum that matches, as somebody could send them on purpose.

The checksum is computed here independently, from the description at the top of container.py.
"""

import hashlib
import json

from safetensors.numpy import load

from charlm.container import pack

DIGITS = b"0" * 64


def with_checksum(blob):
    """Return a file with its checksum, which must be 64 zeros so far."""
    assert blob.count(DIGITS) == 1
    return blob.replace(DIGITS, hashlib.blake2b(blob, digest_size=32).hexdigest().encode())


def seal(header, data=b""):
    """Return a file of this header and data, with its checksum."""
    return with_checksum(len(header).to_bytes(8, "little") + header + data)


def assemble(metadata, tensors):
    """Return a file of any format byte by byte, with its checksum; `metadata` begins with the format."""
    names, entries, data = {"float32": "F32", "uint32": "U32", "uint8": "U8"}, {}, b""
    for name, values in tensors.items():
        entries[name] = {"dtype": names[values.dtype.name], "shape": list(values.shape),
                         "data_offsets": [len(data), len(data) + values.nbytes]}
        data += values.tobytes()
    return seal(_header({"checksum": DIGITS.decode()} | metadata, entries).encode(), data)


def disassemble(blob):
    """Return the metadata, the rest of the header, and the data of a file."""
    length = int.from_bytes(blob[:8], "little")
    header = json.loads(blob[8:8 + length])
    metadata = json.loads(header.pop("__metadata__")["charlm"])
    return metadata | {"checksum": DIGITS.decode()}, header, blob[8 + length:]


def rewrite(blob, change=None, *, edit=None):
    """Return a file after `change(metadata, header)` in place, and with the header's text passed through `edit`."""
    metadata, header, data = disassemble(blob)
    if change:
        change(metadata, header)
    text = _header(metadata, header)
    return seal((edit(text) if edit else text).encode(), data)


def replace_parts(blob, *, metadata=(), tensors=(), without=()):
    """Return a file with some metadata and tensors replaced by others of any size, and some tensors left out."""
    table, arrays = disassemble(blob)[0], load(blob) | dict(tensors)
    table = {name: value for name, value in table.items() if name not in ("checksum", "format")} | dict(metadata)
    return pack(table, {name: values for name, values in arrays.items() if name not in without})


def _header(metadata, entries):
    text = json.dumps(metadata, separators=(",", ":"))
    return json.dumps({"__metadata__": {"charlm": text}, **entries}, separators=(",", ":"))
