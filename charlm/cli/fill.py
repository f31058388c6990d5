"""`charlm fill`: lines with gaps in, the same lines filled out."""

from __future__ import annotations

import json

import click

from charlm.cli import options

EXAMPLES = """\b
Examples:
  charlm train novel.txt --fill && echo 'It was the ___ of times' | charlm fill
  charlm fill --gap '[?]' -N 5 --temp 0.8 --jsonl < damaged.txt
  sed 's/[^ ]*$/___/' verse.txt | charlm fill -m verse.charlm
"""


@click.command("fill", epilog=EXAMPLES, short_help="Fill gaps in lines.")
@click.argument("file", required=False, metavar="[FILE]")
@options.model
@click.option("--gap", default="___", show_default=True, metavar="MARK", help="What stands for a gap.")
@click.option("-N", "--num-samples", type=click.IntRange(0), default=1, show_default=True,
              help="Alternatives a line, one line each.")
@click.option("--temp", "--temperature", "temperature", type=float,
              help="0 takes the likeliest. Default: 0 for one filling a line, 1 for several.")
@options.top_k
@options.top_p
@options.min_p
@options.seed
@options.jsonl
@options.errors
@options.threads
def command(file: str | None, model: str | None, gap: str, num_samples: int, temperature: float | None,
            top_k: int, top_p: float, min_p: float, seed: int | None, jsonl: bool, errors: str,
            threads: int | None) -> None:
    """Fill the gaps of every line, from the text before and after them.

    For models trained with --fill. Reads FILE or stdin, and answers each line as soon as it is in; a
    line without a gap is passed on.
    """
    if not gap or "\n" in gap:
        raise click.UsageError("--gap needs a mark of at least one character, without a line break")
    options.limit_threads(threads)
    from charlm.cli.line_reader import LineReader
    from charlm.cli.models import open_model
    from charlm.cli.output import Output
    from charlm.cli.seeds import choose_seed
    from charlm.config import SamplingConfig
    from charlm.inference.infilling import Infiller
    if temperature is None:
        temperature = 0.0 if num_samples == 1 else 1.0
    config = SamplingConfig(temperature, top_k, top_p, min_p)
    lines, output = LineReader(file, errors), Output()
    loaded, network = open_model(model, ("fill",))
    filler = Infiller(network, loaded.tokenizer)
    seed = choose_seed(seed, used=temperature > 0 and num_samples > 0)
    show = _json if jsonl else _text
    for batch in lines.batches():
        texts = [line.text.split(gap) for line in batch]
        filled = filler.fill(texts, config, seed=seed, line_numbers=[line.number for line in batch],
                             alternatives=num_samples) if num_samples else []
        for line, parts, alternatives in zip(batch, texts, filled):
            for fills in alternatives:
                output.write(show(line, parts, fills))
    lines.close()


def _joined(parts: list[str], fills: list[str]) -> str:
    """The texts between the gaps with the fillings in them.

    >>> _joined(["a", "c"], ["b"])
    'abc'
    """
    return parts[0] + "".join(fill + part for fill, part in zip(fills, parts[1:]))


def _text(line, parts: list[str], fills: list[str]) -> str:
    return _joined(parts, fills) + (line.end or "\n")


def _json(line, parts: list[str], fills: list[str]) -> str:
    return json.dumps({"line": line.number, "text": _joined(parts, fills), "fills": fills},
                      ensure_ascii=False) + "\n"
