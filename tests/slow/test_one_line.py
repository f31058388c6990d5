"""A corpus that is one line of 300 MB gives the same weights from a file, a pipe and a FIFO, in little memory."""

import hashlib
import os
import threading

import pytest

from tests.helpers.runners import measure_memory

pytestmark = pytest.mark.slow

MEGABYTE = 1_000_000
PIECE = "".join(chr(32 + (number * number + number // 7) % 95) for number in range(MEGABYTE)).encode()
SIZE = 300                                              # megabytes
FLAGS = ["--steps", "3", "--hidden", "8", "--layers", "1", "--batch-size", "4", "--bptt", "16", "--threads", "1",
         "--seed", "1", "--quiet",
         "--validation", "held-out"]


def pour(file, megabytes):
    for _ in range(megabytes):
        file.write(PIECE)


def peak(folder, source, output, feed=None):
    """Return the peak memory in bytes of a training, which must print nothing; `feed` gets the stdin of the process."""
    (folder / "held-out").write_bytes(PIECE[:1000])
    with open(folder / "output", "wb") as file:
        memory = measure_memory("train", source, "-o", output, *FLAGS, feed=feed, cwd=folder, stdout=file, stderr=file,
                                env={"OMP_NUM_THREADS": "1"})
    assert (folder / "output").read_bytes() == b""
    return memory


def weights(path):
    """Return a digest of the weights of a model."""
    from charlm.modelfile import load
    digest = hashlib.sha256()
    for name, values in load(str(path)).weights.items():
        digest.update(name.encode() + values.tobytes())
    return digest.hexdigest()


def test_a_huge_line_takes_little_memory_from_file_pipe_and_fifo(tmp_path):
    with open(tmp_path / "short", "wb") as file:
        pour(file, 3)
    with open(tmp_path / "long", "wb") as file:
        pour(file, SIZE)
    small = peak(tmp_path, "short", "short.charlm")
    peaks = [peak(tmp_path, "long", "file.charlm")]
    os.unlink(tmp_path / "long")
    peaks.append(peak(tmp_path, "-", "pipe.charlm", lambda stdin: pour(stdin, SIZE)))

    def write():
        with open(tmp_path / "fifo", "wb") as file:
            pour(file, SIZE)

    os.mkfifo(tmp_path / "fifo")
    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    peaks.append(peak(tmp_path, "fifo", "fifo.charlm"))
    writer.join(10)
    assert all(large - small <= 100 * MEGABYTE for large in peaks), (small, peaks)
    assert len({weights(tmp_path / f"{name}.charlm") for name in ("file", "pipe", "fifo")}) == 1
    assert weights(tmp_path / "file.charlm") != weights(tmp_path / "short.charlm")
