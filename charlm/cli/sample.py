"""`charlm sample`: new text from a model; running text as it is generated, or lines."""

from __future__ import annotations

import shlex
from typing import Any

import click

from charlm.cli import options
from charlm.cli.metering import watch_prompt
from charlm.cli.output import Output
from charlm.cli.sampling import SampleRequest

EXAMPLES = """\b
Examples:
  charlm sample --temp 0.8
  charlm sample -p 'ROMEO:' -n 500 --top-p 0.9 --seed 7 | less
  charlm sample -N 20 -n 200 --jsonl | jq -r .text
  charlm sample --adapt -f letters.txt --no-echo
  printf 'Once upon a time' | charlm sample -f - --stop '.'
  charlm sample -m names.charlm -N 20 --unique --novel --prefix Jo
  charlm sample -m surnames.charlm --label Irish -N 5 --match '^O'
"""


@click.command("sample", epilog=EXAMPLES, cls=options.AdaptCommand,
               context_settings={"allow_extra_args": True})
@options.model
@options.sampling_options
@options.option("-n", "--length", type=click.IntRange(0),
              help="Tokens to generate; characters, for a character model. Default: 500; lines end earlier, and at "
                   "most at 500 tokens or the length of the longest training line, whichever is greater.")
@options.option("-N", "--num-samples", type=click.IntRange(0), default=1, show_default=True,
              help="Samples to write, each followed by a line break.")
@options.option("-p", "--prompt", "--prefix", "prompt", metavar="TEXT",
              help="Text to continue; with a line model, the beginning of each line.")
@options.option("-f", "--prompt-file", metavar="FILE", help="Continue the text of a file; - is stdin.")
@options.adapt("Learn from the prompt before writing; for models of running text.")
@options.option("--no-echo", is_flag=True, help="Write only the new text, not the prompt.")
@options.option("--stop", metavar="TEXT", multiple=True, help="Stop before this text; can be given several times.")
@options.option("--label", metavar="NAME",
              help="Generate lines with this label. Default: random labels, written as label<TAB>line.")
@options.option("--unique", is_flag=True, help="Write no line twice.")
@options.option("--novel", is_flag=True, help="Write no line that is in the training text.")
@options.option("--match", metavar="REGEX", help="Write only lines that contain a match of this regular expression.")
@options.option("--tries", type=click.IntRange(1),
              help="Give up after generating this many lines. Default: 100 times -N, at least 10,000.")
@options.seed
@options.jsonl
@options.errors
@options.threads
def command(**given: Any) -> None:
    """Generate text that resembles the training text.

    Running text is written to stdout as it is generated, byte for byte; on a terminal control characters
    are made visible. A line model (train --lines, --labels) writes one line per sample. If --unique,
    --novel and --match leave fewer lines than -N, those found are written and the exit code is 1.
    """
    if extra := click.get_current_context().args:
        prompt = shlex.join(["-p", " ".join(extra)])
        raise click.UsageError(f"sample takes no argument; give the prompt with {prompt}")
    request = SampleRequest(**given)
    if request.prompt is not None and request.prompt_file is not None:
        raise click.UsageError("give -p/--prompt or -f/--prompt-file, not both")
    options.limit_threads(request.threads)
    from charlm.cli.models import load_model
    output, prompt = Output(), request.read_prompt()
    model = load_model(request.model, "sample")
    watch_prompt(model, prompt)
    if model.task_row.by_line:
        from charlm.cli.sample_lines import sample
    else:
        from charlm.cli.sample_text import sample
    sample(model, request, output, prompt)
