"""The container: every file that is not exactly one is refused, even under a checksum that matches.

Not here: the tensors that a model must have (test_modelfile.py).
"""

import json
import pickle
import tracemalloc
import zipfile

import numpy as np
import pytest

from charlm.container import MAX_HEADER, Header, TensorEntry, pack, pieces, read_header, read_tensor
from charlm.errors import ModelFileError
from tests.helpers.forging import DIGITS, seal, with_checksum

TENSORS = {"b": np.array([[1.5, -2.0], [0.0, 3.0]], np.float32), "a": np.array([10, 97], np.uint32),
           "c": np.array([7], np.uint8)}


def built(entries="", data=b"", *, metadata='"format":1', outer="", tail=""):
    """Return a container of raw JSON under a valid checksum; `entries` and `outer` begin with a comma."""
    text = json.dumps('{"checksum":"' + DIGITS.decode() + '",' + metadata + "}")
    return seal(f'{{"__metadata__":{{"charlm":{text}{outer}}}{entries}}}{tail}'.encode(), data)


def entry(name, shape="[2]", offsets="[0,8]", dtype="F32"):
    return f',"{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}'


def read(folder, blob):
    path = folder / "file.charlm"
    path.write_bytes(blob)
    with open(path, "rb") as file:
        return read_header(file)


def refusal(folder, blob):
    """Return the message that refuses a file."""
    with pytest.raises(ModelFileError) as caught:
        read(folder, blob)
    return str(caught.value)


def test_a_packed_container_is_read_back(tmp_path):
    path = tmp_path / "file.charlm"
    path.write_bytes(pack({"colour": {"red": [1, 2.5, None]}}, TENSORS))
    with open(path, "rb") as file:
        header = read_header(file)
        assert header.metadata["colour"] == {"red": [1, 2.5, None]}
        assert header.metadata["format"] == 4
        assert set(header.entries) == set(TENSORS)
        for name, values in TENSORS.items():
            tensor = read_tensor(file, header, name)
            assert tensor.dtype == values.dtype and tensor.shape == values.shape
            assert (tensor == values).all()
            tensor[:] = 0                                   # the tensor does not share memory with the file


def test_equal_inputs_give_equal_bytes():
    copies = {name: values.copy() for name, values in reversed(TENSORS.items())}
    assert pack({"x": {"y": 1}}, TENSORS) == pack({"x": {"y": 1}}, copies)


def test_different_inputs_give_different_bytes():
    other = TENSORS | {"a": np.array([10, 98], np.uint32)}
    assert len({pack({"x": 1}, TENSORS), pack({"x": 2}, TENSORS), pack({"x": 1}, other)}) == 3


def test_safetensors_reads_a_container(tmp_path):
    from safetensors import safe_open
    path = tmp_path / "file.safetensors"
    path.write_bytes(pack({"x": "é\n"}, TENSORS))
    with safe_open(str(path), framework="numpy") as file:
        assert set(file.keys()) == set(TENSORS)
        assert all((file.get_tensor(name) == values).all() for name, values in TENSORS.items())
        metadata = json.loads(file.metadata()["charlm"])
    assert (metadata["x"], metadata["format"], len(metadata["checksum"])) == ("é\n", 4, 64)


def test_the_checksum_is_blake2b_of_the_file_with_zeros_as_checksum():
    blob = pack({"x": 1}, TENSORS)
    start = blob.index(b'{\\"checksum\\":\\"') + len(b'{\\"checksum\\":\\"')
    zeroed = blob[:start] + DIGITS + blob[start + 64:]
    assert with_checksum(zeroed) == blob


def test_a_container_built_by_hand_is_accepted(tmp_path):
    blob = built(entry("a") + entry("b", "[3]", "[8,11]", "U8"), bytes(11), metadata='"format":1,"x":[true]')
    header = read(tmp_path, blob)
    assert isinstance(header, Header)
    assert header.metadata["x"] == [True]
    assert header.entries == {"a": TensorEntry("F32", (2,), 0, 8), "b": TensorEntry("U8", (3,), 8, 11)}


@pytest.mark.parametrize("blob", [b"", b"\0", b"\0" * 8, b"x" * 100, b"\xff" * 5000, b"{}" * 100, bytes(5000)],
                         ids=len)
def test_other_files_are_refused(tmp_path, blob):
    assert "not a charlm model" in refusal(tmp_path, blob)


