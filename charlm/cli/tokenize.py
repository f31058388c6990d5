"""`charlm tokenize`: each line as the ids of its tokens."""

from __future__ import annotations

from charlm.cli import options
from charlm.cli.exit_codes import message
from charlm.cli.line import Line
from charlm.cli.line_reader import LineReader
from charlm.cli.output import Output
from charlm.text.record_format import RecordFormat

EXAMPLES = """\b
Examples:
  charlm tokenize < text | charlm detokenize | cmp - text
  charlm tokenize --pieces -m bpe.charlm < text | head
  charlm tokenize < text | tr ' ' '\\n' | sort -n | uniq -c | sort -rn | head
"""


@options.filter_command("tokenize", EXAMPLES, options.OTHERS_READ)
@options.option("--pieces", is_flag=True, help="Write the tokens as readable text instead of ids.")
@options.record_options
@options.errors
def command(files: tuple[str, ...], model: str | None, pieces: bool, errors: str,
            format: RecordFormat | None) -> None:
    """Write the token ids of each line as decimal numbers separated by spaces.

    `charlm detokenize` is the exact inverse, line ends included, unless the text has characters that
    the model does not know. For a pair model this is the tokenizer of the targets.
    """
    options.limit_threads(None)
    from charlm.cli.models import load_model
    from charlm.reports.visible import visible
    lines, output = LineReader(files, errors, format), Output()
    loaded = load_model(model)
    tokenizer, reads_lines = loaded.tokenizer, loaded.task_row.ends_with_eos
    lossy = 0

    def show(index: int) -> str:
        """Return an id, or its text with spaces as U+2581 and control characters as pictures."""
        return visible(tokenizer.display(index).replace(" ", "\u2581")) if pieces else str(index)

    def ids(batch: list[Line]) -> tuple[str, int]:
        """Return the answers to lines, and the number of lines with unknown characters."""
        texts = [line.flat if reads_lines else line.text for line in batch]
        rows = [tokenizer.encode(text).tolist() if text else [] for text in texts]
        return ("".join(line.begin + " ".join(map(show, row)) + line.end
                        for line, row in zip(batch, rows, strict=True)),
                sum(tokenizer.unknown_id in row for row in rows))

    for text, count in lines.map_batches(ids):
        lossy += count
        output.write(text)
    if lossy:
        message(f"lines with characters unknown to the model: {lossy}; detokenize cannot restore them")
    lines.close()
