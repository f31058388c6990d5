"""`charlm classify`: the most probable label of each line, or target of each source, with its probability."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from charlm.cli import options
from charlm.cli.line import Line
from charlm.cli.line_reader import LineReader, empty_line, error_record
from charlm.cli.output import Output, json_record
from charlm.text.record_format import RecordFormat

if TYPE_CHECKING:
    import numpy as np

EXAMPLES = """\b
Examples:
  charlm train surnames.tsv --labels && echo "O'Malley" | charlm classify
  charlm classify --n-best 3 < names.txt
  cut -f2 surnames.tsv | charlm classify -m surnames.charlm | cut -f1 | paste surnames.tsv -
  cut -f1 weather.tsv | charlm classify -m weather.charlm --n-best 3
  cut -f2 lexicon.tsv | sort -u > sounds.txt && charlm classify -m lexicon.charlm --among sounds.txt < words.txt
"""


@options.filter_command("classify", EXAMPLES)
@options.option("--uniform-prior", is_flag=True,
              help="Assume that all labels are equally frequent instead of using their frequencies in training.")
@options.option("--among", metavar="FILE", cls=options.Once,
              help="For pairs models: choose among the targets in FILE, one per line, instead of all words that "
                   "the model can write.")
@options.option("--n-best", type=click.IntRange(1), default=1, show_default=True,
              help="Labels per line, most probable first; above 1, each is printed as line, label, probability.")
@options.identified_records
@options.jsonl
@options.errors
@options.device
@options.cores
def command(files: tuple[str, ...], model: str | None, uniform_prior: bool, among: str | None, n_best: int, jsonl: bool,
            errors: str, device: str, threads: int | None, format: RecordFormat | None) -> None:
    """Print the most probable label of each line, a tab, and its probability.

    For models trained with --labels. Uses Bayes' rule: the probability of the line given each label,
    times the label's frequency in training. Reads files or stdin and answers each line as soon
    as it is read.

    With a pairs model each line is a source, and the labels are targets: the words that the model can
    write, or those listed in --among. Their probabilities given the source are normalised to add up to 1.
    """
    if among == "-" and (not files or "-" in files):
        raise click.UsageError("stdin already supplies the lines; name a file with --among")
    workers = options.set_up_cores(threads, device)
    from charlm.cli.models import load_model
    lines, output = LineReader(files, errors, format), Output()
    classifier = load_model(model, "classify", device=device).classifier(
        uniform_prior=uniform_prior, among=None if among is None else _targets(among, errors))
    show = _record if jsonl else _row if n_best == 1 else _table
    names = classifier.names
    labels = frozenset(names)

    def posteriors(valid: Sequence[Line]) -> np.ndarray:
        for line in valid:
            if "\t" in line.text and line.text.partition("\t")[0] in labels:
                lines.warn(line, "a label and a tab before its text; give the text alone (cut -f2)")
        return classifier.posteriors([line.flat for line in valid])

    lines.answer(output, posteriors, lambda line, row: show(line, _ranked(names, row)[:n_best]),
                 error_record if jsonl else empty_line, classifier.problem, workers=workers)


def _targets(path: str, errors: str) -> list[str]:
    """Return the lines of a file that are not blank. Raises CorpusError if there are none."""
    from charlm.cli.exit_codes import message
    from charlm.errors import CorpusError
    from charlm.text.reading import read_text, split_lines, strip_line_end
    try:
        targets = [line for line in map(strip_line_end, split_lines(read_text([path], errors, message))) if line]
    except CorpusError as error:
        raise CorpusError(f"--among names a file of targets, one a line; {error}") from None
    if targets:
        return targets
    raise CorpusError(f"{path}: empty; there are no targets to choose from")


def _ranked(names: Sequence[str], posteriors: np.ndarray) -> list[tuple[str, float]]:
    """Return labels and probabilities, most probable first; equal ones keep their order."""
    return [(names[index], float(posteriors[index])) for index in (-posteriors).argsort(kind="stable")]


def _row(line: Line, ranked: Sequence[tuple[str, float]]) -> str:
    return "{}{}\t{:.4f}\n".format(line.columns, *ranked[0])


def _table(line: Line, ranked: Sequence[tuple[str, float]]) -> str:
    return "".join(f"{line.columns}{line.shown}\t{label}\t{posterior:.4f}\n" for label, posterior in ranked)


def _record(line: Line, ranked: Sequence[tuple[str, float]]) -> str:
    labels = [{"label": label, "posterior": round(posterior, 6)} for label, posterior in ranked]
    return json_record(**line.keys, text=line.text, **labels[0], labels=labels)
