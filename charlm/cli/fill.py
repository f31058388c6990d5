"""`charlm fill`: lines with gaps in, the same lines with the gaps filled out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import click

from charlm.cli import options
from charlm.cli.line import Line
from charlm.cli.line_reader import LineReader, error_record
from charlm.cli.output import Output, json_record
from charlm.cli.sampling import choose_seed
from charlm.config import SamplingConfig
from charlm.text.record_format import RecordFormat

EXAMPLES = """\b
Examples:
  charlm train novel.txt --fill && echo 'It was the ___ of times' | charlm fill
  charlm fill --gap '[?]' -N 5 --temp 0.8 --jsonl < damaged.txt
  sed 's/[^ ]*$/___/' verse.txt | charlm fill -m verse.charlm
"""


@options.filter_command("fill", EXAMPLES)
@options.option("--gap", default="___", show_default=True, metavar="MARK", help="The text that marks a gap.")
@options.option("-N", "--num-samples", type=click.IntRange(0), default=1, show_default=True,
              help="Lines to write per input line, each with its own fillings.")
@options.sampling_options(temperature="0, or 1 if -N is above 1")
@options.seed
@options.identified_records
@options.jsonl
@options.errors
@options.cores
def command(files: tuple[str, ...], model: str | None, gap: str, num_samples: int, sampling: SamplingConfig,
            seed: int | None, jsonl: bool, errors: str, threads: int | None,
            format: RecordFormat | None) -> None:
    """Fill the gaps in each line, using the text before and after them.

    For models trained with --fill. Reads files or stdin and answers each line as soon as it is read. A
    line without a gap is written unchanged.
    """
    if not gap or "\n" in gap:
        raise click.UsageError("--gap must be at least one character and no line break")
    workers = options.set_up_cores(threads)
    from charlm.cli.models import load_model
    if not options.is_given("temperature"):
        sampling = replace(sampling, temperature=0.0 if num_samples == 1 else 1.0)
    lines, output = LineReader(files, errors, format), Output()
    infiller = load_model(model, "fill").infiller()
    seed = choose_seed(seed, used=sampling.temperature > 0 and num_samples > 0)
    show = _record if jsonl else _row

    def fill(valid: Sequence[Line]) -> list[list[list[str]]]:
        return infiller.fill([line.flat.split(gap) for line in valid], sampling, seed=seed,
                             line_numbers=[line.ordinal for line in valid],
                             alternatives=num_samples) if num_samples else [[]] * len(valid)

    lines.answer(output, fill, lambda line, found: "".join(show(line, line.flat.split(gap), fills) for fills in found),
                 error_record if jsonl else lambda line: (line.end or "\n") * num_samples, workers=workers,
                 outcome=f"each answered by {'an empty line' if num_samples == 1 else f'{num_samples} empty lines'}")


def _joined(parts: Sequence[str], fills: Sequence[str]) -> str:
    """Return the texts between the gaps joined by the fillings.

    >>> _joined(["a", "c"], ["b"])
    'abc'
    """
    return parts[0] + "".join(fill + part for fill, part in zip(fills, parts[1:], strict=True))


def _row(line: Line, parts: Sequence[str], fills: Sequence[str]) -> str:
    return line.columns + line.escaped(_joined(parts, fills)) + (line.end or "\n")


def _record(line: Line, parts: Sequence[str], fills: Sequence[str]) -> str:
    return json_record(**line.keys, text=_joined(parts, fills), fills=fills)
