"""The picture of `charlm view --gradients`: how far back a loss reaches, in a plot or in columns."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence

from charlm.cli.exit_codes import message
from charlm.cli.models import load_model
from charlm.cli.output import Output, json_record
from charlm.cli.view_curves import speaks_unicode

CHARACTERS = 100_000                    # of the text, from its beginning


def show_gradients(source: str, paths: Sequence[str | None], *, color: str, jsonl: bool, errors: str) -> None:
    """Show the norms of gradients for a text and models; None is the default model. Raises CorpusError."""
    from charlm.cli.models import find_model
    from charlm.reports.heat_map import Style
    from charlm.reports.reach import plot_reach
    text = _beginning(source, errors)
    names = [find_model(path, "view") for path in paths]
    norms = [load_model(name, "view").gradient_reach(text).tolist() for name in names]
    output = Output()
    if jsonl:
        output.write("".join(json_record(model=name, norms=[float(f"{value:.6g}") for value in values])
                             for name, values in zip(names, norms, strict=True)))
    elif color == "always" or output.on_terminal:
        colours = color == "always" or color == "auto" and Style.of_environment(os.environ) is not None
        output.write_styled(plot_reach(names, norms, width=shutil.get_terminal_size().columns, colours=colours,
                                       unicode=speaks_unicode(os.environ)))
    else:
        output.write("model\tsteps_before\tgradient_norm\n")
        output.write("".join(f"{name}\t{step}\t{value:.6g}\n" for name, values in zip(names, norms, strict=True)
                             for step, value in enumerate(values, 1)))


def _beginning(source: str, errors: str) -> str:
    from charlm.text.reading import read_text
    chunks: list[str] = []
    size = 0
    for chunk in read_text([source], errors, message):
        chunks.append(chunk)
        size += len(chunk)
        if size >= CHARACTERS:
            break
    return "".join(chunks)[:CHARACTERS]
