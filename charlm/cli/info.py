"""`charlm info`: what a model is, how it was trained and how good it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from charlm.cli import options
from charlm.cli.output import Output, plain, write_table

if TYPE_CHECKING:
    from charlm.modelfile import Model

EXAMPLES = """\b
Examples:
  charlm info
  charlm info big.charlm
  charlm info *.charlm
  charlm info models/ --jsonl | jq -c '{file, bits_per_character, seed}'
"""

CURVE_WIDTH = 40                        # characters
UNITS = {                               # of figures in the metadata of a training
    "step": "updates", "steps": "updates", "warmup": "updates", "nats_per_token": "nats", "bits_per_character": "bits",
    "train_characters": "characters", "validation_characters": "characters", "train_tokens": "tokens",
    "train_lines": "lines", "validation_lines": "lines", "train_pairs": "pairs", "validation_pairs": "pairs",
    "longest_line": "tokens", "target_ratio": "target tokens per source token", "batch_size": "sequences",
    "bptt": "tokens", "patience": "validations"}


@click.command("info", epilog=EXAMPLES)
@click.argument("files", nargs=-1, metavar="[FILE]...")
@options.model
@options.jsonl
def command(files: tuple[str, ...], model: str | None, jsonl: bool) -> int:
    """Describe a model, its training and its quality, one `name<TAB>value` line each; with units on a terminal.

    The content digest is the same for all runs of one command, because it covers no dates, times or names. --jsonl
    includes the whole history of the run: its curves, validations and samples.

    Several files, or a folder, give a table of models: task, size in bytes, bits per character, date, corpus and file.
    Files that are damaged or not models are reported, the others are shown, and the exit code is 3.
    """
    options.limit_threads(None)
    from charlm.cli.inventory import answer_all, means_several, show_table
    from charlm.cli.models import find_model
    from charlm.modelfile import load
    if files and click.get_current_context().get_parameter_source("model") is click.core.ParameterSource.COMMANDLINE:
        raise click.UsageError("two models are named; give FILE or -m, not both")
    if means_several(files):
        return answer_all(files, _write_record)[1] if jsonl else show_table(files)
    path = find_model((files[0] if files else None) or model)
    if jsonl:
        _write_record(path)
        return 0
    loaded = load(path)
    fields = _described(path, loaded) | _story(loaded)
    output = Output()
    if output.on_terminal:
        output.write(_aligned(fields))
    else:
        write_table(fields, jsonl=False)
    return 0


def _write_record(path: str) -> None:
    """Write everything known about a model as one JSON object."""
    from charlm.modelfile import load
    from charlm.summary import summary
    loaded = load(path)
    write_table({"file": path} | summary(loaded), jsonl=True)


def _described(path: str, model: Model) -> dict[str, object]:
    """Return what a model is, how it was trained and how good it is."""
    from charlm.summary import described
    return {"file": path} | described(model)


def _story(model: Model) -> dict[str, object]:
    """Return where a model comes from and how its run went, in one line each."""
    from charlm.reports.curves import sparkline
    fields: dict[str, object] = {name: _one_line(value) for name, value in model.provenance.to_json().items()}
    history = model.history
    if history is not None and len(history.steps):
        fields["history"] = f"{len(history.steps)} points up to step {history.steps[-1]}"
        losses = history.held_out_loss.tolist()
        for name, values in (("training_curve", history.loss.tolist()), ("held_out_curve", losses)):
            if values:
                line = sparkline(values, CURVE_WIDTH, logarithmic=True)
                fields[name] = f"{line} {values[0]:.4f} → {values[-1]:.4f}, least {min(values):.4f}"
        for row in history.layers()[-1:]:
            fields["gradient_norms"] = ", ".join(f"{name}: {norm:.3g}" for name, norm in
                                                 zip(history.layer_names, row.norms, strict=True))
    return fields


def _one_line(value: object) -> object:
    """Return a value with its line breaks and tabs escaped, as file names and commands may have them."""
    if isinstance(value, list):
        return [_one_line(one) for one in value]
    return value.replace("\n", "\\n").replace("\t", "\\t") if isinstance(value, str) else value


def _aligned(fields: dict[str, object]) -> str:
    """Return a table for reading, with units."""
    width = max(map(len, fields))
    return "".join(f"{name.replace('_', ' '):{width}}  {_with_unit(name, value)}\n" for name, value in fields.items())


def _with_unit(name: str, value: object) -> str:
    """Return a value as plain words with its unit.

    >>> _with_unit("steps", 12000), _with_unit("word_error_rate", 0.021), _with_unit("seconds", 75.2)
    ('12,000 updates', '2.1 %', '75.2 s (1:15)')
    """
    if name == "seconds" and isinstance(value, float):
        from charlm.reports.curves import format_duration
        return f"{value:g} s ({format_duration(value)})"
    if name.endswith("error_rate") and isinstance(value, float):
        return f"{100 * value:.4g} %"
    text = f"{value:,}" if type(value) is int else plain(value)
    return f"{text} {UNITS[name]}" if name in UNITS and isinstance(value, (int, float)) else text
