"""Samples of a line model: one line each, filtered as the user asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from charlm.cli.output import Output, json_record
from charlm.cli.sampling import SampleRequest, choose_seed, warn_about_unknown
from charlm.errors import CharlmError

if TYPE_CHECKING:
    from charlm.inference.line_sampling import SampledLine
    from charlm.model import LanguageModel


def sample(model: LanguageModel, request: SampleRequest, output: Output, prompt: str) -> None:
    """Write `num_samples` lines that begin with the prompt. Raises CharlmError if too few are found."""
    from charlm.inference.line_sampling import LineSamplingConfig
    prefix = prompt.removesuffix("\n") if request.prompt_file else prompt
    max_length = model.max_line_length() if request.length is None else request.length
    lines_config = LineSamplingConfig(request.sampling, 0, max_length, prefix, request.label, request.stop)
    sampler = model.filtered_line_sampler(lines_config, unique=request.unique, novel=request.novel,
                                          match=request.match)
    warn_about_unknown(model.tokenizer, prefix)
    random = request.sampling.temperature > 0 and request.length != 0 or bool(model.labels) and request.label is None
    seed = choose_seed(request.seed, used=random and request.num_samples > 0)
    sampler = sampler.with_seed(seed)
    if max_length == 0:
        return                          # no output, as with running text
    show = _Format(request, prefix, seed)
    for lines in sampler.lines(request.num_samples, tries=request.tries):
        output.write("".join(map(show, lines)))
    if sampler.found < request.num_samples:
        raise CharlmError(f"found {sampler.found} of {request.num_samples} lines among {sampler.tried} drawn; ask for "
                          "fewer with -N, allow more variety with --temp or -n, or raise --tries")


class _Format:
    """The output format of lines: alone, after a label that was not asked for, or as JSON records."""

    def __init__(self, request: SampleRequest, prefix: str, seed: int):
        self._request, self._prefix, self._seed = request, prefix, seed

    def __call__(self, line: SampledLine) -> str:
        new = line.text[len(self._prefix):]
        if self._request.jsonl:
            label = {} if line.label is None else {"label": line.label}
            return json_record(sample=line.index, seed=self._seed, prompt=self._prefix, **label, text=new)
        label_field = "" if line.label is None or self._request.label is not None else f"{line.label}\t"
        return f"{label_field}{'' if self._request.no_echo else self._prefix}{new}\n"
