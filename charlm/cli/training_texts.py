"""The texts of a training run: which task they are for, and the corpus that they make."""

from __future__ import annotations

import click

TASK_FLAGS = {"text": "stream", "lines": "lines", "labels": "labels", "pairs": "pairs", "fill": "fill"}


def task_flag(flags: dict) -> str | None:
    """Which of the task's flags is given; they leave `flags`. Raises UsageError for two of them."""
    given = [name for name in TASK_FLAGS if flags.pop(name)]
    if len(given) > 1:
        raise click.UsageError(f"--{given[0]} and --{given[1]} are two tasks; give one")
    return TASK_FLAGS[given[0]] if given else None


def named_change(name: str, old, new) -> str:
    """A flag about the texts as it was and is now, as the user would type it."""
    if name == "task":
        flags = {task: f"--{flag}" for flag, task in TASK_FLAGS.items()}
        return f"{flags[old]} → {flags[new]}"
    return f"--{name.replace('_', '-')} {old} → {new}"


def task_of(flag: str | None) -> str | None:
    return "lines" if flag == "labels" else flag


def held_out_part(given: str | None) -> float | str | None:
    """A fraction when it is a number, else the name of a text."""
    if given is None:
        return None
    try:
        fraction = float(given)
    except ValueError:
        return given
    if not 0 < fraction < 1:
        raise click.UsageError(f"--validation {given}: a fraction lies between 0 and 1")
    return fraction


def read_corpus(flags: dict, past=None):
    """The texts read, their vocabularies fitted, their tokens made; and the task, recognised if need be.

    A run that goes on reads them as it did before.
    """
    from charlm.cli.exit_codes import message
    from charlm.text.reading import Text
    from charlm.text.tsv import looks_like_pairs
    texts = [Text(source, flags["errors"]) for source in flags["corpus"]]
    held_out = flags["validation"]
    held_out = Text(held_out, flags["errors"]) if isinstance(held_out, str) else held_out
    recognised = past is None and flags["task"] is None and looks_like_pairs(texts)
    task = past.task if past else task_of(flags["task"]) or ("pairs" if recognised else "stream")
    prepared = _prepare(task, texts, flags, recognised=recognised, validation=held_out, past=past)
    if recognised and not flags["quiet"]:
        message("these are pairs of source<TAB>target; --labels would read them as label<TAB>text, --text as "
            "running text")
    if task == "pairs" and prepared.repeated and not flags["quiet"]:
        message(f"pairs whose source stood before: {prepared.repeated}; each of its targets is learned")
    return prepared, task


def _prepare(task: str, texts, flags: dict, *, recognised: bool, validation, past=None):
    """The corpus of a task, read with what is known of it already. Raises CorpusError, UsageError."""
    tokenizer = past.tokenizer if past else flags["tokenizer"]
    source_tokenizer = past.source_tokenizer if past else flags["source_tokenizer"]
    how = {"vocabulary_size": flags["vocab_size"], "validation": validation}
    if task == "pairs":
        from charlm.text.pair_corpus import build_pair_corpus
        return build_pair_corpus(texts, tokenizer=tokenizer, source_tokenizer=source_tokenizer or "nfd",
                             otherwise="; --text reads it as running text" if recognised else "", **how)
    if source_tokenizer is not None:
        raise click.UsageError("--source-tokenizer is for pairs; a text has one tokenizer, --tokenizer")
    if tokenizer == "word":
        raise click.UsageError("--tokenizer word is for the targets of pairs; a text may hold any word")
    if task == "lines":
        from charlm.text.line_corpus import build_line_corpus
        return build_line_corpus(texts, labelled=past.labels is not None if past else flags["task"] == "labels",
                             tokenizer=tokenizer or "char", labels=past and past.labels, **how)
    from charlm.text.text_corpus import build_text_corpus
    return build_text_corpus(texts, tokenizer=tokenizer or "char", **how)
