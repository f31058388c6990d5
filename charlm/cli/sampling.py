"""Helpers of the verbs that sample: the options of `sample`, the seed, and a warning about the prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from charlm.cli.exit_codes import message
from charlm.config import SamplingConfig
from charlm.errors import UsageError

if TYPE_CHECKING:
    from charlm.contract import Tokenizer


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

    def line_option(self) -> str:
        """Return the first given option that only models of lines have, else an empty string."""
        given = {"--label": self.label is not None, "--unique": self.unique, "--novel": self.novel,
                 "--match": self.match is not None, "--tries": self.tries is not None}
        return next((name for name, is_given in given.items() if is_given), "")

    def read_prompt(self) -> str:
        """Return the text to continue. Raises UsageError if it is not UTF-8, CorpusError if it cannot be read."""
        if self.prompt_file is None:
            prompt = self.prompt or ""
            if any("\ud800" <= character <= "\udfff" for character in prompt):
                raise UsageError("-p/--prompt is not UTF-8; put it into a file and use -f with --errors")
            return prompt
        from charlm.text.reading import read_text
        return "".join(read_text([self.prompt_file], self.errors, message))


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
    """Warn if the prompt has characters that the model does not know."""
    unknown = int((tokenizer.encode(prompt) == tokenizer.unknown_id).sum()) if prompt else 0
    if unknown:
        noun, verb = ("characters", "are") if unknown > 1 else ("character", "is")
        message(f"warning: {unknown} {noun} of the prompt {verb} unknown to the model")
