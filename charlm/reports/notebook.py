"""A trace that a notebook shows as coloured text."""

from __future__ import annotations

import html
from dataclasses import dataclass

from charlm.contract import Tokenizer
from charlm.inference.trace import Span, Trace, trace_spans
from charlm.reports.heat_map import BITS
from charlm.reports.page import shown


@dataclass(frozen=True, eq=False, repr=False)
class ShownTrace(Trace):
    """A trace with the tokenizer that its text was read with."""

    tokenizer: Tokenizer

    def spans(self) -> list[Span]:
        """Return the smallest spans of the text that whole tokens spell, usually characters."""
        return trace_spans(self, self.tokenizer)

    def _repr_html_(self) -> str:
        """Return the text, each span on the colour of its surprise and with its numbers as a title."""
        return f'<pre style="white-space:pre-wrap">{"".join(map(_marked_up, self.spans()))}</pre>'


def _marked_up(span: Span) -> str:
    """Return a span as an HTML element with inline styles, as a notebook needs."""
    colour = BITS.colours.get(BITS.level(span.bits))
    style = ""
    if colour:
        red, green, blue = colour
        ink = "white" if 0.299 * red + 0.587 * green + 0.114 * blue < 128 else "black"
        style = f' style="background:rgb({red},{green},{blue});color:{ink}"'
    title = f"{span.bits:.2f} bits, rank {span.rank}, entropy {span.entropy:.2f}"
    return f'<span{style} title="{title}">{html.escape(shown(span.text))}</span>'
