"""`charlm score`: how surprising a text is, per line, per token or in total."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from charlm.cli import options
from charlm.cli.line_input import Line
from charlm.cli.line_reader import LineReader, empty_line, error_record
from charlm.cli.output import ESCAPES, Output, json_record
from charlm.cli.token_records import token_records, word_records

if TYPE_CHECKING:
    from charlm.contract import Tokenizer
    from charlm.inference.line_scoring import TextScore

EXAMPLES = """\b
Examples:
  charlm score suspicious.log | sort -rn | head
  charlm score --level token --jsonl < verse.txt
  charlm score --level total --carry held-out.txt
  charlm score --level word essay.txt | sort -t"$(printf '\\t')" -k5 -rn | head
  charlm score --adapt < server.log | sort -rn | head
  tail -f server.log | charlm score --jsonl | jq --unbuffered -c 'select(.bits_per_character > 4)'
"""
Totals = tuple[float, int, int, int]       # bits, characters, tokens, lines


@options.filter_command("score", EXAMPLES)
@options.option("--level", type=click.Choice(["token", "word", "line", "total"]), default="line", show_default=True,
              help="Write one record per token, per word, per line, or for the whole input.")
@options.option("--more", is_flag=True, help="With --level token, also write entropy, rank and probability.")
@options.carry
@options.adapt("Learn from each line after it has been scored, so that the new becomes normal; uses one core. "
               "full: all weights learn, with torch.", full=True)
@options.jsonl
@options.errors
@options.device
@options.cores
def command(files: tuple[str, ...], model: str | None, level: str, more: bool, carry: bool, adapt: str, jsonl: bool,
            errors: str, device: str, threads: int | None) -> None:
    """Measure how surprising each line is: bits per character, bits, characters, and the line.

    Reads FILE or stdin and answers each line as soon as it is read. The end of a line counts as a
    character. Bits per character refer to the characters of the text, so that models with different
    tokenizers can be compared. With --level token a record is bits, line number and token, where
    \\t, \\n, \\r, \\0 and \\\\ are escapes; --more adds the entropy that was expected there in bits, the
    rank of the token (1: the likeliest) and its probability. With --level word a record is line, word,
    start and end in the line, bits, entropy, and the ranks of its tokens, where a word is what lies
    between white space.

    A model of running text scores each line as the beginning of a text or, with --carry, all lines as
    one text, as `eval` does. A model of labelled lines scores label<TAB>text given the label, and a
    line without a tab by the mixture of all labels; with --adapt every line needs its label.
    """
    if more and level != "token":
        raise click.UsageError("--more is for --level token")
    details = more or level == "word"
    if adapt and details:
        raise click.UsageError("--adapt is for --level token, line or total, without --more")
    workers = options.set_up_cores(threads, device, carry=carry or bool(adapt))
    from charlm.cli.models import load_model
    lines, output = LineReader(files, errors), Output()
    loaded = load_model(model, "score", device=device)
    scorer = loaded.tracer(carry=carry) if details else loaded.scorer(carry=carry, adapt=adapt)

    def score(valid: Sequence[Line]) -> Sequence[TextScore]:
        return scorer.score([line.text_for(scorer) for line in valid])

    if level == "total":
        totals = lines.map_batches(lambda batch: _sum(
            (found.bits, found.characters, len(found.ids), 1)
            for _, found in lines.map_valid(batch, score, scorer.problem) if found is not None), workers=workers)
        output.write(_total(totals, jsonl=jsonl))
        lines.close("left out")
    elif level == "line":
        lines.answer(output, score, _record if jsonl else _row, error_record if jsonl else empty_line, scorer.problem,
                     workers=workers)
    else:
        show: Any = word_records if level == "word" else token_records if more else _tokens
        lines.answer(output, score, lambda line, found: show(line, found, loaded.tokenizer, jsonl=jsonl),
                     error_record if jsonl else lambda line: "", scorer.problem, workers=workers, outcome="left out")


def _row(line: Line, score: TextScore) -> str:
    return f"{score.bits_per_character:.4f}\t{score.bits:.4f}\t{score.characters}\t{line.columns}{line.text}\n"


def _record(line: Line, score: TextScore) -> str:
    return json_record(**line.keys, bits_per_character=round(score.bits_per_character, 6),
                       bits=round(score.bits, 6), characters=score.characters, text=line.text)


def _tokens(line: Line, score: TextScore, tokenizer: Tokenizer, *, jsonl: bool) -> str:
    """Return one record per token, or per smallest span of text that whole tokens spell."""
    from charlm.inference.line_scoring import bits_by_span
    return "".join(json_record(**line.keys, text=text, bits=round(bits, 6)) if jsonl
                   else f"{bits:.4f}\t{line.number}\t{line.columns}{text.translate(ESCAPES)}\n"
                   for text, bits in bits_by_span(score, tokenizer))


def _sum(totals: Iterable[Totals]) -> Totals:
    bits, characters, tokens, lines = 0.0, 0, 0, 0
    for total in totals:
        bits += total[0]
        characters += total[1]
        tokens += total[2]
        lines += total[3]
    return bits, characters, tokens, lines


def _total(totals: Iterable[Totals], *, jsonl: bool) -> str:
    """Return one record for the whole input, from the totals of its batches."""
    bits, characters, tokens, lines = _sum(totals)
    rate = bits / max(characters, 1)
    if jsonl:
        return json_record(bits_per_character=rate, bits=bits, characters=characters, tokens=tokens, lines=lines)
    return f"{rate:.6f}\t{bits:.4f}\t{characters}\n"
