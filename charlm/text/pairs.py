"""Lines of `source<TAB>target`: recognising them, reading them, refusing what is not one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from charlm.errors import CorpusError
from charlm.text.corpus import Text
from charlm.text.lines import split_lines
from charlm.text.tokenizer import NEWLINE

TAB = "\t"
_PACKED = (".gz", ".bz2", ".xz")


def flaw(line: str) -> str:
    """What keeps a line from being a pair; nothing when it is one.

    >>> flaw("one"), flaw("a\\tb\\tc"), flaw("\\tb"), flaw("a\\tb")
    ('no tab', '2 tabs', 'an empty source', '')
    """
    tabs = line.count(TAB)
    if tabs != 1:
        return f"{tabs} tabs" if tabs else "no tab"
    source, target = line.split(TAB)
    return "" if source and target else f"an empty {'target' if source else 'source'}"


def recognise(texts: Sequence[Text]) -> bool:
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
    return bool(written) and not any(map(flaw, written))


def read_pairs(text: Text, otherwise: str = "") -> Iterator[tuple[str, str]]:
    """Sources and targets. Raises CorpusError naming the first line that is no pair, with what else
    to do; blank lines do not count."""
    for number, line in enumerate(split_lines(text), 1):
        line = line.removesuffix("\r")
        if not line:
            continue
        if wrong := flaw(line):
            raise CorpusError(f"{text.name}: line {number} has {wrong}; a pair is "
                              f"source<TAB>target{otherwise}")
        source, target = line.split(TAB)
        yield source, target
