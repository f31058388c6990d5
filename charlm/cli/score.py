"""`charlm score`: how surprising a text is, per line, per token or in total."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from charlm.cli import options
from charlm.cli.line import Line, scores_of
from charlm.cli.line_reader import LineReader, empty_line, error_record
from charlm.cli.output import ESCAPES, Output, json_record
from charlm.cli.token_records import token_records, word_records
from charlm.text.record_format import RecordFormat

if TYPE_CHECKING:
    from charlm.contract import Tokenizer
    from charlm.inference.line_scoring import Scorer, TextScore

EXAMPLES = """\b
Examples:
  charlm score suspicious.log | sort -rn | head
  charlm score --summary crawl.txt
  charlm score --worst 20 server.log | sort -t"$(printf '\\t')" -k4 -rn | head
  charlm score --level token --jsonl < verse.txt
  charlm score --level total --carry held-out.txt
  charlm score --level word essay.txt | sort -t"$(printf '\\t')" -k5 -rn | head
  charlm score --adapt < server.log | sort -rn | head
  charlm score logs/ 'old/**/*.log.gz' | sort -rn | head
  charlm score --csv-column review --id order reviews.csv
  tail -f app.jsonl | charlm score --json-field message --id request.id --jsonl
  charlm score -m lexicon.charlm lexicon.tsv | sort -rn | head
  tail -f server.log | charlm score --jsonl | jq --unbuffered -c 'select(.bits_per_character > 4)'
