"""`charlm tokenize`: every line as the ids of its tokens."""

from __future__ import annotations

import click

from charlm.cli import options

EXAMPLES = """\b
Examples:
  charlm tokenize < text | charlm detokenize | cmp - text
  charlm tokenize --pieces -m bpe.charlm < text | head
  charlm tokenize < text | tr ' ' '\\n' | sort -n | uniq -c | sort -rn | head
"""


@click.command("tokenize", epilog=EXAMPLES, short_help="Write every line as the ids of its tokens.")
@click.argument("file", required=False, metavar="[FILE]")
@options.model
@click.option("--pieces", is_flag=True, help="Write what the tokens stand for, to be read by people.")
@options.errors
def command(file: str | None, model: str | None, pieces: bool, errors: str) -> None:
    """Write every line as the ids of its tokens: decimal numbers, a space between them.

    `charlm detokenize` is the exact inverse, line ends included, of all characters that the model knows.
    Of a model of pairs it is the tokenizer of what it writes.
    """
    options.limit_threads(None)
    from charlm.cli.exit_codes import message
    from charlm.cli.line_reader import LineReader
    from charlm.cli.models import load_model
    from charlm.cli.output import Output
    lines, output = LineReader(file, errors), Output()
    tokenizer = load_model(model).tokenizer
    show = _pieces if pieces else _ids
    lost = 0
    for batch in lines.batches():
        rows = [tokenizer.encode(line.text).tolist() if line.text else [] for line in batch]
        lost += sum(tokenizer.unknown_id in row for row in rows)
        output.write("".join(line.begin + show(tokenizer, row) + line.end for line, row in zip(batch, rows)))
    if lost:
        message(f"lines with characters unknown to the model: {lost}; they do not come back as they were")
    lines.close()


def _ids(tokenizer, row: list[int]) -> str:
    return " ".join(map(str, row))


def _pieces(tokenizer, row: list[int]) -> str:
    """Tokens as text: a space as U+2581, part of a character as its bytes, control characters visible."""
    from charlm.reports.visible import visible
    return " ".join(visible(tokenizer.display(index).replace(" ", "\u2581")) for index in row)
