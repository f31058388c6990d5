"""Samples of a line model: one line each, filtered as the user asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from charlm.cli.output import Output, json_record
from charlm.cli.sampling import choose_seed, warn_about_unknown
from charlm.cli.sampling_flags import Flags
from charlm.errors import CharlmError

if TYPE_CHECKING:
    from charlm.config import SamplingConfig
    from charlm.inference.line_sampling import SampledLine
    from charlm.modelfile import Model


def sample(model: Model, flags: Flags, config: SamplingConfig, output: Output, prompt: str) -> None:
    """Write `num_samples` lines that begin with the prompt. Raises CharlmError if too few are found."""
    from charlm.inference.line_sampling import FilteredLineSampler, LineSamplingConfig, max_line_length
    prefix = prompt.removesuffix("\n") if flags.prompt_file else prompt
    max_length = max_line_length(model.training) if flags.length is None else flags.length
    lines_config = LineSamplingConfig(config, 0, max_length, prefix, flags.label, flags.stop)
    sampler = FilteredLineSampler.of(model, lines_config, unique=flags.unique, novel=flags.novel, match=flags.match)
    warn_about_unknown(model.tokenizer, prefix)
    random = flags.temperature > 0 and flags.length != 0 or bool(model.labels) and flags.label is None
    seed = choose_seed(flags.seed, used=random and flags.num_samples > 0)
    sampler = sampler.seeded(seed)
    if max_length == 0:
        return                          # no output, as with running text
    show = _Format(flags, prefix, seed)
    for lines in sampler.lines(flags.num_samples, tries=flags.tries):
        output.write("".join(map(show, lines)))
    if sampler.found < flags.num_samples:
        raise CharlmError(f"found {sampler.found} of {flags.num_samples} lines among {sampler.tried} drawn; ask for "
                          "fewer with -N, allow more variety with --temp or -n, or raise --tries")


class _Format:
    """The output format of lines: alone, after a label that was not asked for, or as JSON records."""

    def __init__(self, flags: Flags, prefix: str, seed: int):
        self._flags, self._prefix, self._seed = flags, prefix, seed

    def __call__(self, line: SampledLine) -> str:
        new = line.text[len(self._prefix):]
        if self._flags.jsonl:
            label = {} if line.label is None else {"label": line.label}
            return json_record(sample=line.number, seed=self._seed, prompt=self._prefix, **label, text=new)
        label_field = "" if line.label is None or self._flags.label is not None else f"{line.label}\t"
        return f"{label_field}{'' if self._flags.no_echo else self._prefix}{new}\n"
