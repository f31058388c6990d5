"""`charlm next`: the likeliest next characters after a prompt."""

from __future__ import annotations

import click

from charlm.cli import options
from charlm.cli.output import ESCAPES, Output, json_record
from charlm.cli.sampling import read_prompt, refuse_arguments, warn_about_unknown

EXAMPLES = """\b
Examples:
  charlm next -p namaska
  charlm next -m names.charlm -p Mar --top 3
  charlm next -f chapter.txt --jsonl | jq -r .text
"""


@click.command("next", epilog=EXAMPLES, context_settings={"allow_extra_args": True})
@options.model
@options.option("-p", "--prompt", "--prefix", "prompt", metavar="TEXT",
              help="The text before; with a line model, the beginning of a line.")
@options.option("-f", "--prompt-file", metavar="FILE", help="Read the text before from a file; - is stdin.")
@options.option("--label", metavar="NAME", help="With a model of labelled lines: the label. Default: all, weighted.")
@options.option("--top", type=click.IntRange(1), default=10, show_default=True, help="How many tokens to print.")
@options.jsonl
@options.errors
@options.threads
def command(model: str | None, prompt: str | None, prompt_file: str | None, label: str | None, top: int, jsonl: bool,
            errors: str, threads: int | None) -> None:
    """Print the likeliest next characters after a prompt and their probabilities, the likeliest first.

    Tokens, for a model that isn't of characters. \\t, \\n, \\r, \\0 and \\\\ are escapes; for a model of lines
    \\n is the end of the line.
    """
    refuse_arguments("next")
    options.limit_threads(threads)
    from charlm.cli.models import load_model
    output, text = Output(), read_prompt(prompt, prompt_file, errors)
    loaded = load_model(model, "next")
    warn_about_unknown(loaded.tokenizer, text)
    for rank, (token, probability) in enumerate(loaded.next(text, top=top, label=label), 1):
        output.write(json_record(rank=rank, text=token, probability=float(f"{probability:.6g}")) if jsonl else
                     f"{token.translate(ESCAPES)}\t{probability:.4g}\n")
