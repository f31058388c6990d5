"""`charlm view`: a text as a model sees it, coloured in a terminal, as columns in a pipe."""

from __future__ import annotations

from typing import Any

import click

from charlm.cli import options
from charlm.cli.view_text import ViewRequest

EXAMPLES = """\b
Examples:
  charlm view verse.txt
  charlm view --top 5 verse.txt
  charlm view verse.txt --html verse.html
  charlm view --find quotes code.py | head -1
  charlm view --unit 2:137 --color always code.py | less -R
  charlm view verse.txt | sort -rn | head
  charlm view --gradients -m rnn.charlm verse.txt
"""


@options.model_command("view", EXAMPLES)
@options.option("--top", type=click.IntRange(1, 100), metavar="N",
              help="Print the N likeliest tokens in place of each one below it; with --find, N cells.")
@options.option("--unit", metavar="LAYER:INDEX",
              help="Colour by the activation of one cell instead; layers count from 1, cells from 0.")
@options.option("--find", metavar="REGEX",
              help="Rank the cells by how well they tell matches from other text: cell, area under the ROC curve, "
                   "high or low inside. Or a built-in question: quotes, brackets, column, word-start, capitals, "
                   "digits, urls; or all: the best cell for each of these.")
@options.option("--gradients", is_flag=True,
              help="How far back a loss reaches: for 1 to 200 tokens, the norm of its gradient with respect to the "
                   "state that many tokens before. Needs torch.")
@options.option("--html", metavar="FILE",
              help="Write one page that opens in a browser without a network: surprise, ranks, the likeliest tokens at "
                   "each place, and the 64 cells that answer a built-in question best.")
@options.option("--color", type=click.Choice(["auto", "always", "never"]), default="auto", show_default=True,
              help="Colours; auto: on a terminal, unless NO_COLOR is set.")
@options.jsonl
@options.errors
@options.cores
def command(**given: Any) -> None:
    """Show a text as a model sees it: every character on the colour of its surprise, and the strangest words.

    Without colours, in a pipe or with NO_COLOR, each token is a line: bits, line, token, entropy, rank,
    probability, as `score --level token --carry --more` writes it; with --unit the activation comes first. Running text
    is read from beginning to end with the state carried along, as `eval` does; lines are read each on their own.

    The activation of an lstm's cell is tanh(c), which its output gate may hide from the next layer; of other
    cells it is h. It is shown on the character after which it was reached.
    """
    request = ViewRequest(**given)
    asked = {"--find": request.find is not None, "--unit": request.unit is not None, "--gradients": request.gradients,
             "--html": request.html is not None}
    if sum(asked.values()) > 1:
        raise click.UsageError(f"give {' or '.join(flag for flag in asked if asked[flag])}, not both")
    workers = options.set_up_cores(request.threads)
    from charlm.cli.models import load_model
    if request.html is not None:
        from charlm.cli.view_page import write_page as show
    elif request.gradients:
        from charlm.cli.view_gradients import show_gradients as show
    elif request.find is not None:
        from charlm.cli.view_units import rank_units as show
    else:
        from charlm.cli.view_text import show_text as show
    source = request.source()
    show(load_model(request.model, "view"), source, request, workers)
