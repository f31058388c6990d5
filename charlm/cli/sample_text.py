"""Samples of running text: generated in batches, the first of each batch written as it is generated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from charlm.cli.output import Output, json_record
from charlm.cli.sample_copies import Copies
from charlm.cli.sampling import SampleRequest, SampleWriter, choose_seed, warn_about_unknown
from charlm.errors import CharlmError, UsageError

if TYPE_CHECKING:
    from charlm.inference.choosing import Sample
    from charlm.inference.generation import Key
    from charlm.model import LanguageModel

RULE = "─" * 40 + "\n"                  # between samples on a terminal


class TextWriter(SampleWriter):
    """Writes continuations of a prompt. Raises UsageError for an option of line models."""

    def __init__(self, model: LanguageModel, request: SampleRequest, output: Output):
        from charlm.model import LENGTH
        if flag := request.line_option():
            raise UsageError(f"{flag} is for models of lines; train one with --lines or --labels")
        self._model, self._request, self._output = model, request, output
        self._length = LENGTH if request.length is None else request.length
        self._end, self._copies = request.end, Copies(model, request)
        self.text = ""

    @property
    def is_random(self) -> bool:
        """True if the samples depend on the seed."""
        return self._request.sampling.temperature > 0 and self._length > 0

    def write(self, prompt: str, seed: int | None, *, echo: bool = True) -> None:
        """Write `num_samples` continuations of the prompt. Raises CharlmError if too few are found."""
        request, found = self._request, 0
        if echo:
            warn_about_unknown(self._model.tokenizer, prompt)
        seed = choose_seed(seed, used=self.is_random and request.num_samples > 0)
        self._echo = "" if request.no_echo or not self._length or not echo else prompt
        chosen = request.jsonl or request.best_of > 1 or request.max_overlap is not None
        for samples in self._choose(prompt, seed) if chosen else self._stream(prompt, seed):
            found += len(samples)
            for sample, copy in zip(samples, self._copies.of(prompt, [one.text for one in samples]), strict=True):
                if request.jsonl:
                    self._output.write(json_record(
                        sample=sample.number, seed=seed, prompt=prompt, text=sample.text,
                        bits_per_character=round(sample.bits_per_character, 6), **self._copies.fields(copy)))
                elif chosen:
                    self._write_whole(sample)
                self._copies.report(sample.number, copy)
                self.text = prompt + sample.text
        self._copies.close()
        if found < request.num_samples:
            raise CharlmError(f"found {found} of {request.num_samples} samples: too many candidates copy "
                              f"{request.max_overlap} characters or more; raise --max-overlap, --temp or --tries")

    def _choose(self, prompt: str, seed: int) -> Iterator[list[Sample]]:
        """Yield blocks of samples; each sample is the best of its candidates that are not refused."""
        from charlm.inference.choosing import choose, collect
        request = self._request

        def draw(keys: Sequence[Key]) -> list[Sample]:
            return collect(keys, self._model.generate_measured(
                prompt, request.sampling, length=self._length, seed=seed, keys=keys, stop=request.stop,
                adapt=bool(request.adapt)))
        tries = None if self.is_random else request.best_of         # greedy candidates are all the same
        return choose(draw, range(request.num_samples), best_of=request.best_of, tries=tries or request.tries,
                      refuse=self._copies.refusal(prompt))

    def _stream(self, prompt: str, seed: int) -> Iterator[list[Sample]]:
        """Write samples and yield them in blocks; the first of each block is streamed, the others follow it."""
        from charlm.inference.choosing import MAX_BATCH, Sample
        for first in range(0, self._request.num_samples, MAX_BATCH):
            indices = range(first, min(first + MAX_BATCH, self._request.num_samples))
            texts = dict.fromkeys(indices, "")
            self._output.write(self._echo)
            self.text = prompt
            for index, text in self._model.generate(
                    prompt, self._request.sampling, length=self._length, seed=seed, samples=indices,
                    stop=self._request.stop, adapt=bool(self._request.adapt)):
                texts[index] += text
                if index == first:
                    self._output.write(text)
                    self.text += text
            samples = [Sample(index, text, 0.0) for index, text in texts.items()]
            self._end_sample(first)
            for sample in samples[1:]:
                self._write_whole(sample)
            yield samples

    def _write_whole(self, sample: Sample) -> None:
        self._output.write(self._echo + sample.text)
        self._end_sample(sample.number)

    def _end_sample(self, number: int) -> None:
        """Write what follows a sample. In a pipe, a single sample is exact to the byte; several need a separator."""
        if self._end is not None:
            self._output.write(self._end)
        elif self._request.num_samples > 1 or self._output.on_terminal:
            self._output.end_line()
            if self._output.on_terminal and number + 1 < self._request.num_samples:
                self._output.write(RULE)
