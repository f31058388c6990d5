"""`charlm tokenize`: each line as the ids of its tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from charlm.cli import options
from charlm.cli.exit_codes import message
from charlm.cli.line_reader import LineReader
from charlm.cli.output import Output

if TYPE_CHECKING:
    from charlm.text.tokenizers.base import Tokenizer

EXAMPLES = """\b
Examples:
  charlm tokenize < text | charlm detokenize | cmp - text
  charlm tokenize --pieces -m bpe.charlm < text | head
  charlm tokenize < text | tr ' ' '\\n' | sort -n | uniq -c | sort -rn | head
"""


@click.command("tokenize", epilog=EXAMPLES, short_help="Write the token ids of each line.")
@click.argument("file", required=False, metavar="[FILE]")
@options.model
@click.option("--pieces", is_flag=True, help="Write the tokens as readable text instead of ids.")
@options.errors
def command(file: str | None, model: str | None, pieces: bool, errors: str) -> None:
    """Write the token ids of each line as decimal numbers separated by spaces.

    `charlm detokenize` is the exact inverse, line ends included, unless the text has characters that
    the model does not know. For a pair model this is the tokenizer of the targets.
    """
    options.limit_threads(None)
    from charlm.cli.models import load_model
    lines, output = LineReader(file, errors), Output()
    tokenizer = load_model(model).tokenizer
    show = _pieces if pieces else _ids
    lossy = 0
    for batch in lines.batches():
        rows = [tokenizer.encode(line.text).tolist() if line.text else [] for line in batch]
        lossy += sum(tokenizer.unknown_id in row for row in rows)
        output.write("".join(line.begin + show(tokenizer, row) + line.end
                             for line, row in zip(batch, rows, strict=True)))
    if lossy:
        message(f"lines with characters unknown to the model: {lossy}; detokenize cannot restore them")
    lines.close()


def _ids(tokenizer: Tokenizer, ids: Sequence[int]) -> str:
    return " ".join(map(str, ids))


def _pieces(tokenizer: Tokenizer, ids: Sequence[int]) -> str:
    """Return tokens as text: a space as U+2581, part of a character as bytes, control characters as pictures."""
    from charlm.reports.visible import visible
    return " ".join(visible(tokenizer.display(index).replace(" ", "\u2581")) for index in ids)
