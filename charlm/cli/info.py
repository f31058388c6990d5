"""`charlm info`: what a model is, how it was trained and how good it is."""

from __future__ import annotations

import click

from charlm.cli import options
from charlm.cli.output import write_table

EXAMPLES = """\b
Examples:
  charlm info
  charlm info big.charlm
  charlm info -m big.charlm --jsonl | jq .bits_per_character
"""

MAX_LABELS = 20                         # labels named


@options.model_command("info", EXAMPLES)
@options.jsonl
def command(file: str | None, model: str | None, jsonl: bool) -> None:
    """Describe a model, its training and its quality, one `name<TAB>value` line each."""
    options.limit_threads(None)
    from charlm.cli.models import find_model
    from charlm.modelfile import load
    if file is not None and click.get_current_context().get_parameter_source(
            "model") is click.core.ParameterSource.COMMANDLINE:
        raise click.UsageError("two models are named; give FILE or -m, not both")
    path = find_model(file or model)
    loaded = load(path)
    fields: dict[str, object] = {"file": path, "task": loaded.task, "model": loaded.config.describe()}
    for name, tokenizer in (("tokenizer", loaded.tokenizer), ("source_tokenizer", loaded.separate_source)):
        if tokenizer is not None:
            fields[name] = f"{tokenizer.kind}, {tokenizer.size} tokens"
    if labels := loaded.labels:
        named = ", ".join(labels.names[:MAX_LABELS])
        fields["labels"] = f"{len(labels)}: {named}" + (", …" if len(labels) > MAX_LABELS else "")
    if loaded.line_hashes:
        hashes = loaded.line_hashes.tensor
        fields["known_lines"] = f"{len(hashes)} hashes, {hashes.nbytes} bytes"
    write_table(fields | {name: value for name, value in loaded.training.items() if name not in fields}, jsonl=jsonl)
