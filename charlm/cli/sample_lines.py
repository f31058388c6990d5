"""Samples of a model of lines: one line each, those that are wanted."""

from __future__ import annotations

import json
import re

from charlm.cli.boundary import say
from charlm.cli.sampling_flags import Flags
from charlm.cli.seeds import choose_seed
from charlm.errors import CharlmError, UsageError

FEWEST_TRIES, TRIES_A_LINE = 10_000, 100


def sample(model, flags: Flags, config, product, prompt: str) -> None:
    """Write `num_samples` lines that begin with the prompt. Raises CharlmError when too few are found."""
    from charlm.inference.cells import in_blocks
    from charlm.inference.line_sampling import Draw, LineWriter
    from charlm.inference.network import Network
    wanted = _wanted(model, flags)
    prefix = prompt.removesuffix("\n") if flags.prompt_file else prompt
    if "\n" in prefix:
        raise UsageError("--prefix holds a line break; a line of this model never does")
    _check_label(model, flags.label)
    unknown = int((model.tokenizer.encode(prefix) == model.tokenizer.unknown_id).sum()) if prefix else 0
    if unknown:
        say(f"warning: {unknown} characters of the prefix are unknown to the model")
    drawn = flags.temperature > 0 and flags.length != 0 or model.labels and flags.label is None
    seed = choose_seed(flags.seed, used=drawn and flags.num_samples > 0)
    writer = LineWriter(Network(model.config, model.weights, product=in_blocks), model.tokenizer,
                        model.labels)
    draw = Draw(writer, _manner(model, flags, config, seed=seed, prefix=prefix), wanted)
    show = _Show(flags, prefix, seed)
    tries = flags.tries or max(FEWEST_TRIES, TRIES_A_LINE * flags.num_samples)
    for lines in draw.lines(flags.num_samples, tries=tries):
        product.write("".join(map(show, lines)))
    if draw.found < flags.num_samples:
        raise CharlmError(f"found {draw.found} of {flags.num_samples} lines among {draw.tried} drawn; "
                          "ask for fewer, a higher --temp, or more --tries")


def _check_label(model, label: str | None) -> None:
    """Refuse a label that the model does not have, before a seed is told."""
    if label is not None and not model.labels:
        raise UsageError("--label: this model has no labels; train one with --labels")
    if label is not None:
        model.labels.number(label)


def _manner(model, flags: Flags, config, *, seed: int, prefix: str):
    from charlm.inference.line_sampling import Manner, longest_line
    longest = longest_line(model.training) if flags.length is None else flags.length
    return Manner(config, seed, longest, prefix, flags.label)


def _wanted(model, flags: Flags):
    from charlm.inference.line_sampling import Wanted
    try:
        match = None if flags.match is None else re.compile(flags.match)
    except re.error as error:
        raise UsageError(f"--match {flags.match!r} is no regular expression: {error}") from None
    return Wanted(flags.unique, model.known_lines if flags.novel else None, match)


class _Show:
    """A line as it is written: alone, behind its label unless that was asked for, or as a record."""

    def __init__(self, flags: Flags, prefix: str, seed: int):
        self._flags, self._prefix, self._seed = flags, prefix, seed

    def __call__(self, line) -> str:
        new = self._cut(line.text[len(self._prefix):])
        if self._flags.jsonl:
            label = {} if line.label is None else {"label": line.label}
            record = {"sample": line.number, "seed": self._seed, "prompt": self._prefix, **label, "text": new}
            return json.dumps(record, ensure_ascii=False) + "\n"
        label = "" if line.label is None or self._flags.label is not None else f"{line.label}\t"
        return f"{label}{'' if self._flags.no_echo else self._prefix}{new}\n"

    def _cut(self, text: str) -> str:
        """What stands before the first stop text."""
        from charlm.inference.generation import StopAt
        stop = StopAt(self._flags.stop)
        return stop.push(text) + stop.flush()
