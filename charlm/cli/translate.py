"""`charlm translate`: the target of each source, line by line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from charlm.cli import options
from charlm.cli.exit_codes import message
from charlm.cli.line_reader import Line, LineReader, error_record
from charlm.cli.output import Output, json_record

if TYPE_CHECKING:
    from charlm.inference.translation import Translation
    from charlm.text.tokenizers.base import Tokenizer

EXAMPLES = """\b
Examples:
  charlm train lexicon.tsv && echo 'abszolút' | charlm translate
  charlm translate --beam 5 --n-best 3 --jsonl < words.txt
  cut -f1 lexicon.tsv | charlm translate -m lexicon.charlm | paste lexicon.tsv -
"""


@click.command("translate", epilog=EXAMPLES, short_help="Write the target of each source.")
@click.argument("file", required=False, metavar="[FILE]")
@options.model
@options.beam
@click.option("--n-best", type=click.IntRange(1), default=1, show_default=True,
              help="Targets per source, best first; above 1 each is printed as source, target, score.")
@click.option("--length-penalty", type=float, default=1.0, show_default=True,
              help="Rank by log probability over length to this power; 0 favours short targets.")
@options.jsonl
@options.errors
@options.threads
def command(file: str | None, model: str | None, beam: int, n_best: int, length_penalty: float,
            jsonl: bool, errors: str, threads: int | None) -> None:
    """Write the target of each source: one line in, one line out, in order.

    For models trained on `source<TAB>target`. Reads FILE or stdin and answers each line as soon as
    it is read; the target of an empty line is an empty line.
    """
    if n_best > beam:
        raise click.UsageError(f"--n-best {n_best} needs at least --beam {n_best}")
    if not -10 <= length_penalty <= 10:
        raise click.UsageError(f"--length-penalty must be a number from -10 to 10, not {length_penalty}")
    options.limit_threads(threads)
    from charlm.cli.models import load_model, translator_of
    lines, output = LineReader(file, errors), Output()
    translator = translator_of(load_model(model, ("pairs",)))
    show = _record if jsonl else _row if n_best == 1 else _table
    warnings = _Warnings(translator.source_tokenizer)

    def translate(sources: Sequence[Line]) -> list[list[Translation]]:
        found = iter(translator.translate([line.text for line in sources if line.text], beam=beam,
                                          length_penalty=length_penalty))
        return [next(found) if line.text else [] for line in sources]

    for batch in lines.batches():
        for line, targets in lines.map_valid(batch, translate):
            warnings.check(line, targets or [])
            output.write(error_record(line) if jsonl and targets is None else show(line, (targets or [])[:n_best]))
    warnings.close()
    lines.close()


class _Warnings:
    """Warnings about lines and their targets: the first line of each kind at once, the counts at the end."""

    def __init__(self, tokenizer: Tokenizer):
        self._tokenizer = tokenizer
        self._counts: dict[str, int] = {}

    def check(self, line: Line, targets: Sequence[Translation]) -> None:
        """Warn if the best target was cut off or the source has a tab or unknown characters."""
        unknown = self._tokenizer.unknown_id
        if targets and not targets[0].finished:
            self._warn(line, "a target that was cut off at the length limit")
        if "\t" in line.text:
            self._warn(line, "a tab; give the source alone (cut -f1)")
        elif unknown is not None and unknown in self._tokenizer.encode(line.text):
            self._warn(line, "characters that no source in the training data has")

    def _warn(self, line: Line, what: str) -> None:
        if what not in self._counts:
            message(f"line {line.number} has {what}")
        self._counts[what] = self._counts.get(what, 0) + 1

    def close(self) -> None:
        """Report the number of lines of each kind that more than one line has."""
        for what, count in self._counts.items():
            if count > 1:
                message(f"{count} lines have {what}")


def _row(line: Line, targets: Sequence[Translation]) -> str:
    return (targets[0].text if targets else "") + "\n"


def _table(line: Line, targets: Sequence[Translation]) -> str:
    return "".join(f"{line.text}\t{target.text}\t{target.score:.4f}\n" for target in targets) or "\n"


def _record(line: Line, targets: Sequence[Translation]) -> str:
    return json_record(line=line.number, source=line.text, targets=[
        {"text": target.text, "log_probability": round(target.log_probability, 6),
         "score": round(target.score, 6), "finished": target.finished} for target in targets])
