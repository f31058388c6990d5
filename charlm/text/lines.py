"""Lines of a text that comes in chunks. A line ends at a newline and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from charlm.text.tokenizer import NEWLINE


def without_end(line: str) -> str:
    """A line without its end: LF, CR LF, or a CR at the end of a text.

    >>> without_end("one\\r\\n"), without_end("two\\r\\r\\n"), without_end("three")
    ('one', 'two\\r', 'three')
    """
    return line.removesuffix(NEWLINE).removesuffix("\r")


def split_lines(chunks: Iterable[str]) -> Iterator[str]:
    """Lines without their newline; the last may lack one.

    >>> list(split_lines(["a", "\\nb\\n", "c"]))
    ['a', 'b', 'c']
    """
    held: list[str] = []
    for chunk in chunks:
        *whole, rest = chunk.split(NEWLINE)
        for line in whole:
            yield "".join([*held, line])
            held.clear()
        held.append(rest)
    if last := "".join(held):
        yield last