"""
Totals = tuple[float, int, int, int]       # bits, characters, tokens, lines


@options.filter_command("score", EXAMPLES)
@options.option("--level", type=click.Choice(["token", "word", "line", "total"]), default="line", show_default=True,
              help="Write one record per token, per word, per line, or for the whole input.")
@options.option("--more", is_flag=True, help="With --level token, also write entropy, rank and probability.")
@options.option("--worst", type=click.IntRange(1), metavar="N",
              help="With --level line, also write the most surprising stretch of N characters of each line.")
@options.option("--summary", is_flag=True, help="Instead of the lines, write quantiles and a histogram of their bits "
                "per character, beside those of the model's held-out lines.")
@options.carry
@options.adapt("Learn from each line after it has been scored, so that the new becomes normal; uses one core. "
               "full: all weights learn, with torch.", full=True)
@options.identified_records
@options.jsonl
@options.errors
@options.device
@options.cores
def command(files: tuple[str, ...], model: str | None, level: str, more: bool, worst: int | None, summary: bool,
            carry: bool, adapt: str, jsonl: bool, errors: str, device: str, threads: int | None,
            format: RecordFormat | None) -> None:
    """Measure how surprising each line is: bits per character, bits, characters, and the line.

    Reads files or stdin and answers each line as soon as it is read. The end of a line counts as a
    character. Bits per character refer to the characters of the text, so that models with different
    tokenizers can be compared. With --level token a record is bits, line number and token, where
    \\t, \\n, \\r, \\0 and \\\\ are escapes; --more adds the entropy of the prediction in bits, the rank of
    the token (1: the likeliest) and its probability. With --level word a record is line, word, start and
    end in the line, bits, entropy, and the ranks of its tokens; words are separated by white space.

    The mean hides a short anomaly in a long line. With --worst N a record is bits per character, bits,
    characters, the bits of the line's most surprising N characters, their start, these characters with
    escapes, and the line.

    --summary ignores blank lines. It suggests a threshold for `filter`: the bits per character exceeded by
    only 1 % of the model's held-out lines or, if the model file has no record of them, by 1 % of these lines.
    Quantiles other than 0 and 100 % are accurate to 0.002 bits per character.

    A model of running text scores each line as the beginning of a text or, with --carry, all lines as
    one text, as `eval` does. A model of labelled lines scores label<TAB>text given the label, and a
    line without a tab by the mixture of all labels; with --adapt every line needs its label. A pairs
    model scores the target of source<TAB>target given its source; positions count from the target's start.
    """
    _check(level, more=more, worst=worst, summary=summary, adapt=adapt)
    details = more or level == "word"
    workers = options.set_up_cores(threads, device, carry=carry or bool(adapt))
    from charlm.cli.models import load_model
    lines, output = LineReader(files, errors, format), Output()
    loaded = load_model(model, "score", device=device)
    scorer = loaded.tracer(carry=carry) if details else loaded.scorer(carry=carry, adapt=adapt)
    if summary:
        from charlm.cli.score_summary import write_summary
        write_summary(lines, scorer, loaded.stored.line_quantiles, output, jsonl=jsonl, workers=workers)
    elif level == "total":
        _write_total(lines, scorer, output, jsonl=jsonl, workers=workers)
    else:
        show, show_invalid, outcome = _form(level, loaded.tokenizer, more=more, worst=worst, jsonl=jsonl)
        lines.answer(output, scores_of(scorer), show, show_invalid, scorer.problem, workers=workers, **outcome)


def _check(level: str, *, more: bool, worst: int | None, summary: bool, adapt: str) -> None:
    """Raise UsageError for options that cannot be combined."""
    if more and level != "token":
        raise click.UsageError("--more is for --level token")
    if adapt and (more or level == "word"):
        raise click.UsageError("--adapt is for --level token, line or total, without --more")
    for flag, given in (("--worst", worst is not None), ("--summary", summary)):
        if given and level != "line":
            raise click.UsageError(f"{flag} is for --level line")
    if summary and worst is not None:
        raise click.UsageError("--summary and its threshold are for whole lines; leave out --worst")


def _form(level: str, tokenizer: Tokenizer, *, more: bool, worst: int | None, jsonl: bool) -> tuple[Any, Any, Any]:
    """Return the functions that format the record of a line and of an invalid line, and the fate of invalid lines."""
    if level == "line":
        own = _record if jsonl else _row
        return partial(own, tokenizer=tokenizer, worst=worst), error_record if jsonl else empty_line, {}
    show: Any = word_records if level == "word" else token_records if more else _tokens
    return (lambda line, found: show(line, found, tokenizer, jsonl=jsonl),
            error_record if jsonl else lambda line: "", {"outcome": "left out"})


def _write_total(lines: LineReader, scorer: Scorer, output: Output, *, jsonl: bool, workers: int) -> None:
    """Write one record for the whole input."""
    score = scores_of(scorer)
    totals = lines.map_batches(lambda batch: _sum(
        (found.bits, found.characters, len(found.ids), 1)
        for _, found in lines.map_valid(batch, score, scorer.problem) if found is not None),
        workers=workers, streams=False)
    output.write(_total(totals, jsonl=jsonl))
    lines.close("left out")


def _row(line: Line, score: TextScore, tokenizer: Tokenizer, worst: int | None) -> str:
    stretch = ""
    if worst is not None:
        from charlm.inference.stretches import worst_stretch
        start, text, bits = worst_stretch(score, tokenizer, worst)
        stretch = f"{bits:.4f}\t{start}\t{text.translate(ESCAPES)}\t"
    return (f"{score.bits_per_character:.4f}\t{score.bits:.4f}\t{score.characters}\t{stretch}{line.columns}"
            f"{line.shown}\n")


def _record(line: Line, score: TextScore, tokenizer: Tokenizer, worst: int | None) -> str:
    stretch = {}
    if worst is not None:
        from charlm.inference.stretches import worst_stretch
        start, text, bits = worst_stretch(score, tokenizer, worst)
        stretch = {"worst": text, "worst_bits": round(bits, 6), "worst_start": start}
    return json_record(**line.keys, bits_per_character=round(score.bits_per_character, 6),
                       bits=round(score.bits, 6), characters=score.characters, **stretch, text=line.text)


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
