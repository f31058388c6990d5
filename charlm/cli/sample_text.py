"""Samples of running text: generated in batches, the first of each batch written as it is generated."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from charlm.cli.output import Output, json_record
from charlm.cli.sampling import SampleRequest, choose_seed, warn_about_unknown
from charlm.errors import UsageError

if TYPE_CHECKING:
    from charlm.model import LanguageModel

MAX_BATCH = 64                          # samples


def sample(model: LanguageModel, request: SampleRequest, output: Output, prompt: str) -> None:
    """Write `num_samples` continuations of the prompt. Raises UsageError for an option of line models."""
    from charlm.model import LENGTH
    if flag := request.line_option():
        raise UsageError(f"{flag} is for models of lines; train one with --lines or --labels")
    warn_about_unknown(model.tokenizer, prompt)
    length = LENGTH if request.length is None else request.length
    seed = choose_seed(request.seed, used=request.sampling.temperature > 0 and length > 0 and request.num_samples > 0)
    writer = _JsonWriter(output, prompt, seed) if request.jsonl else \
        _TextWriter(output, "" if request.no_echo or not length else prompt, request.num_samples)
    for first in range(0, request.num_samples, MAX_BATCH):
        indices = range(first, min(first + MAX_BATCH, request.num_samples))
        writer.write(indices, model.generate(prompt, request.sampling, length=length, seed=seed, samples=indices,
                                             stop=request.stop))


class _TextWriter:
    """Writes samples as text: the first of a batch piece by piece, the others after it."""

    def __init__(self, output: Output, echo: str, count: int):
        self._output, self._echo, self._separate = output, echo, count > 1

    def write(self, indices: Sequence[int], pieces: Iterable[tuple[int, str]]) -> None:
        """Write the samples with these indices from (index, piece of text) pairs."""
        texts = dict.fromkeys(indices, "")
        self._output.write(self._echo)
        for index, text in pieces:
            if index == indices[0]:
                self._output.write(text)
            else:
                texts[index] += text
        self._end()
        for index in indices[1:]:
            self._output.write(self._echo + texts[index])
            self._end()

    def _end(self) -> None:
        # A single sample in a pipe is exact to the byte; several need a separator.
        if self._separate or self._output.on_terminal:
            self._output.end_line()


class _JsonWriter:
    """Writes samples as JSON records."""

    def __init__(self, output: Output, prompt: str, seed: int):
        self._output, self._prompt, self._seed = output, prompt, seed

    def write(self, indices: Sequence[int], pieces: Iterable[tuple[int, str]]) -> None:
        """Write the samples with these indices from (index, piece of text) pairs."""
        texts = dict.fromkeys(indices, "")
        for index, text in pieces:
            texts[index] += text
        for index in indices:
            self._output.write(json_record(sample=index, seed=self._seed, prompt=self._prompt, text=texts[index]))
