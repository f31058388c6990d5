"""`charlm translate`: the target of each source, line by line."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from charlm.cli import options
from charlm.cli.line_input import Line
from charlm.cli.line_reader import LineReader, empty_line, error_record
from charlm.cli.output import Output, json_record

if TYPE_CHECKING:
    from charlm.contract import Tokenizer
    from charlm.inference.translation import Translation

EXAMPLES = """\b
Examples:
  charlm train lexicon.tsv && echo 'abszolút' | charlm translate
  charlm translate --beam 5 --n-best 3 --jsonl < words.txt
  echo 'abszolút' | charlm translate --alignment
  cut -f1 lexicon.tsv | charlm translate -m lexicon.charlm | paste lexicon.tsv -
"""
Show = Callable[[Line, Sequence["Translation"]], str]


@options.filter_command("translate", EXAMPLES)
@options.beam
@options.option("--n-best", type=click.IntRange(1), default=1, show_default=True,
              help="Targets per source, best first; above 1, each is printed as source, target, score.")
@options.option("--length-penalty", type=float, default=1.0, show_default=True,
              help="Rank by log probability over length to this power; 0 favours short targets.")
@options.option("--alignment", is_flag=True,
              help="Show which letter made which part of the best target: line, token, the letter that got most "
                   "attention, its share; with --jsonl all shares; a coloured grid on a terminal.")
@options.jsonl
@options.errors
@options.cores
def command(files: tuple[str, ...], model: str | None, beam: int, n_best: int, length_penalty: float, alignment: bool,
            jsonl: bool, errors: str, threads: int | None) -> None:
    """Write the target of each source: one line in, one line out, in order.

    For models trained on `source<TAB>target`. Reads FILE or stdin and answers each line as soon as
    it is read; the target of an empty line, or of one without any known character, is an empty line.
    """
    if n_best > beam:
        raise click.UsageError(f"--n-best {n_best} needs at least --beam {n_best}")
    if not -10 <= length_penalty <= 10:
        raise click.UsageError(f"--length-penalty must be a number from -10 to 10, not {length_penalty}")
    if alignment and n_best > 1:
        raise click.UsageError("--alignment is of the best target; leave out --n-best")
    workers = options.set_up_cores(threads)
    from charlm.cli.models import load_model
    lines, output = LineReader(files, errors), Output()
    loaded = load_model(model, "translate")
    translator = loaded.translator()
    show: Show = _record if jsonl else _row if n_best == 1 else _table
    if alignment:
        from charlm.cli.alignments import aligned
        output, show = aligned(loaded, output, _record if jsonl else None)

    def translate(sources: Sequence[Line]) -> list[list[Translation]]:
        readable = [_is_readable(line.text, translator.source_tokenizer) for line in sources]
        found = iter(translator.translate([line.text for line in itertools.compress(sources, readable)], beam=beam,
                                          length_penalty=length_penalty))
        return [next(found) if is_readable else [] for is_readable in readable]

    def show_checked(line: Line, targets: Sequence[Translation]) -> str:
        _warn(lines, line, targets, translator.source_tokenizer)
        return show(line, targets[:n_best])

    lines.answer(output, translate, show_checked, error_record if jsonl else empty_line, workers=workers)


def _is_readable(source: str, tokenizer: Tokenizer) -> bool:
    """Return whether a source has any character that the model knows; of others it could only make up a target."""
    return bool(source) and bool((tokenizer.encode(source) != tokenizer.unknown_id).any())


def _warn(lines: LineReader, line: Line, targets: Sequence[Translation], tokenizer: Tokenizer) -> None:
    """Warn if the best target was cut off, or if the source has a tab or unknown characters."""
    if targets and not targets[0].finished:
        lines.warn(line, "a target that was cut off at the length limit")
    if "\t" in line.text:
        lines.warn(line, "a tab; give the source alone (cut -f1)")
    elif tokenizer.unknown_id is not None and tokenizer.unknown_id in tokenizer.encode(line.text):
        lines.warn(line, "characters that no source in the training data has")


def _row(line: Line, targets: Sequence[Translation]) -> str:
    return line.columns + (targets[0].text if targets else "") + "\n"


def _table(line: Line, targets: Sequence[Translation]) -> str:
    return "".join(f"{line.columns}{line.text}\t{target.text}\t{target.score:.4f}\n" for target in targets) or "\n"


def _record(line: Line, targets: Sequence[Translation], **more: object) -> str:
    return json_record(**line.keys, source=line.text, targets=[
        {"text": target.text, "log_probability": round(target.log_probability, 6),
         "score": round(target.score, 6), "finished": target.finished} for target in targets], **more)
