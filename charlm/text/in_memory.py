"""Texts in memory, read as if they were written to one file, each followed by a line break unless it ends with one.

A pair, a tuple of two texts, becomes a line with a tab between them.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from charlm.errors import CorpusError, UsageError
from charlm.text.reading import CHUNK, Text
from charlm.text.sources import STDIN
from charlm.text.tokenizers.base import NEWLINE
from charlm.text.tsv import TAB

Path = str | os.PathLike[str]
Texts = Path | Iterable[os.PathLike[str]] | Iterable[str] | Iterable[tuple[str, str]]


class TextInMemory(Text):
    """The texts or pairs of an iterable, which is read once. Iterating raises TypeError and CorpusError."""

    def __init__(self, texts: Iterable[Any], name: str):
        super().__init__(STDIN)         # there is no file that a message could name
        self.name = name
        self._chunks = _chunks(texts, name)


def _chunks(texts: Iterable[Any], name: str) -> Iterator[str]:
    """Yield the lines in chunks of about CHUNK characters."""
    held, size = [], 0
    for number, text in enumerate(texts):
        line = _line(text, f"{name}[{number}]")
        held.append(line)
        size += len(line)
        if size >= CHUNK:
            yield "".join(held)
            held, size = [], 0
    if held:
        yield "".join(held)


def _line(text: Any, name: str) -> str:
    """Return a text or a pair with a line break at its end.

    >>> _line("one", "texts[0]"), _line(("chat", "cat"), "texts[1]")
    ('one\\n', 'chat\\tcat\\n')
    """
    if isinstance(text, tuple) and len(text) == 2 and all(isinstance(field, str) for field in text):
        if any(TAB in field or NEWLINE in field for field in text):
            raise CorpusError(f"{name} has a tab or a line break in a field; a pair must fit on one line")
        text = TAB.join(text)
    if not isinstance(text, str):
        raise TypeError(f"{name} is of type {type(text).__name__}; give a str for a text, a tuple of two for a pair")
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise CorpusError(f"{name} has a lone surrogate, which is not a character") from None
    return text if text.endswith(NEWLINE) else text + NEWLINE


def paths_or_texts(given: Texts, name: str) -> tuple[list[str], Iterable[Any]]:
    """Return either the paths of files and no texts, or no paths and the texts.

    A str or a path object is a path; in an iterable, path objects are paths, and str and tuples are texts. Raises
    TypeError, CorpusError for a str that is not a file, and UsageError for a list of file names.
    """
    if isinstance(given, (str, os.PathLike)):
        return [_existing(given, name)], ()
    if not isinstance(given, Iterable) or isinstance(given, (bytes, bytearray)):
        raise TypeError(f"{name} is of type {type(given).__name__}; give a path, paths, or texts in a list")
    first, every = _peek(given)
    if isinstance(first, os.PathLike):
        return [_path(path, f"{name}[{number}]") for number, path in enumerate(every)], ()
    if isinstance(given, Sequence) and given and all(isinstance(one, str) and os.path.isfile(one) for one in given):
        raise UsageError(f"{name} contains file names, which would be learned as text; pass pathlib.Path objects to "
                         "read the files")
    return [], every


def _existing(path: Path, name: str) -> str:
    if isinstance(path, str) and path != STDIN and not _exists(path):
        shown = path if len(path) <= 60 else f"{path[:60]}…"
        raise CorpusError(f"{name}: there is no file {shown!r}; a str is the path of a file, and a text in memory is "
                          "an item of a list")
    return os.fspath(path)


def _exists(path: str) -> bool:
    try:
        return os.path.exists(path)
    except ValueError:                  # contains a null character
        return False


def _path(path: Any, name: str) -> str:
    if not isinstance(path, os.PathLike):
        raise TypeError(f"{name} is of type {type(path).__name__}, the first one is a path; give paths only, or texts "
                        "only")
    return str(os.fspath(path))


def _peek(texts: Iterable[Any]) -> tuple[Any, Iterable[Any]]:
    """Return the first item, or None, and all of them."""
    rest = iter(texts)
    first = list(itertools.islice(rest, 1))
    return (first[0] if first else None), itertools.chain(first, rest)
