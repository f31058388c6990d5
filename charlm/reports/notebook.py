"""A trace that a notebook shows as coloured text."""

from __future__ import annotations

from dataclasses import dataclass

from charlm.contract import Tokenizer
from charlm.inference.trace import Span, Trace, trace_spans
from charlm.reports.page import marked_up


@dataclass(frozen=True, eq=False)
class ShownTrace(Trace):
    """A trace with the tokenizer that its text was read with."""

    tokenizer: Tokenizer

    def spans(self) -> list[Span]:
        """Return the smallest spans of the text that whole tokens spell, usually characters."""
        return trace_spans(self, self.tokenizer)

    def _repr_html_(self) -> str:
        """Return the text, each span on the colour of its surprise and with its numbers as a title."""
        return marked_up([(span.text, span.bits, f"{span.bits:.2f} bits, rank {span.rank}, entropy {span.entropy:.2f}")
                          for span in self.spans()])