class Bomb:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_a_pickle_is_refused_and_not_run(tmp_path):
    trace = tmp_path / "it ran"
    blob = pickle.dumps([Bomb(str(trace)), "padding" * 100])
    refusal(tmp_path, blob)
    assert not trace.exists()
    refusal(tmp_path, built(data=blob))                     # under a checksum, as data without a tensor
    assert not trace.exists()
    pickle.loads(blob)
    assert trace.exists()                                   # the pickle does run when it is loaded


def test_a_zip_archive_is_refused_and_not_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "archive", "w") as archive:
        archive.writestr("../evil", "x" * 1000)
        archive.writestr("model/data.pkl", pickle.dumps([1, 2, 3]))
    refusal(tmp_path, (tmp_path / "archive").read_bytes())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archive", "file.charlm"]


def test_a_file_without_a_checksum_is_refused(tmp_path):
    from safetensors.numpy import save
    for metadata in (None, {"charlm": '{"format":1}'}, {"format": "pt"},
                     {"other": '{"checksum":"' + DIGITS.decode() + '"}'}):
        tensors = {name: np.zeros(50, np.float32) for name in "abcd"}
        assert "no charlm metadata and checksum" in refusal(tmp_path, save(tensors, metadata=metadata))


@pytest.mark.parametrize("digits", [b"0" * 64, b"f" * 64, b" " * 64, b"\\" * 64])
def test_a_wrong_checksum_is_refused(tmp_path, digits):
    blob = pack({"x": 1}, TENSORS)
    start = blob.index(b'checksum\\":\\"') + len(b'checksum\\":\\"')
    assert "damaged" in refusal(tmp_path, blob[:start] + digits + blob[start + 64:])


def test_a_checksum_in_capitals_is_refused(tmp_path):
    blob = pack({"x": 1}, TENSORS)
    start = blob.index(b'checksum\\":\\"') + len(b'checksum\\":\\"')
    capitals = blob[start:start + 64].upper()
    assert capitals != blob[start:start + 64]
    refusal(tmp_path, blob[:start] + capitals + blob[start + 64:])


def test_a_checksum_that_is_not_the_first_entry_is_refused(tmp_path):
    text = json.dumps('{"format":1,"checksum":"' + DIGITS.decode() + '"}')
    blob = seal(f'{{"__metadata__":{{"charlm":{text}}}}}'.encode())
    assert "checksum" in refusal(tmp_path, blob)


@pytest.mark.parametrize("length", [0, 1, 100, 1 << 20, (1 << 20) + 1, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1])
def test_an_impossible_header_length_is_refused(tmp_path, length):
    blob = pack({"x": 1}, TENSORS)
    assert "impossible length" in refusal(tmp_path, length.to_bytes(8, "little") + blob[8:])


def test_a_header_may_have_at_most_a_mebibyte(tmp_path):
    spare = MAX_HEADER - len(built()) + 8
    assert read(tmp_path, built(tail=" " * spare)).data_begin == 8 + MAX_HEADER
    assert "impossible length" in refusal(tmp_path, built(tail=" " * (spare + 1)))


@pytest.mark.parametrize("extra", [b"\0", b" ", b"x" * 1000])
def test_data_after_the_tensors_is_refused(tmp_path, extra):
    assert "size" in refusal(tmp_path, built(entry("a"), bytes(8) + extra))


def test_data_cut_short_is_refused(tmp_path):
    assert "size" in refusal(tmp_path, built(entry("a"), bytes(7)))


@pytest.mark.parametrize("entries, size", [
    (entry("a") + entry("b", offsets="[0,8]"), 8),                          # the same bytes twice
    (entry("a") + entry("b", offsets="[4,12]"), 12),                        # half of them
    (entry("a") + entry("b", offsets="[0,8]") + entry("c", "[1]", "[8,12]"), 12),
    (entry("a", offsets="[4,12]"), 12),                                     # a gap before
    (entry("a") + entry("b", offsets="[12,20]"), 20),                       # a gap between
    (entry("a", "[4]", "[0,16]") + entry("b", "[0]", "[8,8]"), 16),         # nothing, within another
], ids=["same", "overlap", "same-then-more", "gap-before", "gap-between", "empty-inside"])
def test_overlaps_and_gaps_are_refused(tmp_path, entries, size):
    assert "overlap or leave gaps" in refusal(tmp_path, built(entries, bytes(size)))


