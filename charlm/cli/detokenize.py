"""`charlm detokenize`: the lines that ids stand for."""

from __future__ import annotations

import click

from charlm.cli import options

MAX_DIGITS = 20                        # of an id

EXAMPLES = """\b
Examples:
  charlm tokenize < text | charlm detokenize | cmp - text
  echo '10 3 7' | charlm detokenize -m verse.charlm
  charlm detokenize -m verse.charlm ids.txt > verse.txt
"""


@click.command("detokenize", epilog=EXAMPLES, short_help="Write the lines that ids stand for.")
@click.argument("file", required=False, metavar="[FILE]")
@options.model
def command(file: str | None, model: str | None) -> None:
    """Write the lines that ids stand for, as `charlm tokenize` wrote them.

    A line that is none of ids is told of and answered by an empty one; the exit code is then 4.
    """
    options.limit_threads(None)
    from charlm.cli.line_reader import LineReader
    from charlm.cli.models import load_model
    from charlm.cli.output import Output
    lines, output = LineReader(file, "strict"), Output()
    reader = _Reader(load_model(model).tokenizer)
    for batch in lines.batches():
        output.write("".join(line.begin + reader.read(line) + line.end for line in batch))
    lines.close(advice="they are no output of charlm tokenize")
    reader.close()


class _Reader:
    """Lines of ids to text; counts those that are none."""

    def __init__(self, tokenizer):
        self._tokenizer = tokenizer
        self._bad = 0

    def read(self, line) -> str:
        from charlm.text.tokenizers.base import decode
        ids = []
        for word in line.text.split():
            # Python converts no number of thousands of digits.
            if not (word.isascii() and word.isdecimal() and len(word) <= MAX_DIGITS
                    and int(word) < self._tokenizer.size):
                self._refuse(line, word)
                return ""
            ids.append(int(word))
        return decode(self._tokenizer, ids)

    def _refuse(self, line, word: str) -> None:
        from charlm.cli.exit_codes import message
        from charlm.cli.line_reader import MAX_REPORTED
        self._bad += 1
        if self._bad <= MAX_REPORTED:
            message(f"line {line.number}: {word[:40]!r} is no id from 0 to {self._tokenizer.size - 1}")

    def close(self) -> None:
        from charlm.errors import CorpusError
        if self._bad:
            raise CorpusError(f"lines that are no ids of this model: {self._bad}, each answered by an "
                              "empty one; name the model that they are of with -m")
