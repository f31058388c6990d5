"""Records of tokens and of words with all that a model expected there: TSV rows and JSON objects."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from charlm.cli.output import ESCAPES, json_record

if TYPE_CHECKING:
    from charlm.cli.line import Line
    from charlm.contract import Tokenizer
    from charlm.inference.trace import Span, Trace

_WORDS = re.compile(r"\S+")


def span_row(line: int, span: Span, columns: str = "") -> str:
    """Return bits, line, further columns, text, entropy, rank and probability, without a line break."""
    text = span.text.translate(ESCAPES)
    return f"{span.bits:.4f}\t{line}\t{columns}{text}\t{span.entropy:.4f}\t{span.rank}\t{span.probability:.4g}"


def span_fields(keys: Mapping[str, object], span: Span) -> dict[str, Any]:
    """Return the same values as the fields of a JSON record, after the keys that identify the line."""
    return {**keys, "text": span.text, "bits": round(span.bits, 6), "entropy": round(span.entropy, 6),
            "rank": span.rank, "probability": float(f"{span.probability:.6g}")}


def token_records(line: Line, trace: Trace, tokenizer: Tokenizer, *, jsonl: bool) -> str:
    """Return one record per token, or per smallest span of text that whole tokens spell."""
    from charlm.inference.trace import trace_spans
    return "".join(json_record(**span_fields(line.keys, span)) if jsonl else
                   span_row(line.number, span, line.columns) + "\n"
                   for span in trace_spans(trace, tokenizer))


def words_of(spans: Sequence[Span]) -> Iterator[tuple[str, int, list[Span]]]:
    """Yield each word of a text, its first character's index, and its spans.

    A word is what lies between white space. A span of several characters belongs to the word of its last one
    that is not white space.
    """
    starts, at = {}, 0                  # where the deciding character of each span is
    for span in spans:
        visible = len(span.text.rstrip())
        starts[at + max(visible - 1, 0)] = span
        at += len(span.text)
    for found in _WORDS.finditer("".join(span.text for span in spans)):
        yield found[0], found.start(), [starts[place] for place in range(*found.span()) if place in starts]


def word_records(line: Line, trace: Trace, tokenizer: Tokenizer, *, jsonl: bool) -> str:
    """Return one record per word: line, word, start, end, bits, entropy, ranks."""
    from charlm.inference.trace import trace_spans
    records = []
    for word, start, spans in words_of(trace_spans(trace, tokenizer)):
        bits, entropy = (sum(getattr(span, name) for span in spans) for name in ("bits", "entropy"))
        ranks = [span.rank for span in spans]
        records.append(json_record(**line.keys, word=word, start=start, end=start + len(word), bits=round(bits, 6),
                                   entropy=round(entropy, 6), ranks=ranks) if jsonl else
                       f"{line.number}\t{line.columns}{word.translate(ESCAPES)}\t{start}\t{start + len(word)}\t"
                       f"{bits:.4f}\t{entropy:.4f}\t"
                       f"{','.join(map(str, ranks))}\n")
    return "".join(records)
