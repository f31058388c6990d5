"""`charlm score`: how surprising a text is, per line, per token or in total."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click

from charlm.cli import options
from charlm.cli.line_reader import Line, LineReader, error_record
from charlm.cli.output import Output, json_record

if TYPE_CHECKING:
    from charlm.contract import Tokenizer
    from charlm.inference.line_scoring import TextScore

EXAMPLES = """\b
Examples:
  charlm score suspicious.log | sort -rn | head
  charlm score --level token --jsonl < verse.txt
  charlm score --level total --carry held-out.txt
  tail -f server.log | charlm score | awk '$1 > 4'
"""
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": "\\0"})


@click.command("score", epilog=EXAMPLES, short_help="Measure how surprising each line is.")
@click.argument("file", required=False, metavar="[FILE]")
@options.model
@options.option("--level", type=click.Choice(["token", "line", "total"]), default="line", show_default=True,
              help="Write one record per token, per line, or for the whole input.")
@options.carry
@options.jsonl
@options.errors
@options.device
@options.threads
def command(file: str | None, model: str | None, level: str, carry: bool, jsonl: bool, errors: str,
            device: str, threads: int | None) -> None:
    """Measure how surprising each line is: bits per character, bits, characters, and the line.

    Reads FILE or stdin and answers each line as soon as it is read. The end of a line counts as a
    character. Bits per character refer to the characters of the text, so that models with different
    tokenizers can be compared. With --level token a record is bits, line number and token, where
    \\t, \\n, \\r, \\0 and \\\\ are escapes.

    A model of running text scores each line as the beginning of a text or, with --carry, all lines as
    one text, as `eval` does. A model of labelled lines scores label<TAB>text given the label, and a
    line without a tab by the mixture of all labels.
    """
    options.limit_threads(threads)
    from charlm.cli.models import load_model
    lines, output = LineReader(file, errors), Output()
    loaded = load_model(model, "score", device=device)
    scorer = loaded.scorer(carry=carry)
    writer = {"token": _TokenWriter, "line": _LineWriter, "total": _TotalWriter}[level](output, loaded.tokenizer, jsonl)
    for batch in lines.batches():
        writer.write(lines.map_valid(
            batch, lambda valid: scorer.score([line.text_for(scorer) for line in valid]), scorer.problem))
    writer.close()
    if level == "line":
        lines.close()
    else:
        lines.close("left out")


class _LineWriter:
    """Writes one record per line; an invalid line is answered by an empty line or an error record."""

    _invalid_row = "\n"

    def __init__(self, output: Output, tokenizer: Tokenizer, jsonl: bool):
        self._output, self._tokenizer, self._jsonl = output, tokenizer, jsonl

    def write(self, scored: Iterable[tuple[Line, TextScore | None]]) -> None:
        """Write the records of a batch of lines."""
        show = self._record if self._jsonl else self._row
        self._output.write("".join(
            show(line, score) if score is not None else error_record(line) if self._jsonl else self._invalid_row
            for line, score in scored))

    def _row(self, line: Line, score: TextScore) -> str:
        return f"{score.bits_per_character:.4f}\t{score.bits:.4f}\t{score.characters}\t{line.text}\n"

    def _record(self, line: Line, score: TextScore) -> str:
        return json_record(line=line.number, bits_per_character=round(score.bits_per_character, 6),
                           bits=round(score.bits, 6), characters=score.characters, text=line.text)

    def close(self) -> None:
        """Write what remains at the end of the input: nothing."""


class _TokenWriter(_LineWriter):
    """Writes one record per token, or per smallest span of text that whole tokens spell."""

    _invalid_row = ""

    def _row(self, line: Line, score: TextScore) -> str:
        return "".join(f"{bits:.4f}\t{line.number}\t{text.translate(_ESCAPES)}\n" for text, bits in self._spans(score))

    def _record(self, line: Line, score: TextScore) -> str:
        return "".join(json_record(line=line.number, text=text, bits=round(bits, 6))
                       for text, bits in self._spans(score))

    def _spans(self, score: TextScore) -> Iterator[tuple[str, float]]:
        from charlm.inference.line_scoring import bits_by_span
        return bits_by_span(score, self._tokenizer)


class _TotalWriter(_LineWriter):
    """Writes one record at the end of the input."""

    def __init__(self, output: Output, tokenizer: Tokenizer, jsonl: bool):
        super().__init__(output, tokenizer, jsonl)
        self._bits, self._characters, self._tokens, self._lines = 0.0, 0, 0, 0

    def write(self, scored: Iterable[tuple[Line, TextScore | None]]) -> None:
        """Add the scores of a batch of lines."""
        for _, score in scored:
            if score is not None:
                self._bits += score.bits
                self._characters += score.characters
                self._tokens += len(score.ids)
                self._lines += 1

    def close(self) -> None:
        """Write the total."""
        rate = self._bits / max(self._characters, 1)
        self._output.write(
            json_record(bits_per_character=rate, bits=self._bits, characters=self._characters,
                        tokens=self._tokens, lines=self._lines) if self._jsonl
            else f"{rate:.6f}\t{self._bits:.4f}\t{self._characters}\n")
