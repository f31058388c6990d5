"""A table of several models for `charlm info`: one row per model, or the reason why a file is not a model."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from charlm.cli.exit_codes import message
from charlm.cli.output import ESCAPES, Output, plain
from charlm.errors import ModelFileError
from charlm.reports.clusters import clusters, width
from charlm.reports.visible import visible

COLUMNS = ("task", "size", "bits_per_character", "date", "corpus", "file")
MAX_CORPUS = 24                         # cells of a terminal
_TO_THE_RIGHT = ("size", "bits_per_character")

Answer = TypeVar("Answer")


def paths_of(names: Sequence[str]) -> Iterator[str]:
    """Yield the files that these names stand for: a folder for its *.charlm, a pattern for the files that match it."""
    for name in names:
        pattern = os.path.join(glob.escape(name), "*.charlm") if os.path.isdir(name) else name
        yield from [name] if os.path.isfile(name) else sorted(glob.glob(pattern)) or [name]


def means_several(names: Sequence[str]) -> bool:
    """Return whether to show a table: for several models, and for a folder whatever the number of its models."""
    return len(names) > 1 or any(map(os.path.isdir, names)) or len([*paths_of(names)]) > 1


def answer_all(names: Sequence[str], answer: Callable[[str], Answer]) -> tuple[list[Answer], int]:
    """Return the answers for the models in the order of `names`, and an exit code; report files that are not models."""
    answers, code = [], 0
    for path in paths_of(names):
        try:
            if os.path.isdir(path):
                raise ModelFileError(f"{path}: cannot be read (a folder without *.charlm)")
            answers.append(answer(path))
        except ModelFileError as error:
            message(f"error: {error}")
            code = error.exit_code
    return answers, code


def show_table(names: Sequence[str]) -> int:
    """Write the table, aligned on a terminal, tab-separated elsewhere. Return the exit code."""
    rows, code = answer_all(names, _row)
    output = Output()
    if output.on_terminal:
        output.write(_aligned([COLUMNS, *rows]))
    elif rows:
        output.write("".join("\t".join(plain(value).translate(ESCAPES) for value in row) + "\n"
                             for row in [COLUMNS, *rows]))
    return code


def _row(path: str) -> tuple[Any, ...]:
    """Return the row of a model. Raises ModelFileError for a file that is damaged or not a model."""
    from charlm.modelfile import summarize
    summary = summarize(path)
    return (summary.task, summary.size, summary.training.get("bits_per_character"), summary.provenance.date or None,
            summary.provenance.corpus or None, path)


def _aligned(rows: Sequence[Sequence[Any]]) -> str:
    """Return a table with aligned columns, by the width of characters on a terminal.

    >>> print(_aligned([("task", "size"), ("text", 3511292), ("日", None)]), end="")
    task    size
    text  3.5 MB
    日      none
    """
    cells = [[_cell(name, value) for name, value in zip(COLUMNS, row, strict=False)] for row in rows]
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    lines = []
    for row in cells:
        gaps = [" " * (most - _width(cell)) for most, cell in zip(widths, row, strict=True)]
        lines.append("  ".join(gap + cell if name in _TO_THE_RIGHT else cell + gap
                               for name, gap, cell in zip(COLUMNS, gaps, row, strict=False)).rstrip() + "\n")
    return "".join(lines)


def _cell(name: str, value: Any) -> str:
    """Return a value as a terminal shows it."""
    if name == "size" and isinstance(value, int):
        return f"{value / 1e6:.1f} MB"
    if name == "bits_per_character" and isinstance(value, float):
        return f"{value:.4f}"
    if value == name:
        return name.replace("_", " ")
    text = visible(plain(value).translate(ESCAPES))
    return _shortened(text) if name == "corpus" else text


def _width(text: str) -> int:
    return sum(width(text[start:stop]) for start, stop in clusters(text))


def _shortened(text: str) -> str:
    """Return a text shortened to at most MAX_CORPUS terminal cells.

    >>> _shortened("日本語" * 9)
    '日本語日本語日本語日本…'
    """
    if _width(text) <= MAX_CORPUS:
        return text
    kept = ""
    for start, stop in clusters(text):
        if _width(kept) + width(text[start:stop]) >= MAX_CORPUS:
            break
        kept += text[start:stop]
    return kept + "…"
