"""The text of `charlm view`: coloured, or one record a token."""

from __future__ import annotations

import heapq
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

from charlm.cli.exit_codes import message
from charlm.cli.line_input import input_source
from charlm.cli.output import ESCAPES, Output, json_record
from charlm.cli.token_records import span_fields, span_row, words_of
from charlm.errors import OptionError

if TYPE_CHECKING:
    from charlm.inference.trace import Span, Trace, Tracer
    from charlm.model import LanguageModel
    from charlm.reports.heat_map import Style

BATCH = 32_768                          # characters traced at once
STRANGEST = 10                          # words
_TERMINAL = (80, 24)                    # cells, if nothing says how many there are


@dataclass(frozen=True)
class ViewRequest:
    """The options of `charlm view`."""

    file: str | None
    model: str | None
    top: int | None
    unit: str | None
    find: str | None
    color: str
    html: str | None
    jsonl: bool
    errors: str
    threads: int | None

    def source(self) -> str:
        """Return the file to read, or `-`. Raises UsageError if stdin is a terminal."""
        return input_source(self.file)

    def style(self) -> Style | None:
        """Return how to colour, or None for columns."""
        from charlm.reports.heat_map import Style
        if self.jsonl or self.color == "never" or self.color == "auto" and not sys.stdout.isatty():
            return None
        environ = {name: value for name, value in os.environ.items() if self.color == "auto" or name == "COLORTERM"}
        return Style.of_environment(environ)

    def unit_index(self, model: LanguageModel) -> int | None:
        """Return the number of the unit. Raises OptionError if the model has no such unit."""
        if self.unit is None:
            return None
        config = model.stored.config
        layer, _, index = self.unit.partition(":")
        if not (layer.isascii() and layer.isdigit() and index.isascii() and index.isdigit()
                and 0 < int(layer) <= config.num_layers and int(index) < config.hidden_size):
            raise OptionError("unit", "--unit", f"must be LAYER:INDEX from 1:0 to "
                                                f"{config.num_layers}:{config.hidden_size - 1}, not {self.unit}")
        return (int(layer) - 1) * config.hidden_size + int(index)


def batches(chunks: Iterable[str]) -> Iterator[list[str]]:
    """Yield lines with their line breaks, in lists of about BATCH characters; the last line may have no break."""
    lines, size, held = [], 0, ""
    for chunk in chain(chunks, [""]):
        *whole, rest = chunk.split("\n")
        if whole:
            whole[0] = held + whole[0]
        held = rest if whole else held + rest
        for line in whole:
            lines.append(line + "\n")
            size += len(line) + 1
            if size >= BATCH:
                yield lines
                lines, size = [], 0
    if lines or held:
        yield [*lines, held] if held else lines


def traces(tracer: Tracer, source: str, errors: str) -> Iterator[tuple[int, Trace]]:
    """Yield the number and the trace of each line of a file. Raises CorpusError."""
    from charlm.errors import CorpusError
    from charlm.text.reading import read_text, strip_line_end
    number = 0
    for lines in batches(read_text([source], errors, message)):
        if not tracer.includes_line_end:
            lines = [strip_line_end(line) for line in lines]
            for at, line in enumerate(lines, number + 1):
                if problem := tracer.problem(line):
                    raise CorpusError(f"line {at}: {problem}")
        yield from enumerate(tracer.score(lines), number + 1)
        number += len(lines)


def show_text(model: LanguageModel, source: str, request: ViewRequest, workers: int) -> None:
    """Write the text, coloured or as records, and in colours also a legend and the strangest words."""
    unit = request.unit_index(model)
    tracer = model.tracer(carry=not model.task_row.by_line, top=request.top or 0, units=() if unit is None else (unit,),
                          workers=workers)
    view = (_Records if (style := request.style()) is None else _Picture)(model, request, style)
    for number, trace in traces(tracer, source, request.errors):
        view.show(number, trace)
    view.close()


