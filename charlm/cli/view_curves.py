"""The curves of `charlm view --curves`: plots on a terminal, a table in a pipe."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence

from charlm.cli.exit_codes import message
from charlm.cli.output import Output, json_record
from charlm.errors import ModelFileError


def show_curves(paths: Sequence[str], *, color: str, jsonl: bool) -> None:
    """Show how the runs of these models went. Raises ModelFileError if none of them says."""
    from charlm.modelfile import load
    from charlm.reports.curves import Run, plots, table
    from charlm.reports.heat_map import Style
    from charlm.reports.layer_norms import norm_lines
    from charlm.reports.visible import visible
    runs = []
    for path in paths:
        history = load(path).history
        if history is None:
            message(f"{path} has no history: an older charlm trained it")
        else:
            runs.append(Run(path, history))
    if not runs:
        raise ModelFileError("no model with a history; train one with this version of charlm")
    output = Output()
    if jsonl:
        output.write("".join(json_record(model=run.name, **run.history.to_json()) for run in runs))
    elif color == "always" or output.on_terminal:
        colours = color == "always" or color == "auto" and Style.of_environment(os.environ) is not None
        width, unicode = shutil.get_terminal_size().columns, speaks_unicode(os.environ)
        output.write_styled("\n".join(filter(None, [
            plots(runs, width=width, unicode=unicode, colours=colours),
            *(norm_lines(visible(run.name), run.history, width=width, unicode=unicode) for run in runs)])))
    else:
        for line in table(runs):
            output.write(line)


def speaks_unicode(environ: Mapping[str, str]) -> bool:
    """Return True unless the locale has another encoding than UTF-8.

    >>> speaks_unicode({"LANG": "en_GB.UTF-8"}), speaks_unicode({"LC_ALL": "C", "LANG": "en_GB.UTF-8"})
    (True, False)
    """
    locale = next((environ[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if environ.get(name)), "UTF-8")
    return "utf8" in locale.lower().replace("-", "")
