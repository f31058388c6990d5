"""One line of hundreds of megabytes, from a file, a pipe and a FIFO: the same weights, in the memory that a short one takes."""

import hashlib
import os
import subprocess
import sys
import threading

import pytest

pytestmark = pytest.mark.slow

MEGABYTE = 1_000_000
UNIT = 1 if sys.platform == "darwin" else 1024          # bytes of one in ru_maxrss
PIECE = "".join(chr(32 + (number * number + number // 7) % 95) for number in range(MEGABYTE)).encode()
SIZE = 300                                              # megabytes
FLAGS = ["--steps", "3", "--hidden", "8", "--layers", "1", "--batch-size", "4", "--bptt", "16", "--threads", "1", "--seed", "1", "--quiet",
         "--validation", "held-out"]


def pour(file, megabytes):
    for _ in range(megabytes):
        file.write(PIECE)


def peak(folder, source, output, feed=None):
    """Peak memory in bytes of a training; `feed` is called with the stdin of the process once it runs."""
    (folder / "held-out").write_bytes(PIECE[:1000])
    with open(folder / "said", "wb") as said:
        process = subprocess.Popen([sys.executable, "-m", "charlm", "train", source, "-o", output, *FLAGS], cwd=folder,
                                   stdin=subprocess.PIPE, stdout=said, stderr=said, env=os.environ | {"OMP_NUM_THREADS": "1"})
        if feed:
            feed(process.stdin)
        process.stdin.close()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert (process.returncode, (folder / "said").read_bytes()) == (0, b"")
    return usage.ru_maxrss * UNIT


def weights(path):
    from charlm.modelfile import load
    digest = hashlib.sha256()
    for name, values in load(str(path)).weights.items():
        digest.update(name.encode() + values.tobytes())
    return digest.hexdigest()


def test_a_huge_line_gives_the_same_weights_from_file_pipe_and_fifo_in_the_memory_of_a_short_one(tmp_path):
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
    assert all(most - small <= 100 * MEGABYTE for most in peaks), (small, peaks)
    assert len({weights(tmp_path / f"{name}.charlm") for name in ("file", "pipe", "fifo")}) == 1
    assert weights(tmp_path / "file.charlm") != weights(tmp_path / "short.charlm")
