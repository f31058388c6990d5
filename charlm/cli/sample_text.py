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
    echo = "" if request.no_echo or not length else prompt
    for first in range(0, request.num_samples, MAX_BATCH):
        indices = range(first, min(first + MAX_BATCH, request.num_samples))
        pieces = model.generate(prompt, request.sampling, length=length, seed=seed, samples=indices, stop=request.stop,
                                adapt=bool(request.adapt))
        if not request.jsonl:
            _write(output, indices, pieces, echo, separate=request.num_samples > 1)
            continue
        texts = dict.fromkeys(indices, "")
        for index, text in pieces:
            texts[index] += text
        for index, text in texts.items():
            output.write(json_record(sample=index, seed=seed, prompt=prompt, text=text))


def _write(output: Output, indices: Sequence[int], pieces: Iterable[tuple[int, str]], echo: str, *,
           separate: bool) -> None:
    """Write the samples with these indices as text: the first piece by piece, the others after it."""
    others = dict.fromkeys(indices[1:], "")
    output.write(echo)
    for index, text in pieces:
        if index in others:
            others[index] += text
        else:
            output.write(text)
    for text in ("", *(echo + other for other in others.values())):
        output.write(text)
        # A single sample in a pipe is exact to the byte; several need a separator.
        if separate or output.on_terminal:
            output.end_line()
