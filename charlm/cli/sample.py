"""`charlm sample`: new text from a model; running text as it is generated, or lines."""

from __future__ import annotations

import shlex

import click

from charlm.cli import options
from charlm.cli.output import Output
from charlm.cli.sampling_flags import Flags

EXAMPLES = """\b
Examples:
  charlm sample --temp 0.8
  charlm sample -p 'ROMEO:' -n 500 --top-p 0.9 --seed 7 | less
  charlm sample -N 20 -n 200 --jsonl | jq -r .text
  printf 'Once upon a time' | charlm sample -f - --stop '.'
  charlm sample -m names.charlm -N 20 --unique --novel --prefix Jo
  charlm sample -m surnames.charlm --label Irish -N 5 --match '^O'
"""


@click.command("sample", epilog=EXAMPLES, short_help="Generate text.", context_settings={"allow_extra_args": True})
@options.model
@click.option("--temp", "--temperature", "temperature", type=float, default=1.0, show_default=True,
              help="Below 1: safer and more repetitive; above 1: more varied; 0: always the likeliest token.")
@options.top_k
@options.top_p
@options.min_p
@click.option("--repeat-penalty", type=float, default=1.0, show_default=True,
              help="Divide the logits of the last 64 tokens by this; 1 is off.")
@click.option("-n", "--length", type=click.IntRange(0),
              help="Tokens to generate; characters, for a character model. Default: 500; lines end earlier, and at "
                   "most at 500 tokens or the length of the longest training line, whichever is greater.")
@click.option("-N", "--num-samples", type=click.IntRange(0), default=1, show_default=True,
              help="Samples to write, each followed by a line break.")
@click.option("-p", "--prompt", "--prefix", "prompt", metavar="TEXT",
              help="Text to continue; with a line model, the beginning of each line.")
@click.option("-f", "--prompt-file", metavar="FILE", help="Continue the text of a file; - is stdin.")
@click.option("--no-echo", is_flag=True, help="Write only the new text, not the prompt.")
@click.option("--stop", metavar="TEXT", multiple=True,
              help="Stop before this text; can be given several times.")
@click.option("--label", metavar="NAME",
              help="Generate lines with this label. Default: random labels, written as label<TAB>line.")
@click.option("--unique", is_flag=True, help="Write no line twice.")
@click.option("--novel", is_flag=True, help="Write no line that is in the training text.")
@click.option("--match", metavar="REGEX", help="Write only lines that contain a match of this regular expression.")
@click.option("--tries", type=click.IntRange(1),
              help="Give up after generating this many lines. Default: 100 times -N, at least 10,000.")
@options.seed
@options.jsonl
@options.errors
@options.threads
def command(**given) -> None:
    """Generate text that resembles the training text.

    Running text is written to stdout as it is generated, byte for byte; on a terminal control characters
    are made visible. A line model (train --lines, --labels) writes one line per sample. If --unique,
    --novel and --match leave fewer lines than -N, those found are written and the exit code is 1.
    """
    if extra := click.get_current_context().args:
        prompt = shlex.join(["-p", " ".join(extra)])
        raise click.UsageError(f"sample takes no argument; give the prompt with {prompt}")
    flags = Flags(**given)
    if flags.prompt is not None and flags.prompt_file is not None:
        raise click.UsageError("give -p/--prompt or -f/--prompt-file, not both")
    options.limit_threads(flags.threads)
    from charlm.cli.models import load_model
    config, output, prompt = flags.sampling(), Output(), flags.read_prompt()
    model = load_model(flags.model, ("stream", "lines"))
    if model.task == "lines":
        from charlm.cli.sample_lines import sample
    else:
        from charlm.cli.sample_text import sample
    sample(model, flags, config, output, prompt)
