"""`charlm sample`: new text in a model's manner, streamed as it is made."""

from __future__ import annotations

import json
from dataclasses import dataclass

import click

from charlm.cli import options
from charlm.errors import UsageError

EXAMPLES = """\b
Examples:
  charlm sample --temp 0.8
  charlm sample -p 'ROMEO:' -n 500 --top-p 0.9 --seed 7 | less
  charlm sample -N 20 -n 200 --jsonl | jq -r .text
  echo 'Once upon a time' | charlm sample -f - --stop '.'
"""

SIDE_BY_SIDE = 64                       # samples drawn at once


@dataclass(frozen=True)
class Flags:
    """The command's options as given."""

    model: str | None
    temperature: float
    top_k: int
    top_p: float
    min_p: float
    repeat_penalty: float
    length: int
    num_samples: int
    prompt: str | None
    prompt_file: str | None
    no_echo: bool
    stop: tuple[str, ...]
    seed: int | None
    jsonl: bool
    threads: int | None
    errors: str


@click.command("sample", epilog=EXAMPLES, short_help="Write new text in a model's manner.")
@options.model
@click.option("--temp", "--temperature", "temperature", type=float, default=1.0, show_default=True,
              help="Below 1 bolder, above 1 wilder; 0 always takes the likeliest.")
@options.top_k
@options.top_p
@options.min_p
@click.option("--repeat-penalty", type=float, default=1.0, show_default=True,
              help="Divide the logits of the last 64 tokens by this; 1 is off.")
@click.option("-n", "--length", type=click.IntRange(0), default=500, show_default=True,
              help="Tokens to write: characters, for a character model.")
@click.option("-N", "--num-samples", type=click.IntRange(0), default=1, show_default=True,
              help="Samples to write, a line break after each.")
@click.option("-p", "--prompt", metavar="TEXT", help="Text to continue.")
@click.option("-f", "--prompt-file", metavar="FILE", help="Continue a file's text; - is stdin.")
@click.option("--no-echo", is_flag=True, help="Write only what is new, not the prompt.")
@click.option("--stop", metavar="TEXT", multiple=True,
              help="End before this text; may be given several times.")
@options.seed
@options.jsonl
@options.errors
@options.threads
def command(**given) -> None:
    """Write new text in a model's manner.

    Text goes to stdout as it is made, exactly; on a terminal control characters are made visible.
    """
    flags = Flags(**given)
    if flags.prompt is not None and flags.prompt_file is not None:
        raise click.UsageError("give -p/--prompt or -f/--prompt-file, not both")
    options.limit_threads(flags.threads)
    _sample(flags)


def _prompt(flags: Flags) -> str:
    if flags.prompt_file is None:
        prompt = flags.prompt or ""
        if any("\ud800" <= character <= "\udfff" for character in prompt):
            raise UsageError("-p/--prompt is not UTF-8; put it into a file and use -f with --errors")
        return prompt
    from charlm.text.corpus import read_text
    return "".join(read_text([flags.prompt_file], flags.errors))


def _sample(flags: Flags) -> None:
    from charlm.cli.boundary import say
    from charlm.cli.models import open_model
    from charlm.cli.seeds import choose_seed
    from charlm.cli.streams import Product
    from charlm.config import SamplingConfig
    from charlm.inference.generation import generate
    config = SamplingConfig(flags.temperature, flags.top_k, flags.top_p, flags.min_p,
                            flags.repeat_penalty)
    product, prompt = Product(), _prompt(flags)
    model, network = open_model(flags.model, task="stream")
    ids = model.tokenizer.encode(prompt)
    unknown = int((ids == model.tokenizer.unknown_id).sum()) if prompt else 0
    if unknown:
        say(f"warning: {unknown} characters of the prompt are unknown to the model")
    seed = choose_seed(flags.seed, used=flags.temperature > 0 and flags.length > 0 and flags.num_samples > 0)
    writer = _JsonWriter(product, prompt, seed) if flags.jsonl else \
        _TextWriter(product, "" if flags.no_echo or not flags.length else prompt, flags.num_samples)
    for first in range(0, flags.num_samples, SIDE_BY_SIDE):
        numbers = range(first, min(first + SIDE_BY_SIDE, flags.num_samples))
        writer.write(numbers, generate(network, model.tokenizer, ids, config, length=flags.length,
                                       seed=seed, samples=numbers, stop=flags.stop))


class _TextWriter:
    """Samples as text: the first of those side by side as it is made, the others after it."""

    def __init__(self, product, echo: str, count: int):
        self._product, self._echo, self._many = product, echo, count > 1

    def write(self, numbers: range, pieces) -> None:
        texts = dict.fromkeys(numbers, "")
        self._product.write(self._echo)
        for number, text in pieces:
            if number == numbers[0]:
                self._product.write(text)
            else:
                texts[number] += text
        self._end()
        for number in numbers[1:]:
            self._product.write(self._echo + texts[number])
            self._end()

    def _end(self) -> None:
        # One sample into a pipe is exact to the byte; several need something between them.
        if self._many or self._product.on_terminal:
            self._product.end_line()


class _JsonWriter:
    """Samples as JSON objects, each when it is complete."""

    def __init__(self, product, prompt: str, seed: int):
        self._product, self._prompt, self._seed = product, prompt, seed

    def write(self, numbers: range, pieces) -> None:
        texts = dict.fromkeys(numbers, "")
        for number, text in pieces:
            texts[number] += text
        for number in numbers:
            record = {"sample": number, "seed": self._seed, "prompt": self._prompt,
                      "text": texts[number]}
            self._product.write(json.dumps(record, ensure_ascii=False) + "\n")