@pytest.mark.parametrize("entries", [
    entry("a", shape="[4611686018427387904]", offsets="[0,8]"),             # 2^62
    entry("a", shape="[4611686018427387904]", offsets="[0,18446744073709551616]"),
    entry("a", shape="[4611686018427387904,0]", offsets="[0,0]"),           # 2^62 rows of nothing
    entry("a", shape="[4294967296,4294967296]", offsets="[0,0]"),           # 2^64, which is 0 in 64 bits
    entry("a", shape="[2147483648,2147483649]", offsets="[0,8]"),           # 2^62 + 2^31, times 4: 2^33 in 64 bits
    entry("a", shape="[-2]", offsets="[0,8]"), entry("a", shape="[-1,-2]", offsets="[0,8]"),
    entry("a", shape="[2.0]"), entry("a", shape='["2"]'), entry("a", shape="[true,2]"), entry("a", shape="[[2]]"),
    entry("a", shape="2"), entry("a", shape="null"), entry("a", shape='{"0":2}'), entry("a", shape="[NaN]"),
    entry("a", shape="[1e999]"), entry("a", shape="[" + "1," * 40 + "2]"), entry("a", shape="[3]"),
    entry("a", shape="[]"),
    entry("a", offsets="[8,0]"), entry("a", offsets="[0]"), entry("a", offsets="[0,8,8]"), entry("a", offsets="[-8,0]"),
    entry("a", offsets="[0.0,8.0]"), entry("a", offsets="[false,8]"), entry("a", offsets="8"),
    entry("a", offsets="null"),
    entry("a", offsets='"08"'), entry("a", offsets="[9223372036854775808,9223372036854775816]"),
    entry("a", dtype="F64"), entry("a", dtype="F16"), entry("a", dtype="BF16"), entry("a", dtype="I64"),
    entry("a", dtype="f32"),
    entry("a", dtype=""), entry("a", dtype="object"),
    ',"a":{"dtype":["F32"],"shape":[2],"data_offsets":[0,8]}', ',"a":{"dtype":null,"shape":[2],"data_offsets":[0,8]}',
    ',"a":{"shape":[2],"data_offsets":[0,8]}', ',"a":{"dtype":"F32","data_offsets":[0,8]}',
    ',"a":{"dtype":"F32","shape":[2]}',
    ',"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"more":1}', ',"a":{}', ',"a":[]', ',"a":null', ',"a":8',
    ',"a":"F32"'])
def test_a_malformed_tensor_entry_is_refused(tmp_path, entries):
    assert "'a' is described wrongly" in refusal(tmp_path, built(entries, bytes(8)))


@pytest.mark.parametrize("blob", [
    built(entry("a") + entry("a"), bytes(8)),
    built(',"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}', bytes(8)),
    built(',"__metadata__":{}'), built(outer=',"charlm":"{}"'), built(metadata='"format":1,"format":1'),
    built(metadata='"checksum":"","format":1'), built(metadata='"format":1,"x":{"y":1,"y":1}')],
    ids=["tensor", "field", "metadata", "charlm", "format", "checksum", "nested"])
def test_a_repeated_key_is_refused(tmp_path, blob):
    assert "not JSON" in refusal(tmp_path, blob)


@pytest.mark.parametrize("blob", [
    built(',"a":' + "[" * 200_000 + "]" * 200_000), built(',"a":' + '{"a":' * 100_000 + "1" + "}" * 100_000),
    built(metadata='"format":1,"x":' + "[" * 200_000 + "]" * 200_000)], ids=["lists", "tables", "metadata"])
def test_deeply_nested_json_is_refused(tmp_path, blob):
    assert "not JSON" in refusal(tmp_path, blob)


@pytest.mark.parametrize("blob", [
    built(tail="}"), built(","), built(',"a"'), built(tail="\0"), built(',"a":' + "9" * 5000),
    built(metadata='"format"'),
    built(metadata='"format":1}}'), built(",a:1")],
    ids=["brace", "comma", "colon", "nul", "digits", "metadata", "metadata-tail", "bare"])
def test_broken_json_is_refused(tmp_path, blob):
    assert "not JSON" in refusal(tmp_path, blob)


def test_a_header_that_is_not_utf8_is_refused(tmp_path):
    text = json.dumps('{"checksum":"' + DIGITS.decode() + '","format":1}').encode()
    assert "not JSON" in refusal(tmp_path, seal(b'{"__metadata__":{"charlm":' + text + b'},"\xff":1}'))