class _View:
    """The common part of both ways of showing."""

    def __init__(self, model: LanguageModel, request: ViewRequest, style: Any):
        self._tokenizer, self._request, self._style, self._output = model.tokenizer, request, style, Output()
        self._names = [*map(self._tokenizer.display, range(self._tokenizer.size)), "\n"]

    def _guesses(self, trace: Trace, span: Span) -> list[tuple[str, float]]:
        """Return the likeliest tokens in place of the last token of a span."""
        return [(self._names[index], odds) for index, odds in zip(
            trace.top_ids[span.last].tolist(), trace.top_probabilities[span.last].tolist(), strict=True)]

    def show(self, line: int, trace: Trace) -> None:
        """Write one line."""
        raise NotImplementedError

    def close(self) -> None:
        """Write what follows the text."""


class _Records(_View):
    """One record a token."""

    def show(self, line: int, trace: Trace) -> None:
        """Write the records of one line."""
        from charlm.inference.trace import trace_spans
        write = self._record if self._request.jsonl else self._row
        self._output.write("".join(write(line, trace, span) for span in trace_spans(trace, self._tokenizer)))

    def _row(self, line: int, trace: Trace, span: Span) -> str:
        unit = "".join(f"{value:.4f}\t" for value in trace.units[span.last].tolist())
        guesses = "".join(f"\t{guess.translate(ESCAPES)}\t{odds:.4g}" for guess, odds in self._guesses(trace, span))
        return f"{unit}{span_row(line, span)}{guesses}\n"

    def _record(self, line: int, trace: Trace, span: Span) -> str:
        fields = span_fields({"line": line}, span)
        if trace.unit_names:
            value = float(trace.units[span.last, 0])
            fields["activation"] = None if value != value else round(value, 6)
        if self._request.top:
            fields["guesses"] = [{"text": guess, "probability": float(f"{odds:.6g}")}
                                 for guess, odds in self._guesses(trace, span)]
        return json_record(**fields)


class _Picture(_View):
    """Text in colours."""

    def __init__(self, model: LanguageModel, request: ViewRequest, style: Any):
        from charlm.reports.heat_map import ACTIVATION, BITS
        super().__init__(model, request, style)
        self._scale = BITS if request.unit is None else ACTIVATION
        self._bits, self._characters = 0.0, 0
        self._strangest: list[tuple[float, int, int, str]] = []         # bits, minus the line and place, word

    def show(self, line: int, trace: Trace) -> None:
        """Write one line, or its table of guesses."""
        from charlm.inference.trace import trace_spans
        from charlm.reports.heat_map import Guessed, coloured, table
        spans = trace_spans(trace, self._tokenizer)
        self._count(line, spans)
        values = [span.bits for span in spans]
        if trace.unit_names:
            values = trace.units[[span.last for span in spans], 0].tolist()
        if self._request.top:
            columns = shutil.get_terminal_size(_TERMINAL).columns
            tokens = [Guessed(span.text, value, self._guesses(trace, span))
                      for span, value in zip(spans, values, strict=True)]
            self._output.write_styled("".join(table(tokens, self._scale, self._style, columns)))
            return
        # A token of several characters spreads its bits over them, but all of them have its activation.
        share = 0 if trace.unit_names else 1
        each = list(chain.from_iterable(repeat(value / len(span.text) ** share, len(span.text))
                                        for span, value in zip(spans, values, strict=True)))
        self._output.write_styled(coloured("".join(span.text for span in spans), each, self._scale, self._style))

    def _count(self, line: int, spans: list[Span]) -> None:
        self._bits += sum(span.bits for span in spans)
        self._characters += sum(len(span.text) for span in spans)
        words = [(sum(span.bits for span in found), -line, -start, word) for word, start, found in words_of(spans)]
        self._strangest = heapq.nlargest(STRANGEST, chain(self._strangest, words))

    def close(self) -> None:
        """Write the legend and the strangest words."""
        from charlm.reports.heat_map import PROBABILITY, RESET, harmless
        what = "bits" if self._request.unit is None else f"activation of {self._request.unit}"
        rate = f"{self._bits / max(self._characters, 1):.4f} bits per character of {self._characters:,}"
        self._output.end_line()
        self._output.write_styled(f"\n{what} {self._scale.legend(self._style)}  {rate}\n")
        if self._request.top:
            self._output.write_styled(f"probability of a guess {PROBABILITY.legend(self._style)}\n")
        for bits, line, _, word in self._strangest:
            self._output.write_styled(f"{RESET}{bits:8.1f}  line {-line:<6} {harmless(word)}\n")
