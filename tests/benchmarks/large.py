"""A corpus of gigabytes, from a pipe to tokens that are ready for training: rate, processor time, memory, correctness.

Run it by hand: `TMPDIR=/var/tmp python tests/benchmarks/large.py --gigabytes 10`. It writes no corpus, but needs twice
the given size in TMPDIR for the private copy of the text and its tokens. It never fails on time.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass

from charlm.text.reading import Text
from charlm.text.text_corpus import TextCorpus, build_text_corpus

MEGA, GIGA = 1_000_000, 1_000_000_000
PIECES = {"ascii": "The quick brown fox jumps over the lazy dog; 0123456789.\n",
          "german": "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich.\n",
          "chinese": "天地玄黃，宇宙洪荒。日月盈昃，辰宿列張。\n"}


@dataclass(frozen=True)
class Measured:
    """What reading a corpus took."""

    corpus: TextCorpus
    wall: float                         # seconds
    cpu: float                          # seconds
    peak: int                           # bytes of memory above those before


def numbered_text(piece: str, size: int) -> Iterator[bytes]:
    """Yield `size` bytes and a few more: the piece many times, and in every megabyte a line with its number."""
    block = piece * (MEGA // len(piece.encode()) + 1)
    written, number = 0, 0
    while written < size:
        data = f"{number}\n{block}".encode()
        yield data
        written, number = written + len(data), number + 1


def measure(piece: str, size: int, tokenizer: str = "char") -> Measured:
    """Read a text of `size` bytes through a named pipe."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "corpus.txt")
        os.mkfifo(path)

        def write() -> None:
            with open(path, "wb", buffering=0) as pipe:
                for data in numbered_text(piece, size):
                    pipe.write(data)

        writer = multiprocessing.get_context("fork").Process(target=write, daemon=True)
        writer.start()
        before, began = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
        corpus = build_text_corpus([Text(path)], tokenizer=tokenizer)
        writer.join()
        after = resource.getrusage(resource.RUSAGE_SELF)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return Measured(corpus, time.monotonic() - began, cpu, (after.ru_maxrss - before.ru_maxrss) << 10)


def require_right(corpus: TextCorpus, piece: str, size: int) -> None:
    """Raise AssertionError unless the tokens of a numbered text lie where its characters do."""
    at = number = written = 0
    tokenizer, total = corpus.tokenizer, corpus.train_characters + corpus.validation_characters
    block = len(piece) * (MEGA // len(piece.encode()) + 1)
    while written < size:
        label = f"{number}\n"
        low, part = (at, corpus.train) if at < corpus.train_characters else (at - corpus.train_characters,
                                                                             corpus.validation)
        if low + len(label) <= len(part):
            found = tokenizer.decoder().push(part.slice(low, low + len(label)).tolist())
            assert found == label, f"{found!r} instead of {label!r} at character {at:,}"
        at, number = at + len(label) + block, number + 1
        written += len(label) + len(piece.encode()) * (MEGA // len(piece.encode()) + 1)
    assert at == total, f"{total:,} characters instead of {at:,}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=0.3)
    parser.add_argument("--text", choices=PIECES, default="ascii")
    given = parser.parse_args()
    size, piece = round(given.gigabytes * GIGA), PIECES[given.text]
    found = measure(piece, size)
    require_right(found.corpus, piece, size)
    print(f"{given.text}, {size / GIGA:g} GB: {found.corpus.train_characters:,} + "
          f"{found.corpus.validation_characters:,} characters in {found.wall:.1f} s, {size / MEGA / found.wall:.0f} "
          f"MB/s; {size / MEGA / found.cpu:.0f} MB a second of processor time; {found.peak / MEGA:.0f} MB of memory")


if __name__ == "__main__":
    main()
