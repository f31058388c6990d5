"""`charlm sample`: new text from a model; running text as it is generated, or lines."""

from __future__ import annotations

from typing import Any

import click

from charlm.cli import options
from charlm.cli.metering import watch_prompt
from charlm.cli.output import Output
from charlm.cli.sampling import SampleRequest, SampleWriter, refuse_arguments

EXAMPLES = """\b
Examples:
  charlm sample --temp 0.8
  charlm sample -p 'ROMEO:' -n 500 --top-p 0.9 --seed 7 | less
  charlm sample -N 20 -n 200 --jsonl | jq -r .text
  charlm sample -N 3 --separator '\\0' | xargs -0 -n 1 echo
  charlm sample --best-of 8 --max-overlap 30 --corpus letters.txt
  charlm sample --interactive --temp 0.7
  charlm sample --adapt -f letters.txt --no-echo
  printf 'Once upon a time' | charlm sample -f - --stop '.'
  charlm sample -m names.charlm -N 20 --unique --novel --prefix Jo
  charlm sample -m names.charlm -N 20 --min-distance 2
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
              help="Number of samples, each followed by a line break; on a terminal, a rule separates texts.")
@options.option("--separator", metavar="TEXT",
              help=r"Write this after each sample instead of a line break; \n, \t, \r, \0 and \\ are escapes.")
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
@options.option("--min-distance", type=click.IntRange(1), metavar="EDITS",
              help="Write only lines that are at least this many edits away from every training line: 1 is the same "
                   "as --novel, 2 needs a character model or --corpus, more needs --corpus.")
@options.option("--best-of", type=click.IntRange(1, 1000), default=1, show_default=True, metavar="K",
              help="Draw K candidates for each sample and write the one with the fewest bits per character under the "
                   "model. This takes K times as long and gives more coherent but plainer text.")
@options.option("--overlap", type=click.IntRange(8), metavar="N",
              help="Report the longest copy of the training text in each sample if it has at least N characters. Needs "
                   "--corpus or, if N is at least 18, a model trained with --remember.")
@options.option("--max-overlap", type=click.IntRange(8), metavar="N",
              help="Redraw samples that copy N characters or more of the training text.")
@options.option("--corpus", metavar="FILE", multiple=True,
              help="The training text; a folder stands for all its files. Can be given several times.")
@options.option("--tries", type=click.IntRange(1),
              help="Give up after generating this many lines (default: 100 times -N, at least 10,000) or, for "
                   "--max-overlap with running text, this many candidates per sample (default: 100). --best-of "
                   "multiplies the default by K.")
@options.option("--interactive", is_flag=True,
              help="Ask for a prompt and continue it, repeatedly. An empty line continues the last text; Ctrl-C stops "
                   "a text, Ctrl-D quits.")
@options.seed
@options.jsonl
@options.errors
@options.threads
def command(**given: Any) -> None:
    """Generate text that resembles the training text.

    Running text is written to stdout as it is generated, byte for byte; on a terminal, control characters
    are made visible. A line model (train --lines, --labels) writes one line per sample. If fewer than -N
    samples meet conditions such as --unique, --novel and --max-overlap, the ones found are written and the
    exit code is 1. Records of --jsonl include the bits per character of the new text given the prompt,
    under the model's own distribution, before --temp and the filters. The end of a line counts as one
    character.
    """
    refuse_arguments("sample")
    request = SampleRequest(**given)
    options.limit_threads(request.threads)
    from charlm.cli.models import load_model
    output, prompt = Output(), request.read_prompt()
    model = load_model(request.model, "sample")
    watch_prompt(model, prompt)
    writer: SampleWriter
    if model.task_row.by_line:
        from charlm.cli.sample_lines import LineWriter
        writer = LineWriter(model, request, output)
    else:
        from charlm.cli.sample_text import TextWriter
        writer = TextWriter(model, request, output)
    if request.interactive:
        from charlm.cli.sample_interactive import converse
        converse(writer, request, output)
        return
    writer.write(prompt, request.seed)
