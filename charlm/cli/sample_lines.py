"""Samples of a line model: one line each, filtered as the user asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from charlm.cli.output import Output, json_record
from charlm.cli.sampling import SampleRequest, choose_seed, warn_about_unknown
from charlm.errors import CharlmError, UsageError

if TYPE_CHECKING:
    from charlm.inference.line_sampling import SampledLine
    from charlm.model import LanguageModel


def sample(model: LanguageModel, request: SampleRequest, output: Output, prompt: str) -> None:
    """Write `num_samples` lines that begin with the prompt. Raises CharlmError if too few are found."""
    from charlm.inference.line_sampling import LineSamplingConfig
    if request.adapt:
        raise UsageError(f"--adapt of sample is for models of running text, not for {model.task_row.model_phrase}")
    prefix = prompt.removesuffix("\n") if request.prompt_file else prompt
    max_length = model.max_line_length() if request.length is None else request.length
    lines_config = LineSamplingConfig(request.sampling, 0, max_length, prefix, request.label, request.stop)
    sampler = model.filtered_line_sampler(lines_config, unique=request.unique, novel=request.novel, match=request.match)
    warn_about_unknown(model.tokenizer, prefix)
    random = request.sampling.temperature > 0 and request.length != 0 or bool(model.labels) and request.label is None
    seed = choose_seed(request.seed, used=random and request.num_samples > 0)
    sampler = sampler.with_seed(seed)
    if max_length == 0:
        return                          # no output, as with running text
    for lines in sampler.lines(request.num_samples, tries=request.tries):
        output.write("".join(_formatted(line, request, prefix, seed) for line in lines))
    if sampler.found < request.num_samples:
        raise CharlmError(f"found {sampler.found} of {request.num_samples} lines among {sampler.tried} drawn; ask for "
                          "fewer with -N, allow more variety with --temp or -n, or raise --tries")


def _formatted(line: SampledLine, request: SampleRequest, prefix: str, seed: int) -> str:
    """Return the line alone, after a label that was not asked for, or as a JSON record."""
    new = line.text[len(prefix):]
    if request.jsonl:
        label = {} if line.label is None else {"label": line.label}
        return json_record(sample=line.index, seed=seed, prompt=prefix, **label, text=new)
    label_field = "" if line.label is None or request.label is not None else f"{line.label}\t"
    return f"{label_field}{'' if request.no_echo else prefix}{new}\n"
