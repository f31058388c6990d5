"""Samples of a model of lines: one line each, those that are wanted."""

from __future__ import annotations

import json

from charlm.cli.prompts import warn_of_unknown
from charlm.cli.sampling_flags import Flags
from charlm.cli.seeds import choose_seed
from charlm.errors import CharlmError


def sample(model, flags: Flags, config, output, prompt: str) -> None:
    """Write `num_samples` lines that begin with the prompt. Raises CharlmError when too few are found."""
    from charlm.inference.line_sampling import FilteredLineSampler, LineSamplingConfig, max_line_length
    from charlm.inference.matmul import matmul_in_blocks
    from charlm.inference.network import Network
    prefix = prompt.removesuffix("\n") if flags.prompt_file else prompt
    longest = max_line_length(model.training) if flags.length is None else flags.length
    manner = LineSamplingConfig(config, 0, longest, prefix, flags.label, flags.stop)
    network = Network(model.config, model.weights, matmul=matmul_in_blocks)
    draw = FilteredLineSampler.of(network, model.tokenizer, model.labels, model.line_hashes, manner,
                                  unique=flags.unique, novel=flags.novel, match=flags.match)
    warn_of_unknown(model.tokenizer, prefix)
    drawn = flags.temperature > 0 and flags.length != 0 or model.labels and flags.label is None
    seed = choose_seed(flags.seed, used=bool(drawn) and flags.num_samples > 0)
    show = _Show(flags, prefix, seed)
    draw = draw.with_seed(seed)
    if longest == 0:
        return                          # no text at all, as of running text
    for lines in draw.lines(flags.num_samples, tries=flags.tries):
        output.write("".join(map(show, lines)))
    if draw.found < flags.num_samples:
        raise CharlmError(f"found {draw.found} of {flags.num_samples} lines among {draw.tried} drawn; "
                          "ask for fewer, draw more freely (--temp, -n), or raise --tries")


class _Show:
    """A line as it is written: alone, behind its label unless that was asked for, or as a record."""

    def __init__(self, flags: Flags, prefix: str, seed: int):
        self._flags, self._prefix, self._seed = flags, prefix, seed

    def __call__(self, line) -> str:
        new = line.text[len(self._prefix):]
        if self._flags.jsonl:
            label = {} if line.label is None else {"label": line.label}
            record = {"sample": line.index, "seed": self._seed, "prompt": self._prefix, **label, "text": new}
            return json.dumps(record, ensure_ascii=False) + "\n"
        label = "" if line.label is None or self._flags.label is not None else f"{line.label}\t"
        return f"{label}{'' if self._flags.no_echo else self._prefix}{new}\n"
