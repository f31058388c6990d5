"""`charlm view --html`: one page of a text, in a file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from charlm.cli.exit_codes import message
from charlm.cli.view_text import ViewRequest, traces

if TYPE_CHECKING:
    from charlm.model import LanguageModel

MAX_ACTIVATIONS = 32_000_000            # of all cells along the text: 128 MB


def write_page(model: LanguageModel, source: str, request: ViewRequest, workers: int) -> None:
    """Write the page of a file. A long text is cut after the line at which its activations fill the memory."""
    from charlm.reports.page import page
    from charlm.reports.page_data import TOP, page_data
    from charlm.storage import require_writable, write_durably
    from charlm.text.reading import source_name
    path = request.html or ""
    require_writable(path)
    config = model.stored.config
    units = config.num_layers * config.hidden_size
    tracer = model.tracer(carry=not model.task_row.by_line, top=request.top or TOP, units=range(units), workers=workers)
    kept, tokens = [], 0
    for number, trace in traces(tracer, source, request.errors):
        kept.append(trace)
        tokens += len(trace.ids)
        if tokens * units > MAX_ACTIVATIONS:
            message(f"the page shows the first {number} lines; the text is too long for one")
            break
    title = f"{source_name(source)}, as {os.path.basename(request.model or 'the model')} sees it"
    write_durably(path, page(title, page_data(kept, model.tokenizer)).encode("utf-8", "replace"))
    message(f"wrote {path}")
