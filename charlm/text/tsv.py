"""Lines of two fields, as `source<TAB>target` and `label<TAB>text`: recognising and reading them,
refusing what is not one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from charlm.errors import CorpusError
from charlm.text.reading import Text, split_lines
from charlm.text.tokenizers.base import NEWLINE

TAB = "\t"
SOURCE_TARGET = ("source", "target")    # what the fields of a line are called
LABEL_TEXT = ("label", "text")
_PACKED = (".gz", ".bz2", ".xz")


def problem(line: str, fields: tuple[str, str] = SOURCE_TARGET) -> str:
    """What keeps a line from being a pair of these fields; nothing when it is one.

    >>> problem("one"), problem("a\\tb\\tc"), problem("\\tb"), problem("a\\tb")
    ('no tab', '2 tabs', 'an empty source', '')
    """
    tabs = line.count(TAB)
    if tabs != 1:
        return f"{tabs} tabs" if tabs else "no tab"
    source, target = line.split(TAB)
    return "" if source and target else f"an empty {fields[1] if source else fields[0]}"


def looks_like_pairs(texts: Sequence[Text]) -> bool:
    """Whether these are pairs: by the ending .tsv, or because every line at the start is one."""
    for text in texts:
        stem, ending = os.path.splitext(text.source.lower())
        if ending in _PACKED:
            ending = os.path.splitext(stem)[1]
        if ending != ".tsv" and not _begins_with_pairs(text.head()):
            return False
    return True


def _begins_with_pairs(head: str) -> bool:
    lines = head.split(NEWLINE)
    whole = lines[:-1] if len(lines) > 1 else lines     # the chunk may end in the middle of a line
    written = [line.removesuffix("\r") for line in whole if line not in ("", "\r")]
    return bool(written) and not any(map(problem, written))


def read_pairs(text: Text, fields: tuple[str, str] = SOURCE_TARGET,
               otherwise: str = "") -> Iterator[tuple[str, str]]:
    """Both fields of every line. Raises CorpusError naming the first line that is no pair, with what else
    to do; blank lines do not count."""
    for number, line in enumerate(split_lines(text), 1):
        line = line.removesuffix("\r")
        if not line:
            continue
        if wrong := problem(line, fields):
            raise CorpusError(f"{text.name}: line {number} has {wrong}; a line is "
                              f"{fields[0]}<TAB>{fields[1]}{otherwise}")
        first, second = line.split(TAB)
        yield first, second
