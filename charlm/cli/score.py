"""`charlm score`: how surprising every line is, or every character, or all of a text."""

from __future__ import annotations

import json

import click

from charlm.cli import options

EXAMPLES = """\b
Examples:
  charlm score suspicious.log | sort -rn | head
  charlm score --level token --jsonl < verse.txt
  charlm score --level total --carry held-out.txt
  tail -f server.log | charlm score | awk '$1 > 4'
"""
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": "\\0"})


@click.command("score", epilog=EXAMPLES, short_help="Say how surprising every line is.")
@click.argument("file", required=False, metavar="[FILE]")
@options.model
@click.option("--level", type=click.Choice(["token", "line", "total"]), default="line", show_default=True,
              help="A record for each token, for each line, or one for all.")
@options.carry
@options.jsonl
@options.errors
@options.device
@options.threads
def command(file: str | None, model: str | None, level: str, carry: bool, jsonl: bool, errors: str,
            device: str, threads: int | None) -> None:
    """Say how surprising every line is: bits per character, bits, characters, and the line.

    Reads FILE or stdin and answers each line as soon as it is in. The end of a line counts as a
    character. Bits per character are per character of the text, so that models with different
    tokenizers compare. With --level token a record is bits, the number of the line, and the token, with
    \\t, \\n, \\r, \\0 and \\\\ for what a record cannot hold.

    A model of running text reads each line as if it stood at a beginning, or with --carry all lines as
    one text, as `eval` does. Where lines have labels, label<TAB>text is scored given its label, and a
    line without a tab as all labels together expect it.
    """
    options.limit_threads(threads)
    from charlm.cli.line_reader import LineReader
    from charlm.cli.models import load_model, scorer_of
    from charlm.cli.output import Output
    lines, output = LineReader(file, errors), Output()
    loaded = load_model(model, ("stream", "lines"))
    scorer = scorer_of(loaded, carry=carry, device=device)
    writer = {"token": _Tokens, "line": _Lines, "total": _Total}[level](output, loaded.tokenizer, jsonl)
    for batch in lines.batches():
        writer.write(lines.map_valid(
            batch, lambda good: scorer.score([line.scored(scorer) for line in good]), scorer.problem))
    writer.close()
    lines.close("each answered by an empty one" if level == "line" else "left out")


def _json(**record) -> str:
    return json.dumps(record, ensure_ascii=False) + "\n"


class _Lines:
    """A record a line; an empty one for a line that is not UTF-8."""

    def __init__(self, output, tokenizer, jsonl: bool):
        self._output, self._show = output, self._as_json if jsonl else self._as_row

    def write(self, scored) -> None:
        self._output.write("".join(self._show(line, score) for line, score in scored))

    def _as_row(self, line, score) -> str:
        if score is None:
            return "\n"
        return f"{score.bits_per_character:.4f}\t{score.bits:.4f}\t{score.characters}\t{line.text}\n"

    def _as_json(self, line, score) -> str:
        if score is None:
            return _json(line=line.number, error="not UTF-8")
        return _json(line=line.number, bits_per_character=round(score.bits_per_character, 6),
                     bits=round(score.bits, 6), characters=score.characters, text=line.text)

    def close(self) -> None:
        """Nothing is left to write."""


class _Tokens(_Lines):
    """A record for the smallest part of a text that tokens stand for: a character, or several."""

    def __init__(self, output, tokenizer, jsonl: bool):
        super().__init__(output, tokenizer, jsonl)
        self._tokenizer = tokenizer

    def _as_row(self, line, score) -> str:
        return "".join(f"{bits:.4f}\t{line.number}\t{text.translate(_ESCAPES)}\n"
                       for text, bits in self._parts(score))

    def _as_json(self, line, score) -> str:
        if score is None:
            return super()._as_json(line, score)
        return "".join(_json(line=line.number, text=text, bits=round(bits, 6))
                       for text, bits in self._parts(score))

    def _parts(self, score):
        from charlm.inference.line_scoring import bits_by_span
        return bits_by_span(score, self._tokenizer) if score else ()


class _Total:
    """One record at the end."""

    def __init__(self, output, tokenizer, jsonl: bool):
        self._output, self._jsonl = output, jsonl
        self._bits, self._characters, self._tokens, self._lines = 0.0, 0, 0, 0

    def write(self, scored) -> None:
        for _, score in scored:
            if score is not None:
                self._bits += score.bits
                self._characters += score.characters
                self._tokens += len(score.ids)
                self._lines += 1

    def close(self) -> None:
        rate = self._bits / max(self._characters, 1)
        if self._jsonl:
            self._output.write(_json(bits_per_character=rate, bits=self._bits, characters=self._characters,
                                      tokens=self._tokens, lines=self._lines))
        else:
            self._output.write(f"{rate:.6f}\t{self._bits:.4f}\t{self._characters}\n")
