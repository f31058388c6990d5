"""A summary of a model as plain values: what `charlm info` prints and `LanguageModel.info` returns."""

from __future__ import annotations

from typing import Any

from charlm.modelfile import Model, content_digest

MAX_LABELS = 20                         # labels that are listed


def described(model: Model) -> dict[str, Any]:
    """Return a model's task, network, training and quality."""
    fields: dict[str, Any] = {"task": model.task, "model": model.config.describe()}
    for name, tokenizer in (("tokenizer", model.tokenizer), ("source_tokenizer", model.separate_source)):
        if tokenizer is not None:
            fields[name] = f"{tokenizer.kind}, {tokenizer.size} tokens"
    if labels := model.labels:
        named = ", ".join(labels.names[:MAX_LABELS])
        fields["labels"] = f"{len(labels)}: {named}" + (", …" if len(labels) > MAX_LABELS else "")
    if model.line_hashes:
        hashes = model.line_hashes.tensor
        fields["known_lines"] = f"{len(hashes)} hashes, {hashes.nbytes} bytes"
    if model.remembered:
        fields["remembered"] = model.remembered.describe()
    fields |= {name: value for name, value in model.training.items() if name not in {"file", *fields}}
    return fields | {"content_digest": content_digest(model)}


def summary(model: Model) -> dict[str, Any]:
    """Return the same plus the provenance and the whole history of the run, which is None if the file has none."""
    return described(model) | {"provenance": model.provenance.to_json(),
                               "history": None if model.history is None else model.history.to_json()}


def one_line(model: Model) -> str:
    """Return task, network, vocabulary and quality on one line.

    Measures of quality that are not in the file are left out.
    """
    config, tokenizer = model.config, model.tokenizer
    parts = [f"{config.num_layers}-layer {config.cell} of {config.hidden_size}"]
    parts.append(f"{tokenizer.kind} {tokenizer.size} tokens")
    if model.labels:
        parts.append(f"{len(model.labels)} labels")
    for name, unit, scale in (("word_error_rate", "% of words wrong", 100), ("bits_per_character",
                                                                            "bits per character", 1)):
        value = model.training.get(name)
        if isinstance(value, (int, float)):
            parts.append(f"{scale * value:.2f} {unit}")
    return f"{model.task}: {', '.join(parts)}"
