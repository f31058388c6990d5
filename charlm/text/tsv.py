"""Lines of two fields, `source<TAB>target` or `label<TAB>text`: recognising, reading and refusing them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from charlm.errors import CorpusError
from charlm.text.compressed import inner_name
from charlm.text.reading import Text, shell_argument, split_lines
from charlm.text.tokenizers.base import NEWLINE

TAB = "\t"
SOURCE_TARGET = ("source", "target")    # names of a line's fields
LABEL_TEXT = ("label", "text")
MAX_EXAMINED = 100                      # number of texts that are examined to recognize pairs


def problem(line: str, fields: tuple[str, str] = SOURCE_TARGET) -> str:
    """Return what keeps a line from being a pair of these fields, or an empty string if it is one.

    >>> problem("one"), problem("a\\tb\\tc"), problem("\\tb"), problem("a\\tb")
    ('no tab', '2 tabs', 'an empty source', '')
    """
    tabs = line.count(TAB)
    if tabs != 1:
        return f"{tabs} tabs" if tabs else "no tab"
    source, target = line.split(TAB)
    return "" if source and target else f"an empty {fields[1] if source else fields[0]}"


def looks_like_pairs(texts: Sequence[Text]) -> bool:
    """Return True if each of the first MAX_EXAMINED texts is named .tsv or begins with nothing but pairs."""
    if any(text.format is not None for text in texts):
        return False
    for text in texts[:MAX_EXAMINED]:   # each stays open, with its beginning in memory
        if not inner_name(text.source).lower().endswith(".tsv") and not _begins_with_pairs(text.head()):
            return False
    return True


def _begins_with_pairs(head: str) -> bool:
    lines = head.split(NEWLINE)
    complete = lines[:-1] if len(lines) > 1 else lines      # the head may end within a line
    written = [line.removesuffix("\r") for line in complete if line not in ("", "\r")]
    return bool(written) and not any(map(problem, written))


def read_pairs(text: Text, fields: tuple[str, str] = SOURCE_TARGET, otherwise: str = "") -> Iterator[tuple[str, str]]:
    """Yield both fields of every line; blank lines are skipped.

    Raises CorpusError for the first line that is not a pair. `otherwise` is advice that ends its message.
    """
    text.refuse_format("<TAB>".join(fields))
    for number, line in enumerate(split_lines(text), 1):
        line = line.removesuffix("\r")
        if not line:
            continue
        if reason := problem(line, fields):
            if line.count(TAB) == 2:
                otherwise += f"; to keep the first two columns: cut -f1,2{shell_argument(text.source)}"
            raise CorpusError(f"{text.name}: line {number} has {reason}; a line is {'<TAB>'.join(fields)}{otherwise}")
        first, second = line.split(TAB)
        yield first, second
