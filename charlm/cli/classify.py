"""`charlm classify`: the likeliest label of every line, with its probability."""

from __future__ import annotations

import json

import click

from charlm.cli import options

EXAMPLES = """\b
Examples:
  charlm train surnames.tsv --labels && echo "O'Malley" | charlm classify
  charlm classify --n-best 3 < names.txt
  cut -f2 surnames.tsv | charlm classify -m surnames.charlm | cut -f1 | paste surnames.tsv -
"""


@click.command("classify", epilog=EXAMPLES, short_help="Say which label every line most likely has.")
@click.argument("file", required=False, metavar="[FILE]")
@options.model
@click.option("--uniform-prior", is_flag=True,
              help="Take all labels for equally frequent, not as frequent as in training.")
@click.option("--n-best", type=click.IntRange(1), default=1, show_default=True,
              help="Labels a line, likeliest first; above 1 each as line, label, probability.")
@options.jsonl
@options.errors
@options.device
@options.threads
def command(file: str | None, model: str | None, uniform_prior: bool, n_best: int, jsonl: bool, errors: str,
            device: str, threads: int | None) -> None:
    """Say which label every line most likely has: the label, a tab, its probability.

    For models trained with --labels. By Bayes: what each label expects of the line, times how frequent
    the label was in training. Reads FILE or stdin, and answers each line as soon as it is in.
    """
    options.limit_threads(threads)
    from charlm.cli.line_reader import LineReader
    from charlm.cli.models import classifier_of, load_model
    from charlm.cli.output import Output
    lines, output = LineReader(file, errors), Output()
    loaded = load_model(model, ("lines",), labelled=True)
    classifier = classifier_of(loaded, uniform_prior=uniform_prior, device=device)
    show = _json if jsonl else _row if n_best == 1 else _table
    doubts = _Labelled(loaded.labels)
    for batch in lines.batches():
        doubts.look(batch)
        answers = lines.map_valid(batch, lambda good: classifier.posteriors([line.text for line in good]))
        output.write("".join(show(line, _ranked(loaded.labels.names, posteriors, n_best))
                              for line, posteriors in answers))
    doubts.close()
    lines.close()


class _Labelled:
    """Tells of lines that stand behind their label already: those read `label<TAB>text` as their text."""

    def __init__(self, labels):
        self._labels, self._count = frozenset(labels.names), 0

    def look(self, lines) -> None:
        from charlm.cli.exit_codes import message
        for line in lines:
            if "\t" in line.text and line.text.partition("\t")[0] in self._labels:
                self._count += 1
                if self._count == 1:
                    message(f"line {line.number} begins with a label and a tab; a text stands alone on its line "
                        "(cut -f2 takes it out)")

    def close(self) -> None:
        from charlm.cli.exit_codes import message
        if self._count > 1:
            message(f"{self._count} lines begin with a label and a tab")


def _ranked(names, posteriors, count: int) -> list[tuple[str, float]] | None:
    """The likeliest labels and their probabilities, the first of equals first; None for no line."""
    if posteriors is None:
        return None
    order = (-posteriors).argsort(kind="stable")[:count]
    return [(names[number], float(posteriors[number])) for number in order]


def _row(line, ranked) -> str:
    return "{}\t{:.4f}\n".format(*ranked[0]) if ranked else "\n"


def _table(line, ranked) -> str:
    return "".join(f"{line.text}\t{label}\t{posterior:.4f}\n" for label, posterior in ranked or ()) or "\n"


def _json(line, ranked) -> str:
    if ranked is None:
        return json.dumps({"line": line.number, "error": "not UTF-8"}) + "\n"
    best, posterior = ranked[0]
    labels = [{"label": label, "posterior": round(own, 6)} for label, own in ranked]
    return json.dumps({"line": line.number, "text": line.text, "label": best, "posterior": round(posterior, 6),
                       "labels": labels}, ensure_ascii=False) + "\n"
