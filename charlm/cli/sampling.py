"""Helpers of the verbs that sample: the options of `sample`, the seed, and a warning about the prompt."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import click

from charlm.cli.exit_codes import message
from charlm.config import SamplingConfig
from charlm.errors import UsageError

if TYPE_CHECKING:
    from charlm.contract import Tokenizer


NAMED = 10                              # unknown characters in a warning
_TWO_PROMPTS = "give -p/--prompt or -f/--prompt-file, not both"
_ESCAPES = {"\\n": "\n", "\\t": "\t", "\\r": "\r", "\\0": "\0", "\\\\": "\\"}


def unescaped(text: str) -> str:
    """Return a separator with its escapes replaced. Raises UsageError for an unknown escape.

    >>> unescaped("\\\\n--\\\\0")
    '\\n--\\x00'
    """
    def replacement(found: re.Match[str]) -> str:
        if found[0] not in _ESCAPES:
            raise UsageError(f"--separator has the unknown escape {found[0]}; known are {' '.join(_ESCAPES)}")
        return _ESCAPES[found[0]]
    return re.sub(r"\\.?", replacement, text, flags=re.DOTALL)


@dataclass(frozen=True)
class SampleRequest:
    """The options of `charlm sample`."""

    model: str | None
    sampling: SamplingConfig
    length: int | None
    num_samples: int
    prompt: str | None
    prompt_file: str | None
    adapt: str
    no_echo: bool
    stop: tuple[str, ...]
    label: str | None
    unique: bool
    novel: bool
    match: str | None
    tries: int | None
    seed: int | None
    jsonl: bool
    threads: int | None
    errors: str
    separator: str | None
    best_of: int
    overlap: int | None
    max_overlap: int | None
    corpus: tuple[str, ...]
    min_distance: int | None
    interactive: bool

    def __post_init__(self) -> None:
        """Raise UsageError for options that exclude or require each other."""
        if self.prompt is not None and self.prompt_file is not None:
            raise click.UsageError(_TWO_PROMPTS)
        if self.separator is not None and self.jsonl:
            raise click.UsageError("--separator is for plain text; the records of --jsonl are lines")
        if self.corpus and not (self.overlap or self.max_overlap or self.min_distance):
            raise click.UsageError("--corpus is for --overlap, --max-overlap and --min-distance; add one of them")
        if self.tries is not None and self.tries < self.best_of:
            raise click.UsageError(f"--tries {self.tries} ends before the {self.best_of} candidates of --best-of")
        if self.interactive and (self.prompt is not None or self.prompt_file is not None):
            raise click.UsageError("--interactive asks for the prompts; leave out -p/--prompt and -f/--prompt-file")

    def line_option(self) -> str:
        """Return the first given option that only models of lines have, else an empty string."""
        given = {"--label": self.label is not None, "--unique": self.unique, "--novel": self.novel,
                 "--match": self.match is not None, "--min-distance": self.min_distance is not None,
                 "--tries": self.tries is not None and self.max_overlap is None}
        return next((name for name, is_given in given.items() if is_given), "")

    @property
    def end(self) -> str | None:
        """The text after each sample, or None without --separator."""
        return None if self.separator is None else unescaped(self.separator)

    def read_prompt(self) -> str:
        """Return the text to continue. Raises UsageError if it is not UTF-8, CorpusError if it cannot be read."""
        return read_prompt(self.prompt, self.prompt_file, self.errors)


def read_prompt(prompt: str | None, file: str | None, errors: str) -> str:
    """Return the prompt, or the text of its file. Raises UsageError or CorpusError as `SampleRequest.read_prompt`."""
    if prompt is not None and file is not None:
        raise click.UsageError(_TWO_PROMPTS)
    if file is None:
        prompt = prompt or ""
        if any("\ud800" <= character <= "\udfff" for character in prompt):
            raise UsageError("-p/--prompt is not UTF-8; put it into a file and use -f with --errors")
        return prompt
    from charlm.text.reading import read_text
    return "".join(read_text([file], errors, message))


class SampleWriter(Protocol):
    """Writes the samples of a request, for one kind of model."""

    text: str                           # the last text or line written so far, with its prompt

    @property
    def is_random(self) -> bool:
        """True if the samples depend on the seed."""

    def write(self, prompt: str, seed: int | None, *, echo: bool = True) -> None:
        """Write the samples after a prompt; with `echo`, the prompt is repeated unless --no-echo is given.

        If the seed is None, a random one is chosen and printed.
        Raises CharlmError if too few are found, UsageError for a prompt that the model does not take.
        """


def refuse_arguments(verb: str) -> None:
    """Refuse words after the options. Raises UsageError with the option that the prompt, or a model, lacks."""
    extra = click.get_current_context().args
    if extra and extra[0].endswith(".charlm"):
        raise click.UsageError(f"{verb} takes no argument; name the model with {shlex.join(['-m', extra[0]])}")
    if extra:
        raise click.UsageError(f"{verb} takes no argument; give the prompt with {shlex.join(['-p', ' '.join(extra)])}")


def choose_seed(given: int | None, *, used: bool) -> int:
    """Return the given seed, else a random one, which is printed to stderr if it is `used`."""
    if given is not None:
        return given
    import secrets
    seed = secrets.randbelow(1 << 32)
    if used:
        message(f"seed {seed}")
    return seed


def warn_about_unknown(tokenizer: Tokenizer, prompt: str) -> None:
    """Warn if the prompt has characters that the model does not know, and name the first of them."""
    unknown = int((tokenizer.encode(prompt) == tokenizer.unknown_id).sum()) if prompt else 0
    if unknown:
        noun, verb = ("characters", "are") if unknown > 1 else ("character", "is")
        which = [one for one in dict.fromkeys(prompt) if (tokenizer.encode(one) == tokenizer.unknown_id).any()]
        named = ": " + " ".join(which[:NAMED]) + " …" * (len(which) > NAMED) if which else ""
        message(f"warning: {unknown} {noun} of the prompt {verb} unknown to the model{named}")
