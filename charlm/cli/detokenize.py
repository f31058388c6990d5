"""`charlm detokenize`: the text that token ids stand for, line by line."""

from __future__ import annotations

from collections.abc import Sequence

from charlm.cli import options
from charlm.cli.line import Line
from charlm.cli.line_reader import LineReader
from charlm.cli.output import Output

MAX_DIGITS = 20                         # digits of an id; Python refuses to convert thousands

EXAMPLES = """\b
Examples:
  charlm tokenize < text | charlm detokenize | cmp - text
  echo '10 3 7' | charlm detokenize -m verse.charlm
  charlm detokenize -m verse.charlm ids.txt > verse.txt
"""


@options.filter_command("detokenize", EXAMPLES, options.OTHERS_READ)
def command(files: tuple[str, ...], model: str | None) -> None:
    """Turn lines of token ids, as written by `charlm tokenize`, back into text.

    A line with anything but ids is reported by number and produces an empty line; the exit code is then 4.
    """
    options.limit_threads(None)
    from charlm.cli.models import load_model
    from charlm.text.tokenizers.base import decode
    lines, output = LineReader(files, "strict"), Output()
    tokenizer = load_model(model).tokenizer

    def read(valid: Sequence[Line]) -> list[str]:
        return [decode(tokenizer, list(map(int, line.text.split()))) for line in valid]

    lines.answer(output, read, lambda line, text: line.begin + text + line.end, lambda line: line.begin + line.end,
                 lambda text: _problem(text, tokenizer.size), advice="name the model that the ids are from with -m")


def _problem(text: str, size: int) -> str:
    """Return an error message if a word is not an id below `size`, else an empty string.

    >>> _problem("1 0", 2), _problem("1 2", 2)
    ('', "'2' is not an id from 0 to 1")
    """
    wrong = next((word for word in text.split() if not (
        word.isascii() and word.isdecimal() and len(word) <= MAX_DIGITS and int(word) < size)), None)
    return "" if wrong is None else f"{wrong[:40]!r} is not an id from 0 to {size - 1}"
