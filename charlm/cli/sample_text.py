"""Samples of running text, several side by side; the first of them is written as it is made."""

from __future__ import annotations

import json

from charlm.cli.prompts import warn_of_unknown
from charlm.cli.sampling_flags import Flags
from charlm.cli.seeds import choose_seed
from charlm.errors import UsageError

LENGTH = 500                            # tokens
SIDE_BY_SIDE = 64                       # samples drawn at once


def sample(model, flags: Flags, config, output, prompt: str) -> None:
    """Write `num_samples` continuations of the prompt."""
    from charlm.inference.generation import generate
    from charlm.inference.network import Network
    if wrong := flags.of_lines_only():
        raise UsageError(f"{wrong} is for models of lines; train one with --lines or --labels")
    ids = model.tokenizer.encode(prompt)
    warn_of_unknown(model.tokenizer, prompt)
    length = LENGTH if flags.length is None else flags.length
    seed = choose_seed(flags.seed, used=flags.temperature > 0 and length > 0 and flags.num_samples > 0)
    network = Network(model.config, model.weights)
    writer = _JsonWriter(output, prompt, seed) if flags.jsonl else \
        _TextWriter(output, "" if flags.no_echo or not length else prompt, flags.num_samples)
    for first in range(0, flags.num_samples, SIDE_BY_SIDE):
        numbers = range(first, min(first + SIDE_BY_SIDE, flags.num_samples))
        writer.write(numbers, generate(network, model.tokenizer, ids, config, length=length,
                                       seed=seed, samples=numbers, stop=flags.stop))


class _TextWriter:
    """Samples as text: the first of those side by side as it is made, the others after it."""

    def __init__(self, output, echo: str, count: int):
        self._output, self._echo, self._many = output, echo, count > 1

    def write(self, numbers: range, pieces) -> None:
        texts = dict.fromkeys(numbers, "")
        self._output.write(self._echo)
        for number, text in pieces:
            if number == numbers[0]:
                self._output.write(text)
            else:
                texts[number] += text
        self._end()
        for number in numbers[1:]:
            self._output.write(self._echo + texts[number])
            self._end()

    def _end(self) -> None:
        # One sample into a pipe is exact to the byte; several need something between them.
        if self._many or self._output.on_terminal:
            self._output.end_line()


class _JsonWriter:
    """Samples as JSON objects, each when it is complete."""

    def __init__(self, output, prompt: str, seed: int):
        self._output, self._prompt, self._seed = output, prompt, seed

    def write(self, numbers: range, pieces) -> None:
        texts = dict.fromkeys(numbers, "")
        for number, text in pieces:
            texts[number] += text
        for number in numbers:
            record = {"sample": number, "seed": self._seed, "prompt": self._prompt,
                      "text": texts[number]}
            self._output.write(json.dumps(record, ensure_ascii=False) + "\n")
