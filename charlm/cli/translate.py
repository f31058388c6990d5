"""`charlm translate`: the target of every source, line by line."""

from __future__ import annotations

import json

import click

from charlm.cli import options

EXAMPLES = """\b
Examples:
  charlm train lexicon.tsv && echo 'abszolút' | charlm translate
  charlm translate --beam 5 --n-best 3 --jsonl < words.txt
  cut -f1 lexicon.tsv | charlm translate -m lexicon.charlm | paste lexicon.tsv -
"""


@click.command("translate", epilog=EXAMPLES, short_help="Write the target of every source.")
@click.argument("file", required=False, metavar="[FILE]")
@options.model
@options.beam
@click.option("--n-best", type=click.IntRange(1), default=1, show_default=True,
              help="Targets a source, best first; above 1 each as source, target, score.")
@click.option("--length-penalty", type=float, default=1.0, show_default=True,
              help="Rank by log probability over length to this power; 0 favours short targets.")
@options.jsonl
@options.errors
@options.threads
def command(file: str | None, model: str | None, beam: int, n_best: int, length_penalty: float,
            jsonl: bool, errors: str, threads: int | None) -> None:
    """Write the target of every source: one line in, one line out, in order.

    For models trained on `source<TAB>target`. Reads FILE or stdin, and answers each line as soon as
    it is in. An empty line is answered by an empty line.
    """
    if n_best > beam:
        raise click.UsageError(f"--n-best {n_best} needs a beam as wide: --beam {n_best}")
    if not -10 <= length_penalty <= 10:
        raise click.UsageError(f"--length-penalty must be a number from -10 to 10, not {length_penalty}")
    options.limit_threads(threads)
    from charlm.cli.line_reader import LineReader
    from charlm.cli.models import open_translator
    from charlm.cli.output import Output
    lines, output, translator = LineReader(file, errors), Output(), open_translator(model)
    show = _json if jsonl else _text if n_best == 1 else _table
    doubts = _Doubts(translator.source_tokenizer)
    for batch in lines.batches():
        asked = [line for line in batch if line.text]
        found = dict(zip((line.number for line in asked), translator.translate(
            [line.text for line in asked], beam=beam, length_penalty=length_penalty)))
        for line in batch:
            answers = found.get(line.number, [])
            doubts.look(line, answers)
            output.write(show(line, answers[:n_best]))
    doubts.close()
    lines.close()


class _Doubts:
    """Tells what is doubtful about answers: of each kind the first line at once, the count at the end."""

    def __init__(self, tokenizer):
        self._tokenizer = tokenizer
        self._counts: dict[str, int] = {}

    def look(self, line, answers) -> None:
        if answers and not answers[0].finished:
            self._note(line, "a target that found no end and was cut off")
        if "\t" in line.text:
            self._note(line, "a tab; a source stands alone on its line (cut -f1 takes it out of pairs)")
        elif self._tokenizer.unknown_id is not None \
                and self._tokenizer.unknown_id in self._tokenizer.encode(line.text):
            self._note(line, "characters that no source of the training had")

    def _note(self, line, what: str) -> None:
        from charlm.cli.exit_codes import message
        if what not in self._counts:
            message(f"line {line.number} has {what}")
        self._counts[what] = self._counts.get(what, 0) + 1

    def close(self) -> None:
        from charlm.cli.exit_codes import message
        for what, count in self._counts.items():
            if count > 1:
                message(f"{count} lines have {what}")


def _text(line, answers) -> str:
    return (answers[0].text if answers else "") + "\n"


def _table(line, answers) -> str:
    rows = [f"{line.text}\t{answer.text}\t{answer.score:.4f}\n" for answer in answers]
    return "".join(rows) or "\n"


def _json(line, answers) -> str:
    targets = [{"text": answer.text, "log_probability": round(answer.log_probability, 6),
                "score": round(answer.score, 6), "finished": answer.finished} for answer in answers]
    return json.dumps({"line": line.number, "source": line.text, "targets": targets},
                      ensure_ascii=False) + "\n"
