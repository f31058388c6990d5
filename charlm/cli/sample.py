"""`charlm sample`: new text in a model's manner; running text as it is made, or lines."""

from __future__ import annotations

import click

from charlm.cli import options
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


@click.command("sample", epilog=EXAMPLES, short_help="Write new text in a model's manner.")
@options.model
@click.option("--temp", "--temperature", "temperature", type=float, default=1.0, show_default=True,
              help="Below 1 bolder, above 1 wilder; 0 always takes the likeliest.")
@options.top_k
@options.top_p
@options.min_p
@click.option("--repeat-penalty", type=float, default=1.0, show_default=True,
              help="Divide the logits of the last 64 tokens by this; 1 is off.")
@click.option("-n", "--length", type=click.IntRange(0),
              help="Tokens to write: characters, for a character model. Default: 500; of a line at most "
                   "500, or as many as the longest line of the training.")
@click.option("-N", "--num-samples", type=click.IntRange(0), default=1, show_default=True,
              help="Samples to write, a line break after each.")
@click.option("-p", "--prompt", "--prefix", "prompt", metavar="TEXT",
              help="Text to continue; every line begins with it.")
@click.option("-f", "--prompt-file", metavar="FILE", help="Continue a file's text; - is stdin.")
@click.option("--no-echo", is_flag=True, help="Write only what is new, not the prompt.")
@click.option("--stop", metavar="TEXT", multiple=True,
              help="End before this text; may be given several times.")
@click.option("--label", metavar="NAME",
              help="Lines of this label; without it labels are drawn, too, and written as label<TAB>line.")
@click.option("--unique", is_flag=True, help="No line twice.")
@click.option("--novel", is_flag=True, help="No line of the training text.")
@click.option("--match", metavar="REGEX", help="Only lines in which this is found.")
@click.option("--tries", type=click.IntRange(1),
              help="Give up after so many lines drawn. Default: 100 for each wanted, at least 10,000.")
@options.seed
@options.jsonl
@options.errors
@options.threads
def command(**given) -> None:
    """Write new text in a model's manner.

    Running text goes to stdout as it is made, exactly; on a terminal control characters are made
    visible. A model of lines (train --lines, --labels) writes one line a sample. When --unique, --novel
    and --match leave fewer lines than -N, those found are written and the exit code is 1.
    """
    flags = Flags(**given)
    if flags.prompt is not None and flags.prompt_file is not None:
        raise click.UsageError("give -p/--prompt or -f/--prompt-file, not both")
    options.limit_threads(flags.threads)
    from charlm.cli.models import load_model
    from charlm.cli.output import Output
    config, output, prompt = flags.sampling(), Output(), flags.read_prompt()
    model = load_model(flags.model, ("stream", "lines"))
    if model.task == "lines":
        from charlm.cli.sample_lines import sample
    else:
        from charlm.cli.sample_text import sample
    sample(model, flags, config, output, prompt)
