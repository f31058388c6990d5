"""`charlm view --html`: the page of a text and of the model that reads it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from charlm.cli.exit_codes import message
from charlm.cli.view_text import ViewRequest
from charlm.sizes import format_size

if TYPE_CHECKING:
    from charlm.model import LanguageModel

CHARACTERS = 20_000                     # of the text on a page
SOURCES = 100                           # of pairs
_PAGE = b"<!doctype html"               # how a page begins


def write_page(model: LanguageModel, source: str, request: ViewRequest, workers: int) -> None:
    """Write the page.

    Raises CorpusError for a text that cannot be read, StorageError for a page that can't be written, UsageError for a
    file that is no page.
    """
    from charlm.panels import alignment_panel, confusion_panel, curves_panel, text_panel
    from charlm.reports.page import render_page
    from charlm.storage import require_writable, write_durably
    from charlm.text.reading import strip_line_end
    from charlm.text.tsv import TAB
    _require_page(request.html or "")
    require_writable(request.html or "")
    lines = _lines(model, source, request.errors)
    rows = [(label, text) for label, tab, text in (line.partition(TAB) for line in lines) if tab]
    pairs = model.task_row.reads_source
    sources = [strip_line_end(line).partition(TAB)[0] for line in lines[:SOURCES]] if pairs else []
    page = render_page(f"{os.path.basename(source) if source != '-' else 'stdin'} as the model sees it",
                       model.stored.config.describe(), curves=curves_panel(model.stored.history),
                       text=None if pairs else text_panel(model, lines, workers=workers),
                       alignments=alignment_panel(model, sources) if pairs else (),
                       confusion=confusion_panel(model, rows) if model.task_row.has_labels and rows else None)
    write_durably(request.html or "", page.encode())
    message(f"wrote {request.html} ({format_size(len(page.encode()))}); it opens in any browser, offline")


def _require_page(path: str) -> None:
    """Refuse to replace a file that is no page: `--html FILE` without a second file would overwrite the text itself."""
    from charlm.errors import UsageError
    if not os.path.isfile(path) or not os.path.getsize(path):
        return
    with open(path, "rb") as file:
        if file.read(len(_PAGE)).lower() != _PAGE:
            raise UsageError(f"{path} exists and is not a page, so nothing replaces it; --html names the page to "
                             "write, and the text follows it")


def _lines(model: LanguageModel, source: str, errors: str) -> list[str]:
    """Return the lines of the beginning of a text, as the model reads them. Raises CorpusError."""
    from charlm.cli.view_text import batches
    from charlm.errors import CorpusError
    from charlm.text.reading import read_text, strip_line_end
    lines: list[str] = []
    size = 0
    for batch in batches(read_text([source], errors, message)):
        for line in batch:
            if size + len(line) > CHARACTERS and lines:
                message(f"the page shows the first {size:,} characters, {len(lines):,} lines")
                return lines
            size += len(line)
            lines.append((strip_line_end(line) if model.task_row.by_line else line)[:CHARACTERS])
            if size > CHARACTERS:       # size of the first line
                message(f"the page shows the first {CHARACTERS:,} characters of a line of {size:,}")
                return lines
    if not lines:
        raise CorpusError(f"{source}: empty; there is nothing to show")
    return lines
