"""Samples of a line model: one line each, filtered as the user asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from charlm.cli.output import Output, json_record
from charlm.cli.sample_copies import Copies, corpus_lines
from charlm.cli.sampling import SampleRequest, SampleWriter, choose_seed, warn_about_unknown
from charlm.errors import CharlmError, UsageError

if TYPE_CHECKING:
    from charlm.inference.line_sampling import FilteredLineSampler, Refusal, SampledLine
    from charlm.model import LanguageModel


class LineWriter(SampleWriter):
    """Writes lines that begin with a prompt. Raises UsageError for an option of models of running text."""

    def __init__(self, model: LanguageModel, request: SampleRequest, output: Output):
        if request.adapt:
            raise UsageError(f"--adapt of sample is for models of running text, not for {model.task_row.model_phrase}")
        self._model, self._request, self._output = model, request, output
        self._max_length = model.max_line_length() if request.length is None else request.length
        self._end = "\n" if request.end is None else request.end
        self._copies = Copies(model, request)
        self._too_near = self._distance_refusal()
        self.text = ""

    @property
    def is_random(self) -> bool:
        """True if the lines depend on the seed."""
        request = self._request
        return request.sampling.temperature > 0 and request.length != 0 or \
            bool(self._model.labels) and request.label is None

    def write(self, prompt: str, seed: int | None, *, echo: bool = True) -> None:
        """Write `num_samples` lines that begin with the prompt. Raises CharlmError if too few are found."""
        label, prefix = self._request.label, prompt.removesuffix("\n") if self._request.prompt_file else prompt
        if self._request.interactive and self._model.labels and label is None and "\t" in prefix:
            label, _, prefix = prefix.partition("\t")
        sampler = self._sampler(prefix, label)
        if echo:
            warn_about_unknown(self._model.tokenizer, prefix)
        seed = choose_seed(seed, used=self.is_random and self._request.num_samples > 0)
        sampler = sampler.with_seed(seed)
        self.text = prompt
        if self._max_length == 0:
            return                      # no output, as with running text
        for lines in sampler.lines(self._request.num_samples, tries=self._request.tries):
            copies = self._copies.of(prefix, [line.text[len(prefix):] for line in lines])
            self._output.write("".join(self._formatted(line, prefix, label, seed, copy)
                                       for line, copy in zip(lines, copies, strict=True)))
            for line, copy in zip(lines, copies, strict=True):
                self._copies.report(line.index, copy)
        self._copies.close()
        if sampler.found < self._request.num_samples:
            raise CharlmError(f"found {sampler.found} of {self._request.num_samples} lines among {sampler.tried} "
                              "drawn; ask for fewer with -N, allow more variety with --temp or -n, or raise --tries")

    def _sampler(self, prefix: str, label: str | None) -> FilteredLineSampler:
        from charlm.inference.line_sampling import LineSamplingConfig
        request = self._request
        config = LineSamplingConfig(request.sampling, 0, self._max_length, prefix, label, request.stop,
                                    request.jsonl, request.best_of)
        copied = self._copies.refusal(prefix, included=True)
        return self._model.filtered_line_sampler(
            config, unique=request.unique, novel=request.novel, match=request.match,
            refusals=[refusal for refusal in (self._too_near, copied) if refusal])

    def _distance_refusal(self) -> Refusal | None:
        """Return the test for lines that are too close to a training line, or None without --min-distance."""
        distance, labelled = self._request.min_distance, bool(self._model.labels)
        if distance is None:
            return None
        known = corpus_lines(self._request, labelled=labelled) if self._request.corpus else None
        return self._model.near_lines(distance, known)

    def _formatted(self, line: SampledLine, prefix: str, label: str | None, seed: int, copy: str) -> str:
        """Return the line as a JSON record or as text, with its label in front if the label was random."""
        new = line.text[len(prefix):]
        if self._request.jsonl:
            named = {} if line.label is None else {"label": line.label}
            return json_record(sample=line.index, seed=seed, prompt=prefix, **named, text=new,
                               bits_per_character=round(line.bits_per_character, 6), **self._copies.fields(copy))
        label_field = "" if line.label is None or label is not None else f"{line.label}\t"
        return f"{label_field}{'' if self._request.no_echo else prefix}{new}{self._end}"
