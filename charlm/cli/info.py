"""`charlm info`: what a model is, how it was trained, how good it is."""

from __future__ import annotations

import click

from charlm.cli import options

EXAMPLES = """\b
Examples:
  charlm info
  charlm info big.charlm
  charlm info -m big.charlm --jsonl | jq .bits_per_character
"""

LABELS = 20                             # named at most


@click.command("info", epilog=EXAMPLES, short_help="Say what a model is and how good it is.")
@click.argument("file", required=False, metavar="[FILE]")
@options.model
@options.jsonl
def command(file: str | None, model: str | None, jsonl: bool) -> None:
    """Say what a model is, how it was trained and how good it is.
    """
    options.limit_threads(None)
    from charlm.cli.models import find_model
    from charlm.cli.output import write_table
    from charlm.modelfile import load
    if file is not None and model is not None and click.get_current_context().get_parameter_source(
            "model") is click.core.ParameterSource.COMMANDLINE:
        raise click.UsageError("a model is named twice; give FILE or -m")
    path = find_model(file or model)
    loaded = load(path)
    facts = {"file": path, "task": loaded.task, "model": loaded.config.describe(),
             "tokenizer": _tokens(loaded.tokenizer)}
    if loaded.separate_source:
        facts["source_tokenizer"] = _tokens(loaded.separate_source)
    if loaded.labels:
        facts["labels"] = f"{len(loaded.labels)}: {', '.join(loaded.labels.names[:LABELS])}" \
                          + (", …" if len(loaded.labels) > LABELS else "")
    if loaded.line_hashes:
        hashes = loaded.line_hashes.tensor
        facts["known_lines"] = f"{len(hashes)} hashes, {hashes.nbytes} bytes"
    trained = {name: value for name, value in loaded.training.items() if name not in facts}
    write_table(facts | trained, jsonl=jsonl)


def _tokens(tokenizer) -> str:
    return f"{tokenizer.kind}, {tokenizer.size} tokens"
