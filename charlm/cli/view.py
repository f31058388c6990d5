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
  charlm view --find quotes code.py | head -1
  charlm view --unit 2:137 --color always code.py | less -R
  charlm view verse.txt | sort -rn | head
  charlm view --html verse.html verse.txt
  charlm view --curves small.charlm large.charlm
  charlm view --gradients corpus.txt rnn.charlm lstm.charlm
"""


@click.command("view", epilog=EXAMPLES)
@click.argument("files", nargs=-1, metavar="[FILE]...")
@options.model
@options.option("--top", type=click.IntRange(1, 100), metavar="N",
              help="Print the N likeliest tokens in place of each one below it; with --find, N cells.")
@options.option("--unit", metavar="LAYER:INDEX",
              help="Colour by the activation of one cell instead; layers count from 1, cells from 0.")
@options.option("--find", metavar="REGEX",
              help="Rank the cells by how well they tell matches from other text: cell, area under the ROC curve, "
                   "high or low inside. Or a built-in question: quotes, brackets, column, word-start, capitals, "
                   "digits, urls; or all: the best cell for each of these.")
@options.option("--curves", is_flag=True,
              help="Show how the runs of the models FILE... went, in training and held out, side by side; in a pipe as "
                   "a table of model, step, loss, held_out, bits_per_character, error_rate, gradient_norm, "
                   "learning_rate, seconds, and the norm of the gradient in each layer.")
@options.option("--gradients", is_flag=True,
              help="Show how far back a loss reaches: the norm of its gradient with respect to the state 1 to 200 "
                   "steps before, for the text FILE and each model named after it, else that of -m. Needs torch.")
@options.option("--color", type=click.Choice(["auto", "always", "never"]), default="auto", show_default=True,
              help="Colours; auto: on a terminal, unless NO_COLOR is set.")
@options.option("--html", metavar="FILE",
              help="Write one page that opens offline: the text with what was expected at each character, 64 cells, "
                   "the curves of the run; for labelled lines also which labels are confused.")
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
    files, curves, gradients = given.pop("files"), given.pop("curves"), given.pop("gradients")
    if curves and gradients:
        raise click.UsageError("give --curves or --gradients, not both")
    if curves or gradients:
        _show_models(files, given, curves=curves)
        return
    if len(files) > 1:
        raise click.UsageError("give one text, or --curves or --gradients to compare several models")
    request = ViewRequest(file=files[0] if files else None, **given)
    if request.find == "":
        raise click.UsageError("--find is empty; give a regular expression or a built-in question")
    if request.find is not None and request.unit is not None:
        raise click.UsageError("give --find or --unit, not both")
    if request.html is not None and (request.find, request.unit, request.top) != (None, None, None):
        raise click.UsageError("--html shows units and guesses by itself; leave out --find, --unit and --top")
    workers = options.set_up_cores(request.threads)
    from charlm.cli.models import load_model
    if request.find is not None:
        from charlm.cli.view_units import rank_units as show
    elif request.html is not None:
        from charlm.cli.view_page import write_page as show
    else:
        from charlm.cli.view_text import show_text as show
    source, model = request.source(), load_model(request.model, "view")
    if model.task_row.reads_source and request.html is None:
        raise click.UsageError("of a pairs model there is a page to see, with --html; `charlm translate --alignment` "
                               "prints which letter made which part of a target")
    show(model, source, request, workers)


def _show_models(files: tuple[str, ...], given: dict[str, Any], *, curves: bool) -> None:
    """Show the curves of models, named as files or with -m, or their gradients for the text named first."""
    flag = "curves" if curves else "gradients"
    if other := next((name for name in ("top", "unit", "find", "html") if given[name] is not None), None):
        raise click.UsageError(f"give --{flag} or --{other}, not both")
    options.limit_threads(1)
    if curves:
        from charlm.cli.models import find_model
        from charlm.cli.view_curves import show_curves
        show_curves(files or [find_model(given["model"])], color=given["color"], jsonl=given["jsonl"])
        return
    from charlm.cli.line_input import input_source
    from charlm.cli.view_gradients import show_gradients
    show_gradients(input_source(files[0] if files else None), files[1:] or [given["model"]], color=given["color"],
                   jsonl=given["jsonl"], errors=given["errors"])