@pytest.mark.parametrize("outer", [',"more":"1"', ',"format":"pt"'])
def test_unknown_metadata_is_refused(tmp_path, outer):
    assert "unknown entries" in refusal(tmp_path, built(outer=outer))


@pytest.mark.parametrize("version", [1, 2, 3])
def test_this_format_and_older_ones_are_read(tmp_path, version):
    assert read(tmp_path, built(metadata=f'"format":{version}')).metadata["format"] == version


@pytest.mark.parametrize("version", [5, 6, 999, (1 << 53) - 1])
def test_a_newer_format_is_refused_naming_both_versions(tmp_path, version):
    message = refusal(tmp_path, built(metadata=f'"format":{version}'))
    assert f"format {version} " in message and "format 4," in message and "upgrade" in message


@pytest.mark.parametrize("version", ["0", "-1", "1.0", "true", "null", '"1"', "[1]", "NaN", "1e999", str(1 << 53)])
def test_an_invalid_format_version_is_refused(tmp_path, version):
    assert "format" in refusal(tmp_path, built(metadata=f'"format":{version}'))


def test_a_missing_format_version_is_refused(tmp_path):
    assert "format" in refusal(tmp_path, built(metadata='"x":1'))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_refused(tmp_path, value):
    path = tmp_path / "file.charlm"
    path.write_bytes(pack({}, {"a": np.array([1, 2, value, 4], np.float32), "b": np.ones(3, np.float32)}))
    with open(path, "rb") as file:
        header = read_header(file)
        assert read_tensor(file, header, "b").tolist() == [1, 1, 1]
        with pytest.raises(ModelFileError, match="'a' .*not finite"):
            read_tensor(file, header, "a")


@pytest.mark.parametrize("blob", [
    built(entry("a", shape="[4611686018427387904]", offsets="[0,8]"), bytes(8)),
    built(entry("a", shape="[2000000000]", offsets="[0,8000000000]"), bytes(8)),
    built(',"a":' + "[" * 400_000 + "]" * 400_000),
    built(',"a":[' + "{}," * 300_000 + "{}]"),
    built("".join(entry(str(number), "[0]", "[0,0]") for number in range(14_000)), b"more"),
    (1 << 40).to_bytes(8, "little") + built()[8:]], ids=["shape", "offsets", "deep", "wide", "many", "length"])
def test_a_hostile_header_takes_little_memory(tmp_path, blob):
    path = tmp_path / "file.charlm"
    path.write_bytes(blob)
    with open(path, "rb") as file:
        tracemalloc.start()
        try:
            with pytest.raises(ModelFileError):
                read_header(file)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 100 << 20


class Shrunk:
    """A file that was longer when its size was read."""

    def __init__(self, file, left):
        self._file, self._left = file, left

    def fileno(self):
        return self._file.fileno()

    def seek(self, position):
        self._file.seek(position)

    def read(self, size):
        return self._file.read(min(size, max(self._left - self._file.tell(), 0)))


@pytest.mark.parametrize("left", [0, 4, 50, 200])
def test_a_file_that_shrinks_while_it_is_read_is_refused(tmp_path, left):
    (tmp_path / "file.charlm").write_bytes(pack({}, TENSORS))
    with open(tmp_path / "file.charlm", "rb") as file:
        with pytest.raises(ModelFileError, match="ends too early"):
            read_header(Shrunk(file, left))
        file.seek(0)
        header = read_header(file)
        with pytest.raises(ModelFileError, match="ends too early"):
            read_tensor(Shrunk(file, header.data_begin + 3), header, "a")


def test_a_container_has_the_bytes_that_safetensors_would_write():
    from safetensors.numpy import save
    tensors = TENSORS | {"é\n": np.array(3, np.float32), "none": np.ones((2, 0), np.float32),
                         "large": np.ones((600, 700), np.float32), "B.1": np.zeros(2, np.uint32)}
    blob = pack({"x": "é\n\"\\\x7f\u2028"}, tensors)
    text = json.loads(blob[8:8 + int.from_bytes(blob[:8], "little")])["__metadata__"]
    assert blob == save(tensors, metadata=text)


def test_large_tensors_are_written_without_a_copy():
    large = np.ones((600, 700), np.float32)
    assert any(np.shares_memory(np.frombuffer(piece, np.uint8), large) for piece in pieces({}, {"a": large}))
