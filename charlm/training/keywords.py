"""The command's options as keywords of `charlm.train`, for messages that the two share. No torch."""

from __future__ import annotations

import contextlib
import re
import shlex
from collections.abc import Iterator

from charlm.config import CorpusConfig, options_of
from charlm.errors import CharlmError
from charlm.tasks import TASKS
from charlm.training.options import TrainingOptions

_KEYWORDS = {
    "-o": "output", "--force": "replace=True", "--resume": "resume=True", "--new-corpus": "new_corpus=True",
    "--init-from": "init_from", "--device": "device", "--threads": "threads",
    **{its.flag: field.name for config in (CorpusConfig, TrainingOptions) for field, its in options_of(config)},
    **{f"--{task}": f'task="{task}"' for task in TASKS}}

_NEGATIONS = {its.negation: field.name for field, its in options_of(TrainingOptions) if its.negation}


def in_keywords(message: str) -> str:
    """Return a message with the command's options replaced by keywords.

    >>> in_keywords("--hidden is too large; lower it with --resume")
    'hidden_size is too large; lower it with resume=True'
    """
    return re.sub(r"(?<![\w-])--?[a-z][a-z-]*", lambda found: _KEYWORDS.get(found[0], found[0]), message)


def as_arguments(flags: str) -> str:
    """Return flags of the command, with their values, as arguments of `charlm.train`.

    >>> as_arguments("--steps 90 --cell gru --no-attention --tied")
    "steps=90, cell='gru', attention=False, tied=True"
    """
    words, arguments = shlex.split(flags), []
    while words:
        flag = words.pop(0)
        if flag in _NEGATIONS:
            arguments.append(f"{_NEGATIONS[flag]}=False")
            continue
        value = "True" if not words or words[0].startswith("--") else words.pop(0)
        plain = value == "True" or re.fullmatch(r"-?[\d.]+(e-?\d+)?", value)
        arguments.append(f"{_KEYWORDS.get(flag, flag)}={value if plain else repr(value)}")
    return ", ".join(arguments)


@contextlib.contextmanager
def in_words_of_python() -> Iterator[None]:
    """Replace the command's options by keywords in the messages of errors."""
    try:
        yield
    except CharlmError as error:
        error.args = (in_keywords(str(error)),)
        raise
