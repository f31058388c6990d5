"""What `charlm sample` was asked for: its options as given, and the settings that follow from them."""

from __future__ import annotations

from dataclasses import dataclass

from charlm.errors import UsageError


@dataclass(frozen=True)
class Flags:
    """The command's options as given."""

    model: str | None
    temperature: float
    top_k: int
    top_p: float
    min_p: float
    repeat_penalty: float
    length: int | None
    num_samples: int
    prompt: str | None
    prompt_file: str | None
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

    def of_lines_only(self) -> str:
        """The first given flag that only a model of lines can follow; nothing when there is none."""
        given = {"--label": self.label is not None, "--unique": self.unique, "--novel": self.novel,
                 "--match": self.match is not None, "--tries": self.tries is not None}
        return next((name for name, is_given in given.items() if is_given), "")

    def sampling(self):
        """The SamplingConfig. Raises UsageError naming the flag that is wrong."""
        from charlm.config import SamplingConfig
        return SamplingConfig(self.temperature, self.top_k, self.top_p, self.min_p, self.repeat_penalty)

    def read_prompt(self) -> str:
        """The text to continue."""
        if self.prompt_file is None:
            prompt = self.prompt or ""
            if any("\ud800" <= character <= "\udfff" for character in prompt):
                raise UsageError("-p/--prompt is not UTF-8; put it into a file and use -f with --errors")
            return prompt
        from charlm.text.reading import read_text
        return "".join(read_text([self.prompt_file], self.errors))
